"""Look at a host until something is so: for what its kernel shows, but does not announce."""

import time
from collections.abc import Callable
from typing import TypeVar

WITHIN_S = 1.5  # what does not come in a hundred times the time that it takes does not come
# A host that is slow to answer is slow to act, too: so its time is up only after as many looks as it answers
# when it has a processor to itself most of the time (there are 95 in WITHIN_S).
LOOKS = 60
# Between two looks passes a twentieth of the time that it has taken so far: what comes soon is seen at once,
# and what never comes takes no processor from others.
POLL_S, POLL_SHARE = 0.002, 0.05

T = TypeVar("T")


def until(
    look: Callable[[], T],
    wanted: Callable[[T], object],
    within_s: float = WITHIN_S,
    looks: int = LOOKS,
) -> T:
    """Return what is seen: as soon as it is what is wanted, or else the last of it when the time is up.

    The caller must check whether the result is what was wanted.

    Args:
        look: asks the host.
        wanted: tells whether that is it.
        within_s: the time is not up before that.
        looks: nor before it has been asked so often.
    """
    begun, looked = time.monotonic(), 0
    while not wanted(seen := look()):
        looked += 1
        passed_s = time.monotonic() - begun
        if passed_s >= within_s and looked >= looks:
            break
        time.sleep(max(POLL_S, passed_s * POLL_SHARE) if passed_s < within_s else POLL_S)
    return seen
