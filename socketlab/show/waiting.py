"""Show: what is being done, and how far a long run has come, in one line that is written over."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TextIO

SILENT_S = 1.0  # shorter runs say nothing
WIPE = "\r\x1b[K"  # to the line's beginning, and clear it
LONG_S = 3.0  # a step of a log that is shorter says nothing


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


_steps: list[str] = []  # what is being done at a terminal, the innermost last


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Say what is being done: at a terminal in a line that is gone in the end, elsewhere in one that stays.

    Elsewhere is a log, mostly of CI: there it says only what takes long, as soon as it does. A step may be in
    another one.

    Args:
        text: ends with three dots, by which a line of a log is known as one of these.
    """
    if not sys.stderr.isatty():
        saying = threading.Timer(LONG_S, _log, [text])
        saying.daemon = True
        saying.start()
        try:
            yield
        finally:
            saying.cancel()
        return
    outer = _steps[-1] if _steps else ""
    sys.stderr.write(WIPE + text)
    sys.stderr.flush()
    _steps.append(text)
    try:
        yield
    finally:
        _steps.pop()
        sys.stderr.write(WIPE + outer)
        sys.stderr.flush()


def _log(text: str) -> None:
    """Write a line of a log; where nobody reads it any more, none."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")  # in one piece: a step and one within it may be due at the same moment
        sys.stderr.flush()


def counting(text: str) -> Callable[[int, int], None]:
    """Return what says how far a step is: at a terminal each time, in a log at each tenth.

    Args:
        text: what was said when it began.
    """
    wanted = sys.stderr.isatty()

    def on_progress(done: int, of: int) -> None:
        if wanted:
            sys.stderr.write(f"{WIPE}{text} {done} of {of}")
            sys.stderr.flush()
        elif done * 10 // of != (done - 1) * 10 // of:
            _log(f"{text} {done} of {of} ...")

    return on_progress
