"""Whether two hosts share a monotonic clock, as far as their journals show.

Containers of one kernel do. Hosts with kernels of their own (two machines, Kata, gVisor) do not: each counts
from its own start. A difference of two times is then no delay, however plausible it looks.

Nothing proves that a clock is shared, but two things disprove it:

    1. both hosts write down the same instant by both clocks now and then. The time of day less the monotonic
       clock is when the clock was 0: for hosts that share it, the same instant. This shows a server's clock
       that is ahead, where delays look long, as well as one that is behind.
    2. a message that arrives before it is sent. A call that sends is dated when it begins, one that receives
       when it has returned.
"""

from collections.abc import Iterable, Sequence

from socketlab.observe.trace import Event

# Two clocks are read one after the other, and between the two another program may have its turn; a time of
# day is corrected by at most 500 in a million, over a run of at most two minutes.
AGREE_NS = 100_000_000


def not_shared(client: Sequence[Event], server: Sequence[Event], ways: Iterable[tuple[int, int]]) -> str:
    """Return why the times of two hosts cannot be compared; nothing where they can, as far as is known.

    Args:
        client: its journal.
        server: its journal.
        ways: when a message was sent, by the one host, and when it arrived, by the other.
    """
    zeros, others = _zeros(client), _zeros(server)
    # The time of day may be set while a run goes on, on both: what agrees once is enough.
    apart = min((abs(one - other) for one in zeros for other in others), default=0)
    if apart > AGREE_NS:
        return (
            f"the hosts do not share a clock: expected that both count from the same instant, to within "
            f"{AGREE_NS / 1e9:g} s, found {apart / 1e9:,.3f} s between the two"
        )
    early = [sent - arrived for sent, arrived in ways if arrived < sent]
    if early:
        return (
            f"the hosts do not share a clock: messages arrived before they were sent, {len(early):,} of them,"
            f" by up to {max(early) / 1e6:,.3f} ms"
        )
    return ""


def _zeros(events: Iterable[Event]) -> set[int]:
    """Return when the monotonic clock was 0, as each line that has the time of day says."""
    return {event.unix_ns - event.time_ns for event in events if event.unix_ns is not None}
