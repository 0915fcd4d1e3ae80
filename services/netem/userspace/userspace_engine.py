"""The engine that needs no netem in the kernel: packets queue to this program, and the model decides.

    egress   a program of the host ──► raw OUTPUT ──► queue ──► model ──► on its way in place, or after a
             delay: then dropped from the queue, and sent again by a raw socket. To hold it there would keep
             it charged to the socket it came from, and its TCP would wait
    ingress  the network ──► raw PREROUTING ──► queue ──► model ──► on its way in place, when it is due; the
             kernel holds it until then

A copy (duplicate) is sent by a raw socket: onto the link, or over the loopback interface to this host, where
it arrives as the packet itself does, with the addresses it has.

Nothing is lost but by the model: where packets come faster than this program can take them, or the system
does not take one from us, that is counted by itself (overload).

Rules of the loop: packets are taken in the order in which they came, at most 64 of a direction in a turn;
every packet that was read has its verdict before the turn ends; signals wait for the end of the turn.
"""

import ctypes
import select
import signal
from collections.abc import Callable, Iterable, Mapping
from time import monotonic, monotonic_ns
from typing import Protocol, TypeVar

import distributions
from firewall.marks import SENT
from lab.failures import Failure
from link import Link
from model import Model
from netem_impairment import Counters, Direction, Impairment, Spec

from . import raw_table
from .egress_flow import EgressFlow
from .ingress_flow import IngressFlow
from .packet_flow import Flow, Waiting
from .path_probes import PathProbes
from .raw_sender import Sender
from .rules import Rules
from .userspace_probe import open_queue, reason

PR_SET_TIMERSLACK = 29
LONGEST_WAIT_S = 0.5  # so that a signal in the instant before a wait is noticed
VERIFY_S = 2.0  # for a probe to come, and for the rules to be read back
QUIET_S = 0.005  # when nothing more comes for so long, no packet is on its way to a queue any more
DRAIN_S = 0.5  # a queue that keeps for so long what it has, though nothing comes of it, is a fault
FOREVER_NS = 2**63
STOPS = {signal.SIGINT, signal.SIGTERM}


class _Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


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
        try:
            self._link = self._keep(Link(interface))
            queues = {direction: self._keep(open_queue(direction)) for direction in Direction}
            try:
                out, back = (self._keep(Sender(SENT, to)) for to in (interface, None))
                self._probes = self._keep(PathProbes(interface))
            except OSError as error:
                raise Failure(reason(error, "send packets as they are", "NET_RAW and NET_ADMIN")) from error
            token = self._probes.token
            self._flows: dict[Direction, Flow] = {
                Direction.INGRESS: IngressFlow(queues[Direction.INGRESS], back, self._link, token),
                Direction.EGRESS: EgressFlow(queues[Direction.EGRESS], out, self._link, token),
            }
            self._ours = [self._link.fileno(), *(queue.fileno() for queue in queues.values())]
            # Nobody else has the queues now: rules that lead to them are a predecessor's, who was killed.
            self.clear()
            self._rules = Rules(interface)
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
        changed = raw_table.sweep()
        self._impairment = None
        for flow in self._flows.values():
            flow.change(Model(Spec()))
            flow.release(FOREVER_NS)
        self._drain()
        raw_table.tidy(changed)

    def _drain(self) -> None:
        """Handle what was on its way to a queue when the rules went: it is in it now."""
        give_up = monotonic() + DRAIN_S
        while (handled := self._turn((), QUIET_S)) or any(
            flow.queue.statistics().waiting for flow in self._flows.values()
        ):
            now = monotonic()
            if handled:  # on a busy machine a turn can take longer than DRAIN_S
                give_up = now + DRAIN_S
            elif now > give_up:
                raise Failure("packets are left in a queue that no rule leads to any more: expected none")

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
                flow.awaited = self._probes.send(direction)
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
