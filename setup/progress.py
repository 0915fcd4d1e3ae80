"""What is being done: a line a step when it is over; at a terminal also what is under way, since when."""

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

TICK_S = 0.5
WIPE = "\r\x1b[K"  # to the line's beginning, and clear it

now = time.monotonic  # seconds; tests have a clock of their own

_changing = threading.Lock()
_under_way: dict[str, float] = {}  # since when, by the monotonic clock


@contextmanager
def step(item: str, doing: str) -> Iterator[None]:
    """Print what was done, and how long it took, when the body is over. Steps may run side by side."""
    line, start = f"{item}: {doing} …", now()
    with _changing:
        first = not _under_way
        _under_way[line] = start
    if first and sys.stdout.isatty():
        threading.Thread(target=_tick, daemon=True).start()
    result = "failed"
    try:
        yield
        result = f"{now() - start:.0f} s"
    finally:
        with _changing:
            del _under_way[line]
            print(f"{WIPE if sys.stdout.isatty() else ''}{line} {result}", flush=True)


def _tick() -> None:
    """Show at the terminal what is under way, until nothing is."""
    while True:
        with _changing:
            if not _under_way:
                return
            at = now()
            shown = "; ".join(f"{line} {at - start:.0f} s" for line, start in _under_way.items())
            print(f"{WIPE}{shown[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
        time.sleep(TICK_S)
