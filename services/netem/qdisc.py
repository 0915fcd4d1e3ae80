"""Traffic control as netlink messages: qdiscs and filters, written and read back.

The options of netem are written all of them, always. The kernel's netem_change() leaves as it was what a
message does not mention (correlation, reordering, corruption, rate, slot): a `tc qdisc change` from
"rate 1mbit" to "delay 1ms" keeps the rate. Only a distribution's table cannot be taken back, nor can a dump
show whether there is one.

Source: linux/pkt_sched.h, linux/pkt_cls.h, linux/tc_act/tc_mirred.h; netem_change() and netem_dump() of the
kernel's net/sched/sch_netem.c; tbf_change() of sch_tbf.c.
"""

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from netem_impairment import GilbertElliott, RandomLoss, Slot, Spec, StateLoss
from netlink import Message, attribute, attributes, nested, text, unpacked

NEW_QDISC, DELETE_QDISC, GET_QDISC = 36, 37, 38
NEW_FILTER, DELETE_FILTER, GET_FILTER = 44, 45, 46

HEAD = struct.Struct("=BxxxiIII")  # struct tcmsg: family, interface, handle, parent, info
KIND, OPTIONS, STATISTICS = 1, 2, 7  # attributes of qdiscs and filters (TCA_KIND, TCA_OPTIONS, TCA_STATS2)
BASIC, QUEUE = 1, 3  # attributes in STATISTICS

ROOT, INGRESS = 0xFFFFFFFF, 0xFFFFFFF1  # parents
INGRESS_HANDLE = 0xFFFF0000

TICK_NS = 64  # of the kernel's packet scheduler, in the fields of 32 bits
U32_MAX = 2**32 - 1

# Attributes of netem.
CORRELATION, TABLE, REORDER, CORRUPT, LOSS, RATE, ECN, RATE64 = 1, 2, 3, 4, 5, 6, 7, 8
LATENCY64, JITTER64, SLOT, SLOT_TABLE, SEED = 10, 11, 12, 13, 14
LOSS_STATE, LOSS_GILBERT_ELLIOTT = 1, 2  # in LOSS
NETEM = struct.Struct("=6I")  # latency, limit, loss, gap, duplicate, jitter
PAIR, TRIPLE, FOUR, FIVE = (struct.Struct(f"={count}I") for count in (2, 3, 4, 5))
RATE_FIELDS = struct.Struct("=IiIi")  # rate, packet overhead, cell size, cell overhead
SLOT_FIELDS = struct.Struct("=qqiiqq")  # delays, packets, bytes, delay and jitter of the distribution
SENT = struct.Struct("=QI")  # of statistics: bytes, packets
S64, U64, U32 = struct.Struct("=q"), struct.Struct("=Q"), struct.Struct("=I")


def handle(major: int, minor: int = 0) -> int:
    """Return the number of `major:minor`, as tc writes it."""
    return major << 16 | minor


def head(interface: int, own: int = 0, parent: int = 0, info: int = 0) -> bytes:
    """Return the structure that a message on qdiscs or filters begins with."""
    return HEAD.pack(socket.AF_UNSPEC, interface, own, parent, info)


def qdisc(interface: int, own: int, parent: int, kind: str, options: bytes | None = None) -> bytes:
    """Return the body of a message about one qdisc."""
    body = head(interface, own, parent) + text(KIND, kind)
    return body if options is None else body + attribute(OPTIONS, options)


def netem(spec: Spec, table: Sequence[int] | None = None, slot_table: Sequence[int] | None = None) -> bytes:
    """Return the options of netem for a spec.

    Args:
        spec: what it is to do; without a seed the draws go on as they do, or begin anywhere.
        table: the numbers of spec.distribution, if it has one.
        slot_table: those of spec.slot.distribution.
    """
    slot = spec.slot or Slot()
    random_loss = spec.loss if isinstance(spec.loss, RandomLoss) else RandomLoss(0)
    data = NETEM.pack(
        min(spec.delay_ns // TICK_NS, U32_MAX),
        spec.limit,
        random_loss.probability,
        spec.gap,
        spec.duplicate,
        min(spec.jitter_ns // TICK_NS, U32_MAX),
    )
    data += attribute(
        CORRELATION, TRIPLE.pack(spec.delay_correlation, random_loss.correlation, spec.duplicate_correlation)
    )
    data += attribute(REORDER, PAIR.pack(spec.reorder, spec.reorder_correlation))
    data += attribute(CORRUPT, PAIR.pack(spec.corrupt, spec.corrupt_correlation))
    rate = RATE_FIELDS.pack(min(spec.rate, U32_MAX), spec.packet_overhead, spec.cell_size, spec.cell_overhead)
    data += attribute(RATE, rate)
    if spec.rate > U32_MAX:  # the kernel takes the larger of the two
        data += attribute(RATE64, U64.pack(spec.rate))
    data += attribute(ECN, U32.pack(spec.ecn))
    data += attribute(LATENCY64, S64.pack(spec.delay_ns))
    data += attribute(JITTER64, S64.pack(spec.jitter_ns))
    data += attribute(
        SLOT,
        SLOT_FIELDS.pack(
            slot.min_delay_ns,
            slot.max_delay_ns,
            slot.packets,
            slot.bytes,
            slot.dist_delay_ns,
            slot.dist_jitter_ns,
        ),
    )
    match spec.loss:  # without this attribute the model is the random one
        case StateLoss(p13, p31, p32, p23, p14):
            data += nested(LOSS, attribute(LOSS_STATE, FIVE.pack(p13, p31, p32, p14, p23)))
        case GilbertElliott(p, r, h, k1):
            data += nested(LOSS, attribute(LOSS_GILBERT_ELLIOTT, FOUR.pack(p, r, h, k1)))
    for number, numbers in ((TABLE, table), (SLOT_TABLE, slot_table)):
        if numbers:
            data += attribute(number, struct.pack(f"={len(numbers)}h", *numbers))
    if spec.seed is not None:
        data += attribute(SEED, U64.pack(spec.seed))
    return data


def read_netem(options: bytes) -> Spec:
    """Return the spec that a dump of netem shows.

    It never shows which table is used: `distribution` is None, that of a slot "uniform". A kernel without
    `seed` shows none, others show one also when they chose it themselves.

    Raises:
        ValueError: something in it is shorter than it has to be.
    """
    latency, limit, loss, gap, duplicate, jitter = unpacked(NETEM, options)
    values = attributes(options, NETEM.size)
    delay_correlation, loss_correlation, duplicate_correlation = _read(TRIPLE, values, CORRELATION)
    reorder, reorder_correlation = _read(PAIR, values, REORDER)
    corrupt, corrupt_correlation = _read(PAIR, values, CORRUPT)
    rate, packet_overhead, cell_size, cell_overhead = _read(RATE_FIELDS, values, RATE)
    return Spec(
        limit=limit,
        delay_ns=_read(S64, values, LATENCY64)[0] if LATENCY64 in values else latency * TICK_NS,
        jitter_ns=_read(S64, values, JITTER64)[0] if JITTER64 in values else jitter * TICK_NS,
        delay_correlation=delay_correlation,
        loss=_read_loss(attributes(values.get(LOSS, b"")), loss, loss_correlation),
        ecn=bool(_read(U32, values, ECN)[0]),
        duplicate=duplicate,
        duplicate_correlation=duplicate_correlation,
        corrupt=corrupt,
        corrupt_correlation=corrupt_correlation,
        reorder=reorder,
        reorder_correlation=reorder_correlation,
        gap=gap,
        rate=_read(U64, values, RATE64)[0] or rate,
        packet_overhead=packet_overhead,
        cell_size=cell_size,
        cell_overhead=cell_overhead,
        slot=_read_slot(values),
        seed=_read(U64, values, SEED)[0] if SEED in values else None,
    )


def _read(fields: struct.Struct, values: dict[int, bytes], number: int) -> tuple[int, ...]:
    """Return the numbers of an attribute; zeros where the kernel left it out."""
    return unpacked(fields, values.get(number, bytes(fields.size)))


def _kind(values: dict[int, bytes]) -> str:
    """Return what a qdisc or a filter is called; nothing where the kernel left it out."""
    return values.get(KIND, b"").rstrip(b"\0").decode(errors="replace")


def _read_loss(
    models: dict[int, bytes], loss: int, correlation: int
) -> RandomLoss | StateLoss | GilbertElliott | None:
    if LOSS_STATE in models:
        p13, p31, p32, p14, p23 = _read(FIVE, models, LOSS_STATE)
        return StateLoss(p13, p31, p32, p23, p14)
    if LOSS_GILBERT_ELLIOTT in models:
        return GilbertElliott(*_read(FOUR, models, LOSS_GILBERT_ELLIOTT))
    return RandomLoss(loss, correlation) if loss else None


def _read_slot(values: dict[int, bytes]) -> Slot | None:
    if SLOT not in values:
        return None
    least, most, packets, size, delay, jitter = _read(SLOT_FIELDS, values, SLOT)
    return Slot(least, most, "uniform" if jitter else None, delay, jitter, packets, size)


def as_dumped(spec: Spec) -> Spec:
    """Return what a dump shows of a spec that the kernel has taken whole."""
    slot = replace(spec.slot, distribution="uniform") if spec.slot and spec.slot.distribution else spec.slot
    return replace(spec, distribution=None, slot=slot)


def prio(bands: int) -> bytes:
    """Return the options of a prio qdisc: all that no filter claims goes to the first band."""
    return struct.pack("=i16B", bands, *bytes(16))


TBF_PARAMETERS, TBF_RATE64, TBF_BURST = 1, 4, 6
FAST = 100 * 10**9  # bytes a second: more than any packet's way through the kernel
ETHERNET = 1  # how to count a link's headers: as they are


def tbf(burst: int) -> bytes:
    """Return the options of a token bucket that never waits.

    It is there for what it does on the way in: a packet that is larger than the burst and stands for several
    segments (GSO) is cut into these, so that behind it each segment is impaired by itself.
    """
    unlimited = struct.pack("=BBHhHI", 0, ETHERNET, 0, 0, 0, U32_MAX)
    parameters = unlimited + bytes(len(unlimited)) + struct.pack("=III", U32_MAX, 0, 0)  # peak rate; limit
    return (
        attribute(TBF_PARAMETERS, parameters)
        + attribute(TBF_RATE64, U64.pack(FAST))
        + attribute(TBF_BURST, U32.pack(burst))
    )


@dataclass(frozen=True)
class Statistics:
    """What a qdisc has counted since it was made, and what waits in it."""

    sent_bytes: int
    sent: int
    queued: int
    backlog_bytes: int
    dropped: int
    requeues: int


@dataclass(frozen=True)
class Qdisc:
    """A qdisc that is there."""

    interface: int
    handle: int
    parent: int
    kind: str
    options: bytes
    statistics: Statistics


def read_qdisc(message: Message) -> Qdisc:
    """Return the qdisc of one answer.

    Raises:
        ValueError: it is no qdisc's.
    """
    _family, interface, own, parent, _info = unpacked(HEAD, message.body)
    values = attributes(message.body, HEAD.size)
    counts = attributes(values.get(STATISTICS, b""))
    sent_bytes, sent = _read(SENT, counts, BASIC)
    queued, backlog, dropped, requeues, _over = _read(FIVE, counts, QUEUE)
    kind = _kind(values)
    statistics = Statistics(sent_bytes, sent, queued, backlog, dropped, requeues)
    return Qdisc(interface, own, parent, kind, values.get(OPTIONS, b""), statistics)


# Attributes of flower, and of the action mirred.
CLASS, ACTION, FLAGS, ETHER_TYPE, IP_PROTOCOL = 1, 3, 22, 8, 9
PORTS = {  # of a protocol: source, its mask, destination, its mask
    socket.IPPROTO_TCP: (18, 35, 19, 36),
    socket.IPPROTO_UDP: (20, 37, 21, 38),
}
ICMPV6_TYPE, ICMPV6_TYPE_MASK = 55, 56
SOFTWARE_ONLY = 1  # in FLAGS: not in the network card
ACTION_KIND, ACTION_OPTIONS, MIRRED_PARAMETERS = 1, 2, 2
STOLEN, REDIRECT = 4, 1

IPV4, IPV6 = 0x0800, 0x86DD


@dataclass(frozen=True)
class Match:
    """Packets: of IPv4 or IPv6, and where not None of a protocol, with a port at one end, or of a type."""

    ether_type: int
    protocol: int | None = None
    source_port: int | None = None
    destination_port: int | None = None
    icmpv6_type: int | None = None


def flower(interface: int, parent: int, priority: int, match: Match, destination: bytes) -> bytes:
    """Return the body of a message about one filter of its own priority; the lowest is asked first.

    Args:
        interface: of the qdisc.
        parent: the qdisc.
        priority: the filter's place, and its name: no other has the same.
        match: which packets.
        destination: what becomes of them: `to_class`, `to_interface`, or nothing: they go on.
    """
    options = attribute(FLAGS, U32.pack(SOFTWARE_ONLY)) + destination
    options += attribute(ETHER_TYPE, _big_endian(match.ether_type))
    if match.protocol is not None:
        options += attribute(IP_PROTOCOL, bytes([match.protocol]))
        source, source_mask, target, target_mask = PORTS.get(match.protocol, (0, 0, 0, 0))
        for port, number, mask in (
            (match.source_port, source, source_mask),
            (match.destination_port, target, target_mask),
        ):
            if port is not None:
                options += attribute(number, _big_endian(port)) + attribute(mask, b"\xff\xff")
    if match.icmpv6_type is not None:
        options += attribute(ICMPV6_TYPE, bytes([match.icmpv6_type])) + attribute(ICMPV6_TYPE_MASK, b"\xff")
    return (
        filter_name(interface, parent, priority, match.ether_type)
        + text(KIND, "flower")
        + attribute(OPTIONS, options)
    )


def filter_name(interface: int, parent: int, priority: int, ether_type: int, own: int = 0) -> bytes:
    """Return the part of a message that says which filter it is about; 0: of that number, all."""
    return head(interface, own, parent, priority << 16 | socket.htons(ether_type))


def to_class(own: int) -> bytes:
    """Return the destination of a filter: a class of its qdisc."""
    return attribute(CLASS, U32.pack(own))


def to_interface(interface: int) -> bytes:
    """Return the destination of a filter: another interface, as if the packet were sent there."""
    parameters = struct.pack("=IIiiiiI", 0, 0, STOLEN, 0, 0, REDIRECT, interface)
    options = attribute(MIRRED_PARAMETERS, parameters)
    return nested(ACTION, nested(1, text(ACTION_KIND, "mirred"), nested(ACTION_OPTIONS, options)))


@dataclass(frozen=True)
class Filter:
    """A filter that is there; `number` 0 is the kernel's own entry for all of one priority."""

    priority: int
    ether_type: int
    number: int
    kind: str


def read_filter(message: Message) -> Filter:
    """Return the filter of one answer.

    Raises:
        ValueError: it is no filter's.
    """
    _family, _interface, own, _parent, info = unpacked(HEAD, message.body)
    kind = _kind(attributes(message.body, HEAD.size))
    return Filter(info >> 16, socket.ntohs(info & 0xFFFF), own, kind)


def _big_endian(value: int) -> bytes:
    return value.to_bytes(2, "big")
