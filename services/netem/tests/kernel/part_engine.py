"""What is done on hosts, with the engine `kernel` and with the whole sidecar."""

from collections.abc import Iterator

from tests.kernel import engine, sidecars
from tests.kernel.rows import Named, checks


def cases() -> Iterator[Named]:
    """Yield the checks."""
    yield from checks("engine", engine.CHECKS)
    yield from checks("sidecar", sidecars.CHECKS)
