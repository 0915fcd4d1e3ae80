"""The interfaces and qdiscs that are there, and how those that are ours are known and removed.

An engine of this kind knows its own by their names and numbers, also what a killed predecessor left.
"""

import errno
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import link
import netlink
from lab.failures import Failure, explain
from netem_impairment.attributes import attribute, attributes, nested, text
from netlink import Netlink

from . import qdisc
from .qdisc import Qdisc, handle

ROOT = handle(0x4E00)  # "N"
LANES = (0x6E10, 0x6E20)  # the majors of their token buckets ("n"); netem has the next
BANDS = 1 + len(LANES)  # of the prio: the first is for all that is not to be impaired
IFB = re.compile(r"netem(\d+)[ab]")  # of the interface with this index

# Below the smallest that IPv6 allows, so that IPv6 never uses it: its discovery would draw numbers. Nothing
# that is redirected to an ifb is measured by it.
IFB_MTU = 1000
UP = 1  # flag of an interface
LINK_MTU, LINK_INFO, INFO_KIND = 4, 18, 1  # attributes of an interface

# What the kernel says of a kind that it does not have.
UNSUPPORTED = (errno.ENOENT, errno.EOPNOTSUPP)


def ifb_names(index: int) -> list[str]:
    """Return the names of the two ifbs of the interface with this index."""
    return [f"netem{index}{end}" for end in "ab"]


def qdiscs(route: Netlink) -> list[Qdisc]:
    """Return all qdiscs of this network."""
    return [qdisc.read_qdisc(one) for one in route.request(qdisc.GET_QDISC, qdisc.head(0), netlink.DUMP)]


def interfaces(route: Netlink, flags: int = 0) -> dict[str, int]:
    """Return the indexes of the interfaces with these flags, by name."""
    found = route.request(link.LIST, link_head(0), netlink.DUMP)
    heads = [(one, link.INFO.unpack_from(one.body)) for one in found]
    return {
        attributes(one.body, link.INFO.size)[link.NAME].rstrip(b"\0").decode(): index
        for one, (_family, _kind, index, has, _change) in heads
        if has & flags == flags
    }


def remove_all(route: Netlink) -> None:
    """Remove all that engines of this kind have made in this network, on whichever interface."""
    ours = [(IFB.fullmatch(name), index) for name, index in interfaces(route).items()]
    ifbs = [(int(match[1]), index) for match, index in ours if match]
    for interface in {interface for interface, _index in ifbs}:
        # The filters in it lead to interfaces that are about to go. Without such an interface, an ingress
        # qdisc is not ours.
        body = qdisc.head(interface, qdisc.INGRESS_HANDLE, qdisc.INGRESS)
        with suppress(OSError):  # the predecessor had not made it yet, or the interface is gone
            route.request(qdisc.DELETE_QDISC, body)
    for _interface, index in ifbs:
        route.request(link.DELETED, link_head(index))
    for one in qdiscs(route):
        if (one.handle, one.kind) == (ROOT, "prio"):
            route.request(qdisc.DELETE_QDISC, qdisc.head(one.interface, parent=qdisc.ROOT))


def sweep() -> None:
    """Remove what a killed sidecar with this engine has left in this network.

    Raises:
        Failure: the system refuses.
    """
    with Netlink(netlink.ROUTE) as route:
        try:
            remove_all(route)
        except OSError as error:
            if error.errno not in UNSUPPORTED:  # a kernel without traffic control has nothing of ours
                raise Failure(explain(error, "remove the impairment that a killed sidecar left")) from error


def link_head(index: int, flags: int = 0) -> bytes:
    """Return the structure that a message on an interface begins with."""
    return link.INFO.pack(0, 0, index, flags, flags)


def make_interface(route: Netlink, name: str, kind: str, flags: int = 0) -> int:
    """Make an interface and return its index."""
    body = link_head(0, flags) + text(link.NAME, name)
    body += attribute(LINK_MTU, struct.pack("=I", IFB_MTU))
    body += nested(LINK_INFO, text(INFO_KIND, kind))
    route.request(link.NEW, body, netlink.CREATE | netlink.EXCLUSIVE)
    return interfaces(route)[name]


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the kernel's refusals into failures with one line."""
    try:
        yield
    except OSError as error:
        raise Failure(explain(error, what)) from error
