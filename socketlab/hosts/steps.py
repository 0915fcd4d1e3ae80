"""Run: what is being done. How that is shown, if at all, is for the command that has it done to say."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext


def silent(_text: str) -> AbstractContextManager[None]:
    """Show nothing."""
    return nullcontext()


# A step: what is being done, in words that end with three dots. `socketlab.cli` has it shown.
announce: Callable[[str], AbstractContextManager[None]] = silent
