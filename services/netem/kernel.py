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

import errno
import re
import select
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace

import distributions
import link
import netlink
import qdisc
from lab.failures import Failure, explain
from link import Link
from netem_impairment import Counters, Direction, Directions, Impairment, Spec, Traffic
from netem_impairment.request import DNS_PORT, ICMPV6_OF_THE_LINK, IGMP
from netlink import Netlink
from qdisc import IPV4, IPV6, Match, Qdisc, handle

# Numbers by which we recognise what is ours, also what a killed predecessor left: "N", "n".
ROOT = handle(0x4E00)
LANES = (0x6E10, 0x6E20)  # the majors of their token buckets; netem has the next
BANDS = 1 + len(LANES)

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58

# Places of the filters: a set is installed beside the last one, which then is removed.
SETS = (0x6E00, 0x6E10)
EXCLUDED, IMPAIRED = 0, 2  # places in a set, one for IPv4 and one for IPv6 each

IFB = re.compile(r"netem(\d+)[ab]")  # of the interface with this index
PROBE = "netem-probe"
# Below the smallest that IPv6 allows, so that IPv6 never uses it: its discovery would draw numbers. Nothing
# that is redirected to an ifb is measured by it.
IFB_MTU = 1000
UP = 1  # flag of an interface
LINK_MTU, LINK_INFO, INFO_KIND = 4, 18, 1  # attributes of an interface

ETHERNET_BYTES = 14 + 4  # header, with a VLAN's tag

# What the kernel says of a kind that it does not have.
UNSUPPORTED = (errno.ENOENT, errno.EOPNOTSUPP)

TICK_S = 0.02  # between two looks at a lane that runs empty: nothing tells when it is
DRAIN_S = 0.8  # how long `clear` waits for packets that wait: a sidecar is to be gone within a second


@dataclass(frozen=True)
class _Base:
    """What a netem had counted when the impairment was applied."""

    sent_bytes: int = 0
    packets: int = 0
    dropped: int = 0
    requeues: int = 0


class _Lane:
    """A token bucket with a netem behind it.

    Args:
        route: a netlink socket.
        interface: the index of the interface that it is on.
        parent: the class it is in, or the root.
        major: of the handle of its token bucket.
        destination: of the filters that lead here.
    """

    def __init__(self, route: Netlink, interface: int, parent: int, major: int, destination: bytes) -> None:
        self.interface = interface
        self.destination = destination
        self.spec: Spec | None = None
        self._route = route
        self._parent = parent
        self.bucket = handle(major)
        self.netem = handle(major + 1)
        self._base = _Base()
        self._has_table = self._has_slot_table = False

    def fits(self, spec: Spec) -> bool:
        """Tell whether its netem can be changed to this one: a table stays where one has been."""
        slot_table = spec.slot.distribution if spec.slot else None
        return not (
            (self._has_table and spec.jitter_ns and not spec.distribution)
            or (self._has_slot_table and spec.slot and not slot_table)
        )

    def set(self, spec: Spec, burst: int) -> None:
        """Make the netem, or change it in place.

        Raises:
            OSError: the kernel refuses.
            Failure: it took something else than it was given, or a table is missing.
        """
        table = distributions.load(spec.distribution) if spec.distribution else None
        slot_name = spec.slot.distribution if spec.slot else None
        slot_table = _slot_table(slot_name) if slot_name else None
        options = qdisc.netem(spec, table, slot_table)
        if self.spec is None:
            flags = netlink.CREATE | netlink.EXCLUSIVE
            bucket = qdisc.qdisc(self.interface, self.bucket, self._parent, "tbf", qdisc.tbf(burst))
            self._route.request(qdisc.NEW_QDISC, bucket, flags)
        else:
            flags = 0
        body = qdisc.qdisc(self.interface, self.netem, self.bucket | 1, "netem", options)
        self._route.request(qdisc.NEW_QDISC, body, flags)
        self.spec = spec
        self._has_table = self._has_table or bool(table)
        self._has_slot_table = self._has_slot_table or bool(slot_table)
        there = self.find(_qdiscs(self._route))
        _compare(spec, qdisc.read_netem(there.options))
        counted = there.statistics
        self._base = _Base(
            counted.sent_bytes + counted.backlog_bytes,
            counted.sent + counted.dropped + counted.queued,
            counted.dropped,
            counted.requeues,
        )

    def find(self, there: Iterable[Qdisc]) -> Qdisc:
        """Return its netem among the qdiscs that are there.

        Raises:
            Failure: it or its token bucket is not there.
        """
        mine = {(one.handle, one.parent, one.kind): one for one in there if one.interface == self.interface}
        for key in ((self.bucket, self._parent, "tbf"), (self.netem, self.bucket | 1, "netem")):
            if key not in mine:
                raise Failure(
                    f"the qdisc {key[2]} {key[0] >> 16:x}: is gone: somebody changed the traffic control"
                )
        return mine[self.netem, self.bucket | 1, "netem"]

    def counters(self, there: Iterable[Qdisc]) -> Counters:
        """Return what its netem counted."""
        counted, base = self.find(there).statistics, self._base
        return Counters(
            packets=counted.sent + counted.dropped + counted.queued - base.packets,
            bytes=counted.sent_bytes + counted.backlog_bytes - base.sent_bytes,
            dropped=counted.dropped - base.dropped,
            over_limit=None,
            overload=None,
            duplicated=None,
            corrupted=None,
            reordered=counted.requeues - base.requeues,
            queued=counted.queued,
        )

    def remove(self) -> None:
        """Remove it, with what waits in it."""
        self.spec = None
        self._has_table = self._has_slot_table = False
        with suppress(OSError):  # it was not made yet, or its interface is gone
            body = qdisc.head(self.interface, self.bucket, self._parent)
            self._route.request(qdisc.DELETE_QDISC, body)


class _Way:
    """One direction: two lanes, and the filters that lead packets to one of them."""

    def __init__(self, route: Netlink, interface: int, filters_at: int, lanes: list[_Lane]) -> None:
        self._route = route
        self._interface = interface
        self._filters_at = filters_at  # the qdisc
        self._lanes = lanes
        self._set = 0
        self._matches: list[tuple[int, Match]] = []
        self._traffic: Traffic | None = None
        self.lane: _Lane | None = None

    def apply(self, spec: Spec, traffic: Traffic, burst: int) -> None:
        """Impair the traffic by the spec from now on.

        Raises:
            OSError, Failure: it cannot be done.
        """
        lane = self.lane
        if lane is None or not lane.fits(spec):
            lane = self._free_lane()
        lane.set(spec, burst)
        if lane is not self.lane or traffic != self._traffic:
            self._lead(lane, traffic)
        self.lane, self._traffic = lane, traffic

    def stop(self) -> None:
        """Impair nothing from now on; what waits leaves in its time."""
        for priority, ether_type in sorted({(place, match.ether_type) for place, match in self._matches}):
            self._delete_filters(priority, ether_type)
        self._matches, self.lane, self._traffic = [], None, None

    @property
    def retiring(self) -> list[_Lane]:
        """The lanes that are not used any more, but may hold packets."""
        return [lane for lane in self._lanes if lane is not self.lane and lane.spec is not None]

    def tidy(self, there: Iterable[Qdisc]) -> None:
        """Remove lanes that are not used any more, when they are empty."""
        for lane in self.retiring:
            try:
                if lane.find(there).statistics.queued:
                    continue
            except Failure:
                pass  # it is gone already
            lane.remove()

    def verify(self, there: list[Qdisc]) -> None:
        """Check that all is as it was made.

        Raises:
            Failure: it is not.
        """
        if self.lane is None or self.lane.spec is None:
            return
        _compare(self.lane.spec, qdisc.read_netem(self.lane.find(there).options))
        body = qdisc.head(self._interface, parent=self._filters_at)
        found = [
            qdisc.read_filter(answer) for answer in self._route.request(qdisc.GET_FILTER, body, netlink.DUMP)
        ]
        count = len([one for one in found if one.number and one.kind == "flower"])
        if count != len(self._matches):
            raise Failure(
                f"expected {len(self._matches)} filters, found {count}: somebody changed the traffic control"
            )

    def _free_lane(self) -> _Lane:
        until = time.monotonic() + DRAIN_S
        while True:
            self.tidy(_qdiscs(self._route))
            for lane in self._lanes:
                if lane.spec is None:
                    return lane
            if time.monotonic() > until:
                raise Failure(
                    "packets of the impairment before the last one still wait: try again when they have left"
                )
            time.sleep(TICK_S)

    def _lead(self, lane: _Lane, traffic: Traffic) -> None:
        """Lead the traffic to a lane; at no time is any of it not impaired."""
        before, base = self._matches, SETS[self._set]
        excluded = [(base + EXCLUDED, match) for match in _excluded(traffic)]
        impaired = [(base + IMPAIRED, match) for match in _impaired(traffic)]
        self._matches = []
        for (place, match), destination in [
            *((one, b"") for one in excluded),
            *((one, lane.destination) for one in impaired),
        ]:
            priority = place + (match.ether_type == IPV6)
            self._matches.append((priority, match))
            body = qdisc.flower(self._interface, self._filters_at, priority, match, destination)
            self._route.request(qdisc.NEW_FILTER, body, netlink.CREATE | netlink.EXCLUSIVE)
        self._set = 1 - self._set
        # Those that impair first: a packet that the old set excludes would else meet its impairment.
        for priority, ether_type in sorted(
            {(place, match.ether_type) for place, match in before}, reverse=True
        ):
            self._delete_filters(priority, ether_type)

    def _delete_filters(self, priority: int, ether_type: int) -> None:
        body = qdisc.filter_name(self._interface, self._filters_at, priority, ether_type)
        self._route.request(qdisc.DELETE_FILTER, body)


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
        self._ways: dict[Direction, _Way] = {}
        self._impairment: Impairment | None = None
        try:
            with _told(f"use the traffic control of {interface}"):
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
            with _told(f"impair {self._interface}"):
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
                if direction in self._ways:
                    self._ways[direction].stop()
                continue
            if direction not in self._ways:
                self._ways[direction] = self._make(direction)
            self._ways[direction].apply(spec, impairment.traffic, self._link.mtu + ETHERNET_BYTES)

    def _make(self, direction: Direction) -> _Way:
        """Make what is needed once for a direction."""
        flags = netlink.CREATE | netlink.EXCLUSIVE
        if direction is Direction.EGRESS:
            body = qdisc.qdisc(self._link.index, ROOT, qdisc.ROOT, "prio", qdisc.prio(BANDS))
            self._route.request(qdisc.NEW_QDISC, body, flags)
            bands = [ROOT | 2 + number for number in range(len(LANES))]
            lanes = [
                _Lane(self._route, self._link.index, band, major, qdisc.to_class(band))
                for band, major in zip(bands, LANES, strict=True)
            ]
            return _Way(self._route, self._link.index, ROOT, lanes)
        lanes = []
        for name, major in zip(self._ifbs(), LANES, strict=True):
            index = _make_link(self._route, name, "ifb", UP)
            lanes.append(_Lane(self._route, index, qdisc.ROOT, major, qdisc.to_interface(index)))
        body = qdisc.qdisc(self._link.index, qdisc.INGRESS_HANDLE, qdisc.INGRESS, "ingress")
        self._route.request(qdisc.NEW_QDISC, body, flags)
        return _Way(self._route, self._link.index, qdisc.INGRESS_HANDLE, lanes)

    def _ifbs(self) -> list[str]:
        return [f"netem{self._link.index}{end}" for end in "ab"]

    def clear(self) -> None:
        """Let the packets pass as if we were not here, and remove all that is ours.

        Those that wait leave in their time, for no netem gives them back before; but those that have to wait
        for longer than DRAIN_S are lost.
        """
        with _told(f"restore {self._interface}"):
            for way in self._ways.values():
                with suppress(OSError):  # the interface is gone; its filters are, too
                    way.stop()
            until = time.monotonic() + DRAIN_S
            while self._tidy() and time.monotonic() < until:
                time.sleep(TICK_S)
            self._remove()
        self._impairment = None

    def _tidy(self) -> bool:
        """Remove lanes that have run empty; return whether there is one that has not."""
        retiring = [way for way in self._ways.values() if way.retiring]
        if not retiring:
            return False
        there = _qdiscs(self._route)
        for way in retiring:
            way.tidy(there)
        return any(way.retiring for way in retiring)

    def _remove(self) -> None:
        """Remove what is ours, whoever made it."""
        self._ways = {}
        _remove(self._route)

    def _refuse_foreign(self) -> None:
        for one in _qdiscs(self._route):
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
        with _told("read the kernel's counters"):
            there = _qdiscs(self._route)
        return {
            direction: way.lane.counters(there)
            for direction, way in self._ways.items()
            if way.lane is not None
        }

    def verify(self) -> None:
        """Check that packets really pass through the impairment.

        Raises:
            Failure: they do not; the message says why.
        """
        with _told("read the kernel's traffic control"):
            if self._link.index not in _links(self._route).values():
                raise Failure(f"the interface {self._interface} is gone")
            there = _qdiscs(self._route)
            up = _links(self._route, UP)
            for direction, way in self._ways.items():
                way.verify(there)
                way_in = [name for name in self._ifbs() if direction is Direction.INGRESS and name not in up]
                if way_in:
                    raise Failure(f"the interface {way_in[0]} is not up: what arrives is lost")

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
            with _told("read the kernel's traffic control"):
                waits = self._tidy()
            for descriptor, _events in poll.poll(TICK_S * 1000 if waits else None):
                actions[descriptor]()


def _compare(asked: Spec, there: Spec) -> None:
    """Check that netem has taken all that it was asked for.

    Raises:
        Failure: it has not; the message names the first option that differs.
    """
    expected = qdisc.as_dumped(asked)
    if expected.seed is None:
        there = replace(there, seed=None)  # one that the kernel chose
    for field in fields(Spec):
        wanted, got = getattr(expected, field.name), getattr(there, field.name)
        if wanted == got:
            continue
        if field.name == "seed" and got is None:
            raise Failure("seed: this kernel's netem has none, Linux 6.6 and newer do: leave it out")
        raise Failure(f"netem: expected {field.name} {wanted}, the kernel has {got}")


def _slot_table(name: str) -> list[int]:
    if name == "uniform":  # which netem has for delays, but not for slots
        return list(range(-distributions.LARGEST // 2, distributions.LARGEST // 2))
    return distributions.load(name)


def _excluded(traffic: Traffic) -> Iterator[Match]:
    """Yield what is left alone: the network's own affairs, and DNS where it is not asked for by its port."""
    yield Match(IPV4, IGMP)
    for number in ICMPV6_OF_THE_LINK:
        yield Match(IPV6, ICMPV6, icmpv6_type=number)
    if traffic.spares_dns:
        yield from _ports((UDP, TCP), DNS_PORT)


def _impaired(traffic: Traffic) -> Iterator[Match]:
    """Yield what is impaired, but for the exceptions."""
    if traffic.port is not None:
        protocols = {"udp": (UDP,), "tcp": (TCP,)}.get(traffic.protocol or "", (UDP, TCP))
        yield from _ports(protocols, traffic.port)
        return
    numbers = {"udp": (UDP, UDP), "tcp": (TCP, TCP), "icmp": (ICMP, ICMPV6)}
    in_ipv4, in_ipv6 = numbers.get(traffic.protocol or "", (None, None))
    yield Match(IPV4, in_ipv4)
    yield Match(IPV6, in_ipv6)


def _ports(protocols: Iterable[int], port: int) -> Iterator[Match]:
    for ether_type in (IPV4, IPV6):
        for protocol in protocols:
            yield Match(ether_type, protocol, source_port=port)
            yield Match(ether_type, protocol, destination_port=port)


def _qdiscs(route: Netlink) -> list[Qdisc]:
    return [qdisc.read_qdisc(one) for one in route.request(qdisc.GET_QDISC, qdisc.head(0), netlink.DUMP)]


def _links(route: Netlink, flags: int = 0) -> dict[str, int]:
    """Return the indexes of the interfaces with these flags, by name."""
    found = route.request(link.LIST, _link_head(0), netlink.DUMP)
    heads = [(one, link.INFO.unpack_from(one.body)) for one in found]
    return {
        netlink.attributes(one.body, link.INFO.size)[link.NAME].rstrip(b"\0").decode(): index
        for one, (_family, _kind, index, has, _change) in heads
        if has & flags == flags
    }


def _remove(route: Netlink) -> None:
    """Remove all that engines of this kind have made in this network, on whichever interface."""
    ours = [(IFB.fullmatch(name), index) for name, index in _links(route).items()]
    ifbs = [(int(match[1]), index) for match, index in ours if match]
    for interface in {interface for interface, _index in ifbs}:
        # The filters in it lead to interfaces that are about to go. Where there is none of these, an ingress
        # qdisc is not ours.
        body = qdisc.head(interface, qdisc.INGRESS_HANDLE, qdisc.INGRESS)
        with suppress(OSError):  # the predecessor had not made it yet, or the interface is gone
            route.request(qdisc.DELETE_QDISC, body)
    for _interface, index in ifbs:
        route.request(link.DELETED, _link_head(index))
    for one in _qdiscs(route):
        if (one.handle, one.kind) == (ROOT, "prio"):
            route.request(qdisc.DELETE_QDISC, qdisc.head(one.interface, parent=qdisc.ROOT))


def sweep() -> None:
    """Remove what a killed sidecar with this engine has left in this network.

    Raises:
        Failure: the system refuses.
    """
    with Netlink(netlink.ROUTE) as route:
        try:
            _remove(route)
        except OSError as error:
            if error.errno not in UNSUPPORTED:  # a kernel without traffic control has nothing of ours
                raise Failure(explain(error, "remove the impairment that a killed sidecar left")) from error


def _link_head(index: int, flags: int = 0) -> bytes:
    return link.INFO.pack(0, 0, index, flags, flags)


def _make_link(route: Netlink, name: str, kind: str, flags: int = 0) -> int:
    """Make an interface and return its index."""
    body = _link_head(0, flags) + netlink.text(link.NAME, name)
    body += netlink.attribute(LINK_MTU, struct.pack("=I", IFB_MTU))
    body += netlink.nested(LINK_INFO, netlink.text(INFO_KIND, kind))
    route.request(link.NEW, body, netlink.CREATE | netlink.EXCLUSIVE)
    return _links(route)[name]


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn the kernel's refusals into failures with one line."""
    try:
        yield
    except OSError as error:
        raise Failure(explain(error, what)) from error


def probe(interface: str, directions: Directions = Directions.BOTH) -> str | None:
    """Return why the kernel cannot impair here, in one line; None where it can. Nothing is left behind.

    It is tried on an interface that nobody uses and that is never up.

    Args:
        interface: the one that is to be impaired.
        directions: what is wanted: without an ifb, packets that arrive cannot be impaired.
    """
    with Netlink(netlink.ROUTE) as route:
        try:
            there = _links(route)
            if interface not in there:
                return f"no network interface {interface!r}: expected one of {', '.join(sorted(there))}"
            if PROBE in there:  # a killed predecessor's
                route.request(link.DELETED, _link_head(there[PROBE]))
            with _spare_interface(route, ingress=directions.include(Direction.INGRESS)) as spare:
                return _lacking(route, spare, ingress=directions.include(Direction.INGRESS))
        except Failure as failure:
            return str(failure)
        except OSError as error:
            if error.errno in {errno.EPERM, errno.EACCES}:
                return "no right to change the network: it needs the capability NET_ADMIN"
            return explain(error, "use the kernel's traffic control")


@contextmanager
def _spare_interface(route: Netlink, *, ingress: bool) -> Iterator[int]:
    """Make an interface to try things on, and remove it.

    Raises:
        Failure: this kernel has none that serves.
    """
    index = 0
    for kind in ("ifb",) if ingress else ("ifb", "dummy", "veth"):
        try:
            index = _make_link(route, PROBE, kind)
            break
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
    if not index and ingress:
        raise Failure("this kernel has no ifb, which packets that arrive need: impair egress alone")
    if not index:
        raise Failure("this kernel has neither ifb nor dummy nor veth to try netem on")
    try:
        yield index
    finally:
        route.request(link.DELETED, _link_head(index))


def _lacking(route: Netlink, spare: int, *, ingress: bool) -> str | None:
    """Return what this kernel lacks, None where it has all that is needed."""
    everything = Match(IPV4)
    first = ROOT | 1
    steps = [
        # Netem first: where it is missing, nothing else is worth being told.
        (
            "sch_netem",
            qdisc.NEW_QDISC,
            qdisc.qdisc(spare, handle(1), qdisc.ROOT, "netem", qdisc.netem(Spec())),
        ),
        ("", qdisc.DELETE_QDISC, qdisc.head(spare, parent=qdisc.ROOT)),
        ("sch_prio", qdisc.NEW_QDISC, qdisc.qdisc(spare, ROOT, qdisc.ROOT, "prio", qdisc.prio(BANDS))),
        ("sch_tbf", qdisc.NEW_QDISC, qdisc.qdisc(spare, handle(1), first, "tbf", qdisc.tbf(IFB_MTU))),
        ("cls_flower", qdisc.NEW_FILTER, qdisc.flower(spare, ROOT, 1, everything, qdisc.to_class(first))),
    ]
    if ingress:
        at = qdisc.INGRESS_HANDLE
        mirred = qdisc.flower(spare, at, 1, everything, qdisc.to_interface(spare))
        steps += [
            ("sch_ingress", qdisc.NEW_QDISC, qdisc.qdisc(spare, at, qdisc.INGRESS, "ingress")),
            ("act_mirred, which packets that arrive need: impair egress alone", qdisc.NEW_FILTER, mirred),
        ]
    for name, kind, body in steps:
        try:
            route.request(kind, body, netlink.CREATE | netlink.EXCLUSIVE if name else 0)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            return f"this kernel has no {name}"
    return None
