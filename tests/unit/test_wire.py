"""A recording that does not begin: its reason is told, and nothing is left."""

from typing import Any

import pytest

from socketlab.errors import EngineError
from socketlab.run.wire import Wire


class Refusing:
    """A capture host where nothing can be recorded."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def start(self, *_words: str) -> "Refusing":
        """Be the program, too."""
        return self

    def wait_for(self, text: str) -> str:
        """Never say it."""
        raise EngineError(f"expected {text!r}, got 'no such device'")

    def function(self, *words: str) -> None:
        """Have no file."""
        self.ended.append(words[1])
        raise FileNotFoundError

    def signal(self, _number: int) -> None:
        """Be ended."""
        self.ended.append("signal")

    def wait(self) -> None:
        """Have ended."""
        self.ended.append("wait")


def test_reason_is_told_also_where_there_is_no_file_to_remove() -> None:
    tap: Any = Refusing()
    with pytest.raises(EngineError, match="no such device"), Wire(tap, "server"):
        pytest.fail("it has begun")
    assert {"signal", "wait", "unlink"} <= set(tap.ended)
