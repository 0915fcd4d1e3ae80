"""Whether this kernel can impair here: tried on an interface that nobody uses."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import link
import netlink
from lab.failures import Failure, explain
from netem_impairment import Direction, Directions, Spec
from netlink import Netlink

from . import flower, qdisc
from .flower import IPV4, Match
from .inventory import BANDS, IFB_MTU, ROOT, UNSUPPORTED, interfaces, link_head, make_interface
from .netem_message import netem
from .qdisc import handle

PROBE = "netem-probe"


def probe(interface: str, directions: Directions = Directions.BOTH) -> str | None:
    """Return why the kernel cannot impair here, in one line; None where it can. Nothing is left behind.

    It is tried on an interface that nobody uses and that is never up.

    Args:
        interface: the one that is to be impaired.
        directions: what is wanted: without an ifb, packets that arrive cannot be impaired.
    """
    with Netlink(netlink.ROUTE) as route:
        try:
            there = interfaces(route)
            if interface not in there:
                return f"no network interface {interface!r}: expected one of {', '.join(sorted(there))}"
            if PROBE in there:  # a killed predecessor's
                route.request(link.DELETED, link_head(there[PROBE]))
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
            index = make_interface(route, PROBE, kind)
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
        route.request(link.DELETED, link_head(index))


def _lacking(route: Netlink, spare: int, *, ingress: bool) -> str | None:
    """Return what this kernel lacks, None where it has all that is needed."""
    everything = Match(IPV4)
    first = ROOT | 1
    steps = [
        # Netem first: where it is missing, nothing else is worth being told.
        (
            "sch_netem",
            qdisc.NEW_QDISC,
            qdisc.qdisc(spare, handle(1), qdisc.ROOT, "netem", netem(Spec())),
        ),
        ("", qdisc.DELETE_QDISC, qdisc.head(spare, parent=qdisc.ROOT)),
        ("sch_prio", qdisc.NEW_QDISC, qdisc.qdisc(spare, ROOT, qdisc.ROOT, "prio", qdisc.prio(BANDS))),
        ("sch_tbf", qdisc.NEW_QDISC, qdisc.qdisc(spare, handle(1), first, "tbf", qdisc.tbf(IFB_MTU))),
        ("cls_flower", flower.NEW_FILTER, flower.flower(spare, ROOT, 1, everything, flower.to_class(first))),
    ]
    if ingress:
        at = qdisc.INGRESS_HANDLE
        mirred = flower.flower(spare, at, 1, everything, flower.to_interface(spare))
        steps += [
            ("sch_ingress", qdisc.NEW_QDISC, qdisc.qdisc(spare, at, qdisc.INGRESS, "ingress")),
            ("act_mirred, which packets that arrive need: impair egress alone", flower.NEW_FILTER, mirred),
        ]
    for name, kind, body in steps:
        try:
            route.request(kind, body, netlink.CREATE | netlink.EXCLUSIVE if name else 0)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            return f"this kernel has no {name}"
    return None
