"""What is being done. The command that is run decides whether and how to show it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext


def silent(_text: str) -> AbstractContextManager[None]:
    """Show nothing."""
    return nullcontext()


# A step: what is being done, in words that end with three dots. `socketlab.cli` has it shown.
announce: Callable[[str], AbstractContextManager[None]] = silent
