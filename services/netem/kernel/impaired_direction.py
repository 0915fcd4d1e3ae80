"""One direction of an interface: two lanes, and the filters that lead packets to one of them."""

import time
from collections.abc import Iterable

import netlink
from lab.failures import Failure
from netem_impairment import Spec, Traffic
from netlink import Netlink

from . import flower, qdisc
from .flower import IPV6, Match
from .inventory import qdiscs
from .lane import Lane
from .netem_message import check_taken, read_netem
from .qdisc import Qdisc
from .traffic_filters import excluded, impaired

# Places of the filters: a set is installed beside the last one, which then is removed.
SETS = (0x6E00, 0x6E10)
EXCLUDED, IMPAIRED = 0, 2  # places in a set, one for IPv4 and one for IPv6 each

TICK_S = 0.02  # between two looks at a lane that runs empty: nothing tells when it is
DRAIN_S = 0.8  # how long packets that wait are waited for: a sidecar is to be gone within a second


class ImpairedDirection:
    """One direction.

    Args:
        route: a netlink socket.
        interface: the index of the one that is impaired.
        filters_at: the qdisc that the filters are in.
        lanes: both.
    """

    def __init__(self, route: Netlink, interface: int, filters_at: int, lanes: list[Lane]) -> None:
        self._route = route
        self._interface = interface
        self._filters_at = filters_at  # the qdisc
        self._lanes = lanes
        self._set = 0
        self._matches: list[tuple[int, Match]] = []
        self._traffic: Traffic | None = None
        self.lane: Lane | None = None

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
    def retiring(self) -> list[Lane]:
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
        check_taken(self.lane.spec, read_netem(self.lane.find(there).options))
        body = qdisc.head(self._interface, parent=self._filters_at)
        found = [
            flower.read_filter(answer)
            for answer in self._route.request(flower.GET_FILTER, body, netlink.DUMP)
        ]
        count = len([one for one in found if one.number and one.kind == "flower"])
        if count != len(self._matches):
            raise Failure(
                f"expected {len(self._matches)} filters, found {count}: somebody changed the traffic control"
            )

    def _free_lane(self) -> Lane:
        until = time.monotonic() + DRAIN_S
        while True:
            self.tidy(qdiscs(self._route))
            for lane in self._lanes:
                if lane.spec is None:
                    return lane
            if time.monotonic() > until:
                raise Failure(
                    "packets of the impairment before the last one still wait: try again when they have left"
                )
            time.sleep(TICK_S)

    def _lead(self, lane: Lane, traffic: Traffic) -> None:
        """Lead the traffic to a lane; at no time is any of it not impaired."""
        before, base = self._matches, SETS[self._set]
        self._matches = []
        for place, match, destination in [
            *((base + EXCLUDED, match, b"") for match in excluded(traffic)),
            *((base + IMPAIRED, match, lane.destination) for match in impaired(traffic)),
        ]:
            priority = place + (match.ether_type == IPV6)
            self._matches.append((priority, match))
            body = flower.flower(self._interface, self._filters_at, priority, match, destination)
            self._route.request(flower.NEW_FILTER, body, netlink.CREATE | netlink.EXCLUSIVE)
        self._set = 1 - self._set
        # Those that impair first: a packet that the old set excludes would else meet its impairment.
        for priority, ether_type in sorted(
            {(place, match.ether_type) for place, match in before}, reverse=True
        ):
            self._delete_filters(priority, ether_type)

    def _delete_filters(self, priority: int, ether_type: int) -> None:
        body = flower.filter_name(self._interface, self._filters_at, priority, ether_type)
        self._route.request(flower.DELETE_FILTER, body)
