"""Engine `kernel`: the qdisc netem of the kernel, set up, changed, read back and removed over netlink.

    egress     interface ── prio ─┬─ first band: all that is not to be impaired
                                  ├─ second ── tbf ── netem
                                  └─ third  ── tbf ── netem

    ingress    interface ── ingress ── mirred ──► netem2a ── tbf ── netem ──► goes on as if just received
                                              └─► netem2b ── tbf ── netem

Netem impairs what leaves an interface. For what arrives there is an ifb: an interface that packets are sent
to, and that gives them back at once. Its qdisc then is where they wait.

A filter decides which packets are impaired; the others draw no numbers. The token bucket never waits: it is
there because it cuts packets that stand for several segments (GSO) into these before netem sees them. Without
it, one draw would lose up to 64 KiB at once.

Of the two lanes of a direction one is used. A change is a change of its netem, in place: packets that wait
keep their time. Only a distribution's table cannot be taken away from a netem; then the filters lead to the
other lane from one packet to the next, and the first is removed when it is empty.
"""

import select
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import netlink
from lab.failures import Failure
from link import Link
from netem_impairment import Counters, Direction, Impairment
from netlink import Netlink

from . import flower, qdisc
from .impaired_direction import DRAIN_S, TICK_S, ImpairedDirection
from .inventory import (
    BANDS,
    LANES,
    ROOT,
    UP,
    explained,
    ifb_names,
    interfaces,
    make_interface,
    qdiscs,
    remove_all,
)
from .lane import Lane

ETHERNET_BYTES = 14 + 4  # header, with a VLAN's tag


class KernelEngine:
    """Impairs an interface's packets by the kernel's netem.

    It keeps what it has made until `clear`. Only one sidecar may be at work in a network: what this engine
    finds of its own kind, on whichever interface, is a killed predecessor's, and is removed.

    Args:
        interface: its name.

    Raises:
        Failure: there is no such interface, or somebody else's traffic control is on it.
    """

    name = "kernel"

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._link = Link(interface)
        self._route = Netlink(netlink.ROUTE)
        self._impaired: dict[Direction, ImpairedDirection] = {}
        self._impairment: Impairment | None = None
        try:
            with explained(f"use the traffic control of {interface}"):
                self._remove()
            self._refuse_foreign()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give back what it holds in this process; the network stays as it is."""
        self._route.close()
        self._link.close()

    def apply(self, impairment: Impairment) -> None:
        """Impair the packets from now on; counts begin anew, and draws where there is a seed.

        Raises:
            Failure: it cannot be done; then nothing is changed.
        """
        before = self._impairment
        try:
            with explained(f"impair {self._interface}"):
                self._establish(impairment)
        except Failure:
            with suppress(Failure, OSError):
                if before is None:
                    self._remove()
                else:
                    self._establish(before)
            raise
        self._impairment = impairment

    def _establish(self, impairment: Impairment) -> None:
        for direction in Direction:
            spec = impairment.of(direction)
            if spec is None:
                if direction in self._impaired:
                    self._impaired[direction].stop()
                continue
            if direction not in self._impaired:
                self._impaired[direction] = self._make(direction)
            self._impaired[direction].apply(spec, impairment.traffic, self._link.mtu + ETHERNET_BYTES)

    def _make(self, direction: Direction) -> ImpairedDirection:
        """Make what is needed once for a direction."""
        flags = netlink.CREATE | netlink.EXCLUSIVE
        if direction is Direction.EGRESS:
            body = qdisc.qdisc(self._link.index, ROOT, qdisc.ROOT, "prio", qdisc.prio(BANDS))
            self._route.request(qdisc.NEW_QDISC, body, flags)
            bands = [ROOT | 2 + number for number in range(len(LANES))]
            lanes = [
                Lane(self._route, self._link.index, band, major, flower.to_class(band))
                for band, major in zip(bands, LANES, strict=True)
            ]
            return ImpairedDirection(self._route, self._link.index, ROOT, lanes)
        lanes = []
        for name, major in zip(ifb_names(self._link.index), LANES, strict=True):
            index = make_interface(self._route, name, "ifb", UP)
            lanes.append(Lane(self._route, index, qdisc.ROOT, major, flower.to_interface(index)))
        body = qdisc.qdisc(self._link.index, qdisc.INGRESS_HANDLE, qdisc.INGRESS, "ingress")
        self._route.request(qdisc.NEW_QDISC, body, flags)
        return ImpairedDirection(self._route, self._link.index, qdisc.INGRESS_HANDLE, lanes)

    def clear(self) -> None:
        """Let the packets pass as if we were not here, and remove all that is ours.

        Those that wait leave in their time, for no netem gives them back before; but those that have to wait
        for longer than DRAIN_S are lost.
        """
        with explained(f"restore {self._interface}"):
            for one in self._impaired.values():
                with suppress(OSError):  # the interface is gone; its filters are, too
                    one.stop()
            until = time.monotonic() + DRAIN_S
            while self._tidy() and time.monotonic() < until:
                time.sleep(TICK_S)
            self._remove()
        self._impairment = None

    def _tidy(self) -> bool:
        """Remove lanes that have run empty; return whether there is one that has not."""
        retiring = [one for one in self._impaired.values() if one.retiring]
        if not retiring:
            return False
        there = qdiscs(self._route)
        for one in retiring:
            one.tidy(there)
        return any(one.retiring for one in retiring)

    def _remove(self) -> None:
        """Remove what is ours, whoever made it."""
        self._impaired = {}
        remove_all(self._route)

    def _refuse_foreign(self) -> None:
        for one in qdiscs(self._route):
            # The kernel's own have no number.
            if one.interface == self._link.index and one.handle and one.parent in {qdisc.ROOT, qdisc.INGRESS}:
                where = "root" if one.parent == qdisc.ROOT else "ingress"
                raise Failure(
                    f"{self._interface} has a qdisc that is not ours, {one.kind} {one.handle >> 16:x}:, "
                    f"expected none: `tc qdisc delete dev {self._interface} {where}` removes it"
                )

    def counters(self) -> dict[Direction, Counters]:
        """Return the counts of each direction that is impaired.

        Raises:
            Failure: the impairment is gone.
        """
        with explained("read the kernel's counters"):
            there = qdiscs(self._route)
        return {
            direction: one.lane.counters(there)
            for direction, one in self._impaired.items()
            if one.lane is not None
        }

    def verify(self) -> None:
        """Check that packets really pass through the impairment.

        Raises:
            Failure: they do not; the message says why.
        """
        with explained("read the kernel's traffic control"):
            if self._link.index not in interfaces(self._route).values():
                raise Failure(f"the interface {self._interface} is gone")
            there = qdiscs(self._route)
            up = interfaces(self._route, UP)
            for direction, one in self._impaired.items():
                one.verify(there)
                ifbs = ifb_names(self._link.index) if direction is Direction.INGRESS else []
                if down := [name for name in ifbs if name not in up]:
                    raise Failure(f"the interface {down[0]} is not up: what arrives is lost")

    def serve(self, watch: Mapping[int, Callable[[], None]]) -> None:
        """Call watch[fd] when that descriptor can be read, for ever; the kernel does the rest.

        Raises:
            Failure: the interface is gone, and with it the host whose network this is.
        """
        poll = select.poll()
        actions: dict[int, Callable[[], None]] = {self._link.fileno(): self._link.hear, **watch}
        for descriptor in actions:
            poll.register(descriptor, select.POLLIN)
        while True:
            with explained("read the kernel's traffic control"):
                waits = self._tidy()
            for descriptor, _events in poll.poll(TICK_S * 1000 if waits else None):
                actions[descriptor]()
