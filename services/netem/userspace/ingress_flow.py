"""Ingress: the delay line behind the link, which is the kernel's queue itself."""

from collections.abc import Sequence

from .ip_packets import ETHERNET
from .nfqueue import COPIED, Packet
from .packet_flow import Bytes, Flow
from .whole_packets import WholePacket

UNLIMITED = 2**31  # bytes: what arrives has been cut already


class Held:
    """A packet that the kernel holds, with what it takes to copy or to damage it.

    Attributes:
        identifier: None when the verdict was given: what comes then is a copy.
        packet: itself.
    """

    __slots__ = ("identifier", "packet")

    def __init__(self, identifier: bytes, packet: Bytes) -> None:
        self.identifier: bytes | None = identifier
        self.packet = packet


class IngressFlow(Flow):
    """What arrives: held by the kernel until it is due."""

    def _largest(self) -> int:
        return UNLIMITED

    def _hold(self, now_ns: int, packets: Sequence[Packet]) -> None:
        queue, enqueue = self.queue, self.model.enqueue
        changing, overtaking = self.model.changing, self.model.overtaking
        for identifier, start, end in packets:
            if end - start > COPIED:
                self._hold_whole(now_ns, identifier, start, end)
                if overtaking:
                    self._release_ahead(now_ns)
                continue
            held = Held(identifier, queue.buffer[start:end]) if changing else identifier
            if not enqueue(now_ns, end - start + ETHERNET, held):
                queue.drop(identifier)
            elif overtaking:
                self._release_ahead(now_ns)

    def release(self, now_ns: int) -> None:
        """Let go what is due."""
        dequeue, accept = self.model.dequeue, self.queue.accept
        while (due := dequeue(now_ns)) is not None:
            held, corrupted = due
            if isinstance(held, Held):
                self._let_go(held, corrupted=corrupted)
            elif isinstance(held, WholePacket):
                self._whole.release_part(held, corrupted=corrupted)
            else:
                accept(held)
        self.queue.flush()

    def _let_go(self, held: Held, *, corrupted: bool) -> None:
        packet = self._damage(held.packet) if corrupted else held.packet
        identifier, held.identifier = held.identifier, None
        if identifier is None:
            self.queue.flush()
            if packet is not None:
                self.sender.add(packet)
                self.sender.flush()
        elif packet is None:
            self.queue.drop(identifier)
        elif packet is held.packet:
            self.queue.accept(identifier)
        else:
            self.queue.replace(identifier, packet)
