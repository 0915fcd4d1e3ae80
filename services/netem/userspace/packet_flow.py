"""The packets of one direction: from the queue, through the model, to where they go, and their books."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from time import monotonic_ns
from typing import Any, TypeAlias

from link import Link
from model import Model
from netem_impairment import Counters, Spec

from .ip_packets import ETHERNET, corrupt, fragments
from .nfqueue import COPIED, Packet, PacketQueue
from .path_probes import number_of_probe
from .raw_sender import Sender
from .whole_packets import WholePackets

Bytes: TypeAlias = bytes | bytearray

# What the model holds: of egress the packet itself; of ingress its identifier, or more where need be
# (ingress_flow.py). Of a packet that was not copied whole a WholePacket, for each of its fragments.
Waiting: TypeAlias = Any


def _bit_choice(seed: int | None) -> Random:
    """Return what says which bit is turned over: not the model's draws, for they belong to the fates."""
    return Random(seed)  # noqa: S311 - a network, no secret


class Flow(ABC):
    """The packets of one direction: from the queue, through the model, to where they go.

    Args:
        queue: where they come from.
        sender: for those that do not go on from the queue.
        link: the interface.
        token: by which the probes of this engine are known.
    """

    def __init__(self, queue: PacketQueue, sender: Sender, link: Link, token: bytes) -> None:
        self.queue = queue
        self.fd = queue.fileno()
        self.sender = sender
        self.model: Model[Waiting] = Model(Spec())
        self.awaited: int | None = None  # the number of a probe that has not come yet
        self._link = link
        self._token = token
        self._random = _bit_choice(None)
        self._lost_before = self.lost()
        self._whole = WholePackets(queue)

    def lost(self) -> int:
        """Return how many packets were lost that nobody asked for, since the queue was opened."""
        return self.queue.statistics().lost + self.sender.refused

    def change(self, model: Model[Waiting]) -> None:
        """Impair what comes from now on by another model; what waits keeps its time."""
        model.take_over(self.model)
        self.model = model
        self._random = _bit_choice(model.spec.seed)
        self._lost_before = self.lost()
        self._whole.too_long = 0
        self.queue.hold(model.spec.limit)

    def counters(self) -> Counters:
        """Return the counts since the last change; what was lost unasked came, too."""
        counters = self.model.counters()
        lost = self.lost() - self._lost_before
        return replace(
            counters, packets=counters.packets + lost, overload=lost, too_long=self._whole.too_long
        )

    def take(self) -> None:
        """Handle packets that have come, as many as one read returns, and let go what is due."""
        packets = self.queue.read()
        # Not before the read: a packet that came meanwhile would be due too soon.
        now_ns = monotonic_ns()
        # What is due goes before what comes: so as many wait as in the kernel's own queue.
        self.release(now_ns)
        if self.awaited is not None:
            packets = [packet for packet in packets if not self._was_probe(packet)]
        if packets:
            if self.model.immediate and not len(self.model):
                self._pass(now_ns, packets)
            else:
                self._hold(now_ns, packets)
                self.release(now_ns)
        self.queue.flush()

    def _was_probe(self, packet: Packet) -> bool:
        identifier, start, end = packet
        number = number_of_probe(self.queue.buffer[start:end], self._token)
        if number is None:
            return False
        self.queue.drop(identifier)
        if number == self.awaited:
            self.awaited = None
        return True

    def _pass(self, now_ns: int, packets: Sequence[Packet]) -> None:
        """Let packets through that do not wait."""
        queue, enqueue, dequeue = self.queue, self.model.enqueue, self.model.dequeue
        largest = self._largest()
        passing: bytes | None = None  # the last packet that goes on as it is; those before it go on with it
        for identifier, start, end in packets:
            length = end - start
            if length > COPIED:
                if passing is not None:
                    queue.accept_through(passing)
                    passing = None
                self._hold_whole(now_ns, identifier, start, end)
                self.release(now_ns)
                continue
            if length <= largest:
                copies = enqueue(now_ns, length + ETHERNET, b"")
                if not copies:
                    queue.drop(identifier)
                    continue
                due = dequeue(now_ns)
                if copies == 1 and due and not due[1]:
                    passing = identifier
                    continue
                flags = [due, *(dequeue(now_ns) for _ in range(copies - 1))]
                parts: list[Bytes] = [queue.buffer[start:end]]
                leaving = [(parts[0], bool(flag and flag[1])) for flag in flags]
            else:
                parts = list(fragments(queue.buffer[start:end], largest))
                leaving = []
                for part in parts:
                    for _ in range(enqueue(now_ns, len(part) + ETHERNET, b"")):
                        due = dequeue(now_ns)
                        leaving.append((part, bool(due and due[1])))
            # Not as it came: what is before it leaves before it.
            if passing is not None:
                queue.accept_through(passing)
                passing = None
            self._leave(identifier, parts, leaving)
        if passing is not None:
            queue.accept_through(passing)

    def _leave(self, identifier: bytes, parts: Sequence[Bytes], leaving: list[tuple[Bytes, bool]]) -> None:
        """Send what became of one packet.

        Args:
            identifier: of the packet, which the kernel still holds.
            parts: its fragments, or itself.
            leaving: of these, in order: what leaves, and whether it is corrupted.
        """
        whole = [self._damage(part) if corrupted else part for part, corrupted in leaving]
        packets = [part for part in whole if part is not None]
        if packets[: len(parts)] == parts:
            self.queue.accept(identifier)
            packets = packets[len(parts) :]
        elif len(parts) == 1 and packets:
            self.queue.replace(identifier, packets.pop(0))
        else:
            self.queue.drop(identifier)
        self.queue.flush()
        for packet in packets:
            self.sender.add(packet)
        self.sender.flush()

    def _damage(self, packet: Bytes) -> Bytes | None:
        return corrupt(packet, self._random.randrange(8 * (ETHERNET + len(packet))))

    def _hold_whole(self, now_ns: int, identifier: bytes, start: int, end: int) -> None:
        """Take a packet of which the kernel has not copied the end."""
        parts = fragments(self.queue.buffer[start:end], self._largest())
        self._whole.take(now_ns, identifier, parts, self.model)

    def _release_ahead(self, now_ns: int) -> None:
        """Let go a packet that is due although others wait, before the next one that is due overtakes it."""
        next_ns = self.model.next_ns
        if next_ns is not None and next_ns <= now_ns:
            self.release(now_ns)

    @abstractmethod
    def _largest(self) -> int:
        """Return how many bytes a packet has at most before it is cut into fragments."""

    @abstractmethod
    def _hold(self, now_ns: int, packets: Sequence[Packet]) -> None:
        """Take packets that may have to wait."""

    @abstractmethod
    def release(self, now_ns: int) -> None:
        """Let go what is due."""
