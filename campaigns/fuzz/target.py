"""What is fuzzed: a target is a contract of a parser, as a function that any bytes at all can be given to.

It raises nothing as long as the contract holds. What the parser documents (a refusal) it catches itself;
whatever else comes out is a crash.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """One contract.

    Attributes:
        name: as people choose it, and the name of its corpus and its dictionary.
        parses: what, in a few words.
        contract: what holds for any input, in a sentence.
        one: tries one input.
        seeds: inputs to begin with, where there is no corpus yet.
        executions: how many make a full run; the slower the target, the fewer.
        longest: bytes of an input.
    """

    name: str
    parses: str
    contract: str
    one: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    executions: int
    longest: int = 1024


class Draws:
    """Bytes, from which a target draws what it needs, the first first; when none are left it draws zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def number(self, low: int, high: int) -> int:
        """Return a number from `low` to `high`, of one byte or, where it takes more, of four."""
        size = 1 if high - low < 256 else 4
        return low + int.from_bytes(self.take(size), "little") % (high - low + 1)

    def take(self, size: int) -> bytes:
        """Return so many bytes, or what is left."""
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def rest(self) -> bytes:
        """Return what is left."""
        return self.take(len(self._data))


@contextmanager
def replaced(where: Any, name: str, value: object) -> Iterator[None]:
    """Put something else in the place of a module's name, for as long as the body takes."""
    before = getattr(where, name)
    setattr(where, name, value)
    try:
        yield
    finally:
        setattr(where, name, before)


def one_line(refusal: Exception) -> None:
    """Check that a refusal is one line that can be shown at a terminal."""
    text = str(refusal)
    assert text, "a refusal without a word"
    assert text.isprintable(), f"a refusal that moves the cursor: {text!r}"
