"""The hosts of the lecture, for all tests of a process."""

import secrets
from collections.abc import Iterator

import pytest

from socketlab.run.stage import Stage, on_docker


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """A server, two clients, and the network between them, of a project of their own."""
    with on_docker(f"socketlab-test-{secrets.token_hex(4)}") as made:
        yield made
