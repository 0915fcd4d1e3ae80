"""A lane: a token bucket with a netem behind it, made, changed in place, read back, counted, removed."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import distributions
import netlink
from lab.failures import Failure
from netem_impairment import Counters, Spec
from netlink import Netlink

from . import qdisc
from .inventory import qdiscs
from .netem_message import check_taken, netem, read_netem
from .qdisc import Qdisc, handle


@dataclass(frozen=True)
class _Base:
    """What a netem had counted when the impairment was applied."""

    sent_bytes: int = 0
    packets: int = 0
    dropped: int = 0
    requeues: int = 0


class Lane:
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
        options = netem(spec, table, slot_table)
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
        there = self.find(qdiscs(self._route))
        check_taken(spec, read_netem(there.options))
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


def _slot_table(name: str) -> list[int]:
    if name == "uniform":  # which netem has for delays, but not for slots
        return list(range(-distributions.LARGEST // 2, distributions.LARGEST // 2))
    return distributions.load(name)
