"""Qdiscs as netlink messages: written, and read back with their statistics.

Source: linux/pkt_sched.h; tbf_change() of the kernel's net/sched/sch_tbf.c.
"""

import socket
import struct
from dataclasses import dataclass

from netem_impairment.attributes import attribute, attributes, numbers_of, text, unpacked
from netem_impairment.units import U32_MAX
from netlink import Message

NEW_QDISC, DELETE_QDISC, GET_QDISC = 36, 37, 38

HEAD = struct.Struct("=BxxxiIII")  # struct tcmsg: family, interface, handle, parent, info
KIND, OPTIONS, STATISTICS = 1, 2, 7  # attributes of qdiscs and filters (TCA_KIND, TCA_OPTIONS, TCA_STATS2)
BASIC, QUEUE = 1, 3  # attributes in STATISTICS

ROOT, INGRESS = 0xFFFFFFFF, 0xFFFFFFF1  # parents
INGRESS_HANDLE = 0xFFFF0000

SENT = struct.Struct("=QI")  # of statistics: bytes, packets
QUEUED = struct.Struct("=5I")  # packets and bytes that wait, dropped, requeues, overlimits
U32, U64 = struct.Struct("=I"), struct.Struct("=Q")


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


def kind_of(values: dict[int, bytes]) -> str:
    """Return what a qdisc or a filter is called; nothing where the kernel left it out."""
    return values.get(KIND, b"").rstrip(b"\0").decode(errors="replace")


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
    sent_bytes, sent = numbers_of(counts, BASIC, SENT)
    queued, backlog, dropped, requeues, _over = numbers_of(counts, QUEUE, QUEUED)
    kind = kind_of(values)
    statistics = Statistics(sent_bytes, sent, queued, backlog, dropped, requeues)
    return Qdisc(interface, own, parent, kind, values.get(OPTIONS, b""), statistics)
