"""Show: what is being done, and how far a long run has come, in one line that is written over."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

SILENT_S = 1.0  # shorter runs say nothing


@dataclass
class Progress:
    """Writes over its own line at a terminal; elsewhere it says nothing, for it would fill a log.

    Args:
        stream: where to.
        wanted: whether the stream is a terminal.
        protocol: for the words.
    """

    stream: TextIO
    wanted: bool
    protocol: str
    _shown: bool = False

    def show(self, elapsed_s: float, sent: int, answered: int, of: int) -> None:
        """Say how far it is."""
        if self.wanted and elapsed_s >= SILENT_S:
            self._shown = True
            doing = "connecting" if self.protocol == "tcp" and not sent else f"{sent:,} of {of:,} sent"
            text = f"{elapsed_s:4.0f} s  {doing}, {answered:,} answered"
            self.stream.write(f"\r{text:<60}")
            self.stream.flush()

    def done(self) -> None:
        """Take the line away."""
        if self._shown:
            self.stream.write(f"\r{'':<60}\r")
            self.stream.flush()
            self._shown = False


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Say at a terminal what is being waited for; the line is gone in the end."""
    if not sys.stderr.isatty():
        yield
        return
    sys.stderr.write(text)
    sys.stderr.flush()
    try:
        yield
    finally:
        sys.stderr.write(f"\r{'':{len(text)}}\r")
        sys.stderr.flush()
