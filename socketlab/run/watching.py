"""Run: look at a host until something is so: for what its kernel shows, but does not announce."""

import time
from collections.abc import Callable
from typing import TypeVar

WITHIN_S = 1.5  # what does not come in a hundred times the time that it takes does not come
POLL_S = 0.002

T = TypeVar("T")


def until(look: Callable[[], T], wanted: Callable[[T], object], within_s: float = WITHIN_S) -> T:
    """Return what is seen: as soon as it is what is wanted, or else the last of it when the time is up.

    Whether it is what was wanted, is then for a check to say.
    """
    deadline = time.monotonic() + within_s
    while not wanted(seen := look()) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return seen
