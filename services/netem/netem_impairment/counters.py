"""What an engine counted."""

from dataclasses import dataclass, field
from typing import Any


def _counter(words: str) -> Any:
    """Return a counter that starts at 0, and what `netem stats` calls it."""
    return field(default=0, metadata={"words": words})


@dataclass(frozen=True)
class Counters:
    """The packets of one direction, since the impairment was applied. None: this engine cannot say.

    Attributes:
        packets: came to the impairment.
        bytes: their lengths, with 14 bytes of Ethernet each, as a qdisc counts.
        dropped: lost on purpose. The kernel's engine counts those over the limit here too.
        over_limit: dropped because `limit` packets waited already.
        overload: lost because this machine was too slow for them, or did not take them: the impairment has
            not asked for that, so nothing that was measured meanwhile is its doing.
        too_long: should have left, and did not: copies, and the other fragments of a packet that lost one, of
            packets longer than 65,531 bytes. The engine sees no more of a packet: it leaves whole, or not.
        duplicated: copies that were made.
        corrupted: packets with a bit turned over.
        reordered: packets that went ahead of those that wait.
        queued: wait now.
    """

    packets: int = 0
    bytes: int = 0
    dropped: int = 0
    over_limit: int | None = _counter("over the limit")
    overload: int | None = _counter("lost to overload")
    too_long: int = 0
    duplicated: int | None = _counter("duplicated")
    corrupted: int | None = _counter("corrupted")
    reordered: int | None = _counter("sent ahead")
    queued: int = 0
