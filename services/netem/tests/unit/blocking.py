"""A deadline for calls that must not block."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def must_not_block() -> Iterator[None]:
    """Raise where the body still waits after five seconds."""

    def blocked(_signum: int, _frame: FrameType | None) -> None:
        raise AssertionError("a call has blocked")

    before = signal.signal(signal.SIGALRM, blocked)
    signal.alarm(5)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
