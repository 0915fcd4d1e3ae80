"""The engine that needs no netem in the kernel: packets queue to this program, and the model decides.

    egress   a program of the host ──► raw OUTPUT ──► queue ──► model ──► on its way in place, or after a
             delay: then dropped from the queue, and sent again by a raw socket. To hold it there would keep
             it charged to the socket it came from, and its TCP would wait
    ingress  the network ──► raw PREROUTING ──► queue ──► model ──► on its way in place, when it is due; the
             kernel holds it until then

A copy (duplicate) is sent by a raw socket: onto the link, or over the loopback interface to this host, where
it arrives as the packet itself does, with the addresses it has.

Of a packet longer than 65,531 bytes we do not see the end, so we cannot send it. The kernel holds it until it
is due, in both directions, and it goes on whole or not at all. Its fragments draw numbers as all others do:
one that is lost or corrupted is the end of the datagram, as at the receiver; a copy is not made. What should
have left and did not is counted (too_long).

Nothing is lost but by the model: where packets come faster than this program can take them, or the system
does not take one from us, that is counted by itself (overload).

Rules of the loop: packets are taken in the order in which they came, at most 64 of a direction in a turn;
every packet that was read has its verdict before the turn ends; signals wait for the end of the turn.
"""

import ctypes
import errno
import os
import select
import signal
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from random import Random
from time import monotonic, monotonic_ns
from typing import Any, Protocol, TypeAlias, TypeVar

import distributions
import rules
from lab.failures import Failure, explain
from link import Link
from model import Model
from netem_impairment import Counters, Direction, Impairment, Spec
from nfqueue import COPIED, Packet, PacketQueue, is_open
from packets import ETHERNET, Sender, corrupt, fragments, raw_socket, udp

PR_SET_TIMERSLACK = 29
LONGEST_WAIT_S = 0.5  # so that a signal in the instant before a wait is noticed
VERIFY_S = 2.0  # for a probe to come, and for the rules to be read back
QUIET_S = 0.005  # when nothing more comes for so long, no packet is on its way to a queue any more
DRAIN_S = 0.5
FOREVER_NS = 2**63
PROBE_PORT = 9  # discard
PROBE_PAYLOAD = struct.Struct("=16sQ")  # the engine's token, the probe's number
HERE = "127.0.0.1"
NOWHERE = "192.0.2.1"  # of the addresses that no host has: RFC 5737
PROBE_QUEUE = 12_002
STOPS = {signal.SIGINT, signal.SIGTERM}
TAKEN = {errno.EPERM, errno.EBUSY}
NO_QUEUES = {errno.EPROTONOSUPPORT, errno.EINVAL, errno.EOPNOTSUPP, errno.EAFNOSUPPORT}

Bytes: TypeAlias = bytes | bytearray


class _Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


def _bits(seed: int | None) -> Random:
    """Return what says which bit is turned over: not the model's draws, for they belong to the fates."""
    return Random(seed)  # noqa: S311 - a network, no secret


class _Held:
    """A packet that the kernel holds, with what it takes to copy or to damage it."""

    __slots__ = ("identifier", "packet")

    def __init__(self, identifier: bytes, packet: Bytes) -> None:
        self.identifier: bytes | None = (
            identifier  # None when the verdict was given: what comes then is a copy
        )
        self.packet = packet


class _Whole:
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


# What the model holds: of egress the packet itself; of ingress its identifier, or a _Held where need be. Of a
# packet that was not copied whole a _Whole, for each of its fragments.
Waiting: TypeAlias = Any


class _Flow(ABC):
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
        self._random = _bits(None)
        self._lost_before = self.lost()
        self._too_long = self._whole = 0  # see _Whole: what did not leave; those that the kernel holds

    def lost(self) -> int:
        """Return how many packets were lost that nobody asked for, since the queue was opened."""
        return self.queue.statistics().lost + self.sender.refused

    def change(self, model: Model[Waiting]) -> None:
        """Impair what comes from now on by another model; what waits keeps its time."""
        model.take_over(self.model)
        self.model = model
        self._random = _bits(model.spec.seed)
        self._lost_before = self.lost()
        self._too_long = 0
        self.queue.hold(model.spec.limit)

    def counters(self) -> Counters:
        """Return the counts since the last change; what was lost unasked came, too."""
        counters = self.model.counters()
        lost = self.lost() - self._lost_before
        return replace(counters, packets=counters.packets + lost, overload=lost, too_long=self._too_long)

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
        identifier, _start, end = packet
        payload = self.queue.buffer[end - PROBE_PAYLOAD.size : end]
        if len(payload) < PROBE_PAYLOAD.size:
            return False
        token, number = PROBE_PAYLOAD.unpack(payload)
        if token != self._token:
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
        # What is missing does not count: it is the lengths alone that are looked at.
        parts = fragments(self.queue.buffer[start:end], self._largest())
        whole = _Whole(identifier, len(parts))
        self._whole += 1
        for part in parts:
            copies = self.model.enqueue(now_ns, len(part) + ETHERNET, whole)
            whole.waiting += copies
            whole.refused = whole.refused or not copies
        if not whole.waiting:
            self._let_go_whole(whole)

    def _release_part(self, whole: _Whole, *, corrupted: bool) -> None:
        """Take note that a fragment is due; with the last one the packet goes on, or is dropped."""
        whole.waiting -= 1
        whole.left += 1
        whole.refused = whole.refused or corrupted
        if not whole.waiting:
            self._let_go_whole(whole)

    def _let_go_whole(self, whole: _Whole) -> None:
        self._whole -= 1
        if whole.refused:
            self._too_long += whole.left
            self.queue.drop(whole.identifier)
        else:
            self._too_long += whole.left - whole.fragments
            self.queue.accept(whole.identifier)

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


class _Egress(_Flow):
    def _largest(self) -> int:
        return self._link.mtu

    def _hold(self, now_ns: int, packets: Sequence[Packet]) -> None:
        buffer, model, largest = self.queue.buffer, self.model, self._link.mtu
        enqueue = model.enqueue
        overtaking = model.spec.gap or model.spec.jitter_ns
        if self._whole or any(end - start > COPIED for _identifier, start, end in packets):
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
        dequeue, add = self.model.dequeue, self.sender.add
        while (due := dequeue(now_ns)) is not None:
            packet, corrupted = due
            if isinstance(packet, _Whole):
                self.sender.flush()  # what is before it leaves before it
                self._release_part(packet, corrupted=corrupted)
                self.queue.flush()
                continue
            if corrupted:
                packet = self._damage(packet)
            if packet is not None:
                add(packet)
        self.sender.flush()


class _Ingress(_Flow):
    def _largest(self) -> int:
        return FOREVER_NS

    def _hold(self, now_ns: int, packets: Sequence[Packet]) -> None:
        queue, enqueue, spec = self.queue, self.model.enqueue, self.model.spec
        whole, overtaking = spec.duplicate or spec.corrupt, spec.gap or spec.jitter_ns
        for identifier, start, end in packets:
            if end - start > COPIED:
                self._hold_whole(now_ns, identifier, start, end)
                if overtaking:
                    self._release_ahead(now_ns)
                continue
            held = _Held(identifier, queue.buffer[start:end]) if whole else identifier
            if not enqueue(now_ns, end - start + ETHERNET, held):
                queue.drop(identifier)
            elif overtaking:
                self._release_ahead(now_ns)

    def release(self, now_ns: int) -> None:
        dequeue, accept = self.model.dequeue, self.queue.accept
        while (due := dequeue(now_ns)) is not None:
            held, corrupted = due
            if isinstance(held, _Held):
                self._let_go(held, corrupted=corrupted)
            elif isinstance(held, _Whole):
                self._release_part(held, corrupted=corrupted)
            else:
                accept(held)
        self.queue.flush()

    def _let_go(self, held: _Held, *, corrupted: bool) -> None:
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


class UserspaceEngine:
    """Impairs the packets of one interface in this process; see `engine.Engine`.

    Args:
        interface: its name.

    Raises:
        Failure: the interface, a capability, or something in the kernel or on the system is missing, or
            another sidecar is at work here; the message says which.
    """

    name = "userspace"

    def __init__(self, interface: str) -> None:
        self._impairment: Impairment | None = None
        self._serving = False
        self._closing: list[Callable[[], None]] = []
        self._token, self._probes_sent = os.urandom(16), 0
        try:
            self._link = self._keep(Link(interface))
            queues = {direction: self._keep(_open(direction)) for direction in Direction}
            try:
                out, back = (self._keep(Sender(rules.SENT, to)) for to in (interface, None))
                self._probes = {
                    Direction.EGRESS: self._keep(raw_socket(socket.AF_INET, rules.PROBE, interface)),
                    Direction.INGRESS: self._keep(raw_socket(socket.AF_INET, rules.PROBE, None)),
                }
            except OSError as error:
                raise Failure(_reason(error, "send packets as they are", "NET_RAW and NET_ADMIN")) from error
            self._flows: dict[Direction, _Flow] = {
                Direction.INGRESS: _Ingress(queues[Direction.INGRESS], back, self._link, self._token),
                Direction.EGRESS: _Egress(queues[Direction.EGRESS], out, self._link, self._token),
            }
            self._ours = [self._link.fileno(), *(queue.fileno() for queue in queues.values())]
            # Nobody else has the queues now: rules that lead to them are a predecessor's, who was killed.
            self.clear()
            self._rules = rules.Rules(interface)
        except BaseException:
            self.close()
            raise

    def _keep(self, thing: C) -> C:
        self._closing.append(thing.close)
        return thing

    def close(self) -> None:
        """Give back what the engine holds in this process."""
        while self._closing:
            self._closing.pop()()

    def apply(self, impairment: Impairment) -> None:
        """Impair the packets from now on; see `engine.Engine`."""
        models = {}
        for direction in self._flows:
            spec = impairment.of(direction) or Spec()
            table = distributions.load(spec.distribution) if spec.distribution else None
            models[direction] = Model[Waiting](spec, table)
        self._rules.install(impairment.directions, impairment.traffic)
        for direction, flow in self._flows.items():
            flow.change(models[direction])
        self._impairment = impairment

    def clear(self) -> None:
        """Let the packets pass; see `engine.Engine`."""
        changed = rules.sweep()
        self._impairment = None
        for flow in self._flows.values():
            flow.change(Model(Spec()))
            flow.release(FOREVER_NS)
        # What was on its way to a queue when the rules went is in it now.
        give_up = monotonic() + DRAIN_S
        while self._turn((), QUIET_S) or any(
            flow.queue.statistics().waiting for flow in self._flows.values()
        ):
            if monotonic() > give_up:
                raise Failure("packets are left in a queue that no rule leads to any more: expected none")
        rules.tidy(changed)

    def counters(self) -> dict[Direction, Counters]:
        """Return the counts of each direction that is impaired."""
        return {direction: self._flows[direction].counters() for direction in self._impaired()}

    def _impaired(self) -> list[Direction]:
        if self._impairment is None:
            return []
        return [direction for direction in Direction if self._impairment.directions.include(direction)]

    def verify(self) -> None:
        """Check the rules, and that a packet really comes to each queue; see `engine.Engine`.

        Meanwhile packets are handled as ever.
        """
        if self._impairment is None:
            raise Failure("nothing is impaired: expected an impairment to be set")
        flows = {direction: self._flows[direction] for direction in self._impaired()}
        check = self._rules.check(self._impairment.directions, self._impairment.traffic)
        try:
            for direction, flow in flows.items():
                flow.awaited = self._send_probe(direction)
            give_up = monotonic() + VERIFY_S
            while (
                missing := [name for name, flow in flows.items() if flow.awaited is not None]
            ) or check.running():
                if monotonic() > give_up:
                    break
                self._turn(check.running(), QUIET_S)
                if missing and not check.running():
                    check.finish()  # rules that are gone say more than a probe that does not come
            check.finish()
        finally:
            check.close()
        if missing:
            raise Failure(
                f"a probe ({' and '.join(missing)}) did not come to the impairment within {VERIFY_S:g} s: "
                "packets pass it by; look for another firewall rule in the table raw"
            )

    def _send_probe(self, direction: Direction) -> int:
        """Send a probe the way of the packets of a direction, and return its number."""
        self._probes_sent += 1
        payload = PROBE_PAYLOAD.pack(self._token, self._probes_sent)
        # The source of what leaves is the interface's address, which the kernel fills in.
        source, destination = ("0.0.0.0", NOWHERE) if direction is Direction.EGRESS else (HERE, HERE)  # noqa: S104
        packet = udp(source, destination, PROBE_PORT, payload)
        try:
            self._probes[direction].sendto(packet, (destination, 0))
        except OSError as error:
            raise Failure(explain(error, f"send a probe through the rules ({direction})")) from error
        return self._probes_sent

    def serve(self, watch: Mapping[int, Callable[[], None]]) -> None:
        """Handle packets, and call watch[fd] when that descriptor can be read; see `engine.Engine`."""
        # A wait ends when it should, not when it suits the kernel (50 us later).
        ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        self._serving = True
        try:
            while True:
                for fd in self._turn(watch, LONGEST_WAIT_S):
                    if fd in watch:
                        watch[fd]()
                # Who was called may have heard of it first, and kept it to himself.
                if self._link.gone:
                    raise self._link.gone
        finally:
            self._serving = False
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _turn(self, watch: Iterable[int], patience_s: float) -> list[int]:
        """Wait for something to happen, handle the packets that have come, and let go what is due.

        Returns:
            What can be read, of the descriptors in `watch` and of ours.
        """
        now_ns = monotonic_ns()
        wait_ns = int(patience_s * 1e9)
        for flow in self._flows.values():
            next_ns = flow.model.next_ns
            if next_ns is not None:
                wait_ns = min(wait_ns, max(0, next_ns - now_ns))
        readable = self._wait([*self._ours, *watch], wait_ns / 1e9)
        for flow in self._flows.values():
            if flow.fd in readable:
                flow.take()
            else:
                flow.release(monotonic_ns())
        if self._link.fileno() in readable:
            self._link.hear()
        return readable

    def _wait(self, descriptors: list[int], seconds: float) -> list[int]:
        if not self._serving:
            return select.select(descriptors, (), (), seconds)[0]
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        try:
            return select.select(descriptors, (), (), seconds)[0]
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)


def _open(direction: Direction) -> PacketQueue:
    number = rules.QUEUES[direction]
    try:
        return PacketQueue(number)
    except OSError as error:
        if error.errno in TAKEN and is_open(number):
            raise Failure(
                f"queue {number} of this network is taken: another sidecar is at work here, stop it first"
            ) from error
        raise Failure(_reason(error, "open a queue for packets", "NET_ADMIN")) from error


def _reason(error: OSError, what: str, capability: str) -> str:
    if error.errno in {errno.EPERM, errno.EACCES}:
        return f"not allowed to {what}: the capability {capability} is missing"
    if error.errno in NO_QUEUES:
        return f"cannot {what}: this kernel has none (nfnetlink_queue, {error.strerror})"
    return explain(error, what)


def sweep() -> None:
    """Remove what a killed sidecar with this engine has left in this network."""
    # Where the firewall cannot be read, none of ours is there. And without a program that has opened their
    # queue, rules do nothing.
    with suppress(Failure):
        rules.tidy(rules.sweep())


def probe(interface: str) -> str | None:
    """Return None where this engine can work, else the reason; nothing is left behind."""
    try:
        Link(interface).close()
        try:
            PacketQueue(PROBE_QUEUE).close()
        except OSError as error:
            raise Failure(_reason(error, "open a queue for packets", "NET_ADMIN")) from error
        try:
            raw_socket(socket.AF_INET, rules.PROBE, interface).close()
        except OSError as error:
            raise Failure(_reason(error, "send packets as they are", "NET_RAW")) from error
        rules.usable(interface)
    except Failure as failure:
        return str(failure)
    return None
