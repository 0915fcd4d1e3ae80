"""A client's host when its run is interrupted: whatever is asked of the engine, it is removed."""

import sys
from typing import Any, cast

import pytest
from docker.errors import NotFound

from socketlab.hosts.docker.compose_project import Lab

# What Compose is here: it says how far the client is, and goes on.
COMPOSE = """
import signal, sys
print('{"sent": 1, "answered": 0, "of": 9}', file=sys.stderr, flush=True)
signal.pause()
"""


class Engine:
    """An engine on which a container appears only after so many looks."""

    def __init__(self, looks: int) -> None:
        self.containers = self
        self.looks, self.removed = looks, 0

    def get(self, name: str) -> "Engine":
        """Return the container, or say that there is none."""
        if self.looks:
            self.looks -= 1
            raise NotFound(f"no container {name}")
        return self

    def remove(self, *, force: bool) -> None:
        """Remove it."""
        assert force
        self.removed += 1


class OnlyClients(Lab):
    """A lab of which only the client is there."""

    def __init__(self, engine: Engine) -> None:
        self.project = "lab"
        self._docker = cast("Any", engine)
        self._experimenting = {}

    def compose(self, *_arguments: str) -> list[str]:
        """Return a command that does not end."""
        return [sys.executable, "-c", COMPOSE]

    def environment(self, **_variables: str) -> dict[str, str]:
        """Return nothing."""
        return {}


def interrupt(_sent: int, _answered: int, _of: int) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("looks", [0, 1, 3])
def test_client_whose_container_comes_late_is_removed(looks: int) -> None:
    engine = Engine(looks)
    with pytest.raises(KeyboardInterrupt):
        OnlyClients(engine).client_journal([], "", interrupt)
    assert (engine.looks, engine.removed) == (0, 1)


def test_client_whose_container_never_comes_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socketlab.hosts.docker.compose_project.COMES_LATE_S", 0.1)
    engine = Engine(1_000_000)
    with pytest.raises(KeyboardInterrupt):
        OnlyClients(engine).client_journal([], "", interrupt)
    assert engine.removed == 0
