"""Filters as netlink messages: the classifier flower, which leads packets to a class or an interface.

Source: linux/pkt_cls.h, linux/tc_act/tc_mirred.h.
"""

import socket
import struct
from dataclasses import dataclass

from netem_impairment.attributes import attribute, attributes, nested, text, unpacked
from netlink import Message

from .qdisc import HEAD, KIND, OPTIONS, U32, head, kind_of

NEW_FILTER, DELETE_FILTER, GET_FILTER = 44, 45, 46

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
    kind = kind_of(attributes(message.body, HEAD.size))
    return Filter(info >> 16, socket.ntohs(info & 0xFFFF), own, kind)


def _big_endian(value: int) -> bytes:
    return value.to_bytes(2, "big")
