"""Egress: the delay line in front of the link.

To hold a packet in the queue would keep it charged to the socket that it came from, and its TCP would wait.
"""

from collections.abc import Sequence

from .ip_packets import ETHERNET, fragments
from .nfqueue import COPIED, Packet
from .packet_flow import Flow
from .whole_packets import WholePacket


class EgressFlow(Flow):
    """What the host sends: dropped from the queue where it has to wait, and sent again when it is due."""

    def _largest(self) -> int:
        return self._link.mtu

    def _hold(self, now_ns: int, packets: Sequence[Packet]) -> None:
        buffer, model, largest = self.queue.buffer, self.model, self._link.mtu
        enqueue, overtaking = model.enqueue, model.overtaking
        if self._whole.held or any(end - start > COPIED for _identifier, start, end in packets):
            # The kernel holds a packet for us, or is about to: the others have to be dropped one by one.
            for identifier, start, end in packets:
                if end - start <= COPIED:
                    self.queue.drop(identifier)
        else:
            self.queue.drop_through(packets[-1][0])
        for identifier, start, end in packets:
            if end - start > COPIED:
                self._hold_whole(now_ns, identifier, start, end)
            elif end - start <= largest:
                enqueue(now_ns, end - start + ETHERNET, buffer[start:end])
            else:
                for part in fragments(buffer[start:end], largest):
                    enqueue(now_ns, len(part) + ETHERNET, part)
            if overtaking:
                self._release_ahead(now_ns)

    def release(self, now_ns: int) -> None:
        """Send what is due."""
        dequeue, add = self.model.dequeue, self.sender.add
        while (due := dequeue(now_ns)) is not None:
            packet, corrupted = due
            if isinstance(packet, WholePacket):
                self.sender.flush()  # what is before it leaves before it
                self._whole.release_part(packet, corrupted=corrupted)
                self.queue.flush()
                continue
            if corrupted:
                packet = self._damage(packet)
            if packet is not None:
                add(packet)
        self.sender.flush()
