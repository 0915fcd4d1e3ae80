"""Packets longer than a queue copies: they leave whole, or not.

Of a packet longer than 65,531 bytes we do not see the end, so we cannot send it. The kernel holds it until it
is due, in both directions, and it goes on whole or not at all. Its fragments draw numbers as all others do:
one that is lost or corrupted is the end of the datagram, as at the receiver; a copy is not made. What should
have left and did not is counted (too_long).
"""

from collections.abc import Sequence
from typing import Any

from model import Model

from .ip_packets import ETHERNET
from .nfqueue import PacketQueue


class WholePacket:
    """A packet of which the kernel has not copied the end: it has one fate for all of its fragments.

    Attributes:
        identifier: the kernel holds it.
        fragments: what it is on the link.
        waiting: of these and of their copies, in the model.
        left: of these, by the model; so many should have left.
        refused: it goes nowhere.
    """

    __slots__ = ("fragments", "identifier", "left", "refused", "waiting")

    def __init__(self, identifier: bytes, fragments: int) -> None:
        self.identifier, self.fragments = identifier, fragments
        self.waiting = self.left = 0
        self.refused = False


class WholePackets:
    """Those that the kernel holds for us.

    Args:
        queue: where they come from.

    Attributes:
        held: how many there are.
        too_long: what should have left and did not, since this was last set to 0.
    """

    def __init__(self, queue: PacketQueue) -> None:
        self._queue = queue
        self.held = self.too_long = 0

    def take(
        self, now_ns: int, identifier: bytes, parts: Sequence[bytes | bytearray], model: Model[Any]
    ) -> None:
        """Take a packet.

        Args:
            now_ns: the time.
            identifier: of the packet.
            parts: its fragments. What was not copied is not in them: their lengths alone count.
            model: decides their fates.
        """
        whole = WholePacket(identifier, len(parts))
        self.held += 1
        for part in parts:
            copies = model.enqueue(now_ns, len(part) + ETHERNET, whole)
            whole.waiting += copies
            whole.refused = whole.refused or not copies
        if not whole.waiting:
            self._let_go(whole)

    def release_part(self, whole: WholePacket, *, corrupted: bool) -> None:
        """Take note that a fragment is due; with the last one the packet goes on, or is dropped."""
        whole.waiting -= 1
        whole.left += 1
        whole.refused = whole.refused or corrupted
        if not whole.waiting:
            self._let_go(whole)

    def _let_go(self, whole: WholePacket) -> None:
        self.held -= 1
        if whole.refused:
            self.too_long += whole.left
            self._queue.drop(whole.identifier)
        else:
            self.too_long += whole.left - whole.fragments
            self._queue.accept(whole.identifier)
