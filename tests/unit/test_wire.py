"""A recording that does not begin: its reason is told, and nothing is left."""

from typing import Any

import pytest
from recorder import SLOTS

from socketlab.errors import EngineError
from socketlab.hosts.wire import FEW, MANY, Wire


class Refusing:
    """A capture host where nothing can be recorded."""

    interface = "eth0"

    def __init__(self) -> None:
        self.started: list[tuple[str, ...]] = []
        self.ended: list[str] = []

    def start(self, *words: str) -> "Refusing":
        """Be the program, too."""
        self.started.append(words)
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


@pytest.mark.parametrize(("room", "option"), [(FEW, "-B4096"), (MANY, f"-B{SLOTS[-1]}")])
def test_each_recorder_has_the_room_that_is_wanted(room: int, option: str) -> None:
    tap: Any = Refusing()
    with pytest.raises(EngineError), Wire(tap, "server", room=room):
        pytest.fail("it has begun")
    assert [words[-1] for words in tap.started] == [option] * 2
