"""Analyse: what congestion control did to a transfer, by what the sender's kernel said. No clock, no I/O.

A transfer is one of the client's `bulk.py`: the program always has more to send, so the congestion window
alone decides how fast it goes. Of each connection there is a look every hundredth of a second.

Source: RFC 5681 (slow start, congestion avoidance, fast retransmit and recovery); the figures are those of
TCP_INFO, and the counters those of /proc/net/netstat.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import harmonic_mean, median

from socketlab.errors import TraceError
from socketlab.observe.evidence import client_host, host_difference
from socketlab.observe.trace import Event
from socketlab.observe.words import on_one_line

NO_THRESHOLD = 0x7FFFFFFF  # TCP_INFINITE_SSTHRESH: nothing was lost yet
# Growth is told by stretches of so many round trips: of shorter ones a look more or less would decide.
SHORTEST_STRETCH = 3


@dataclass(frozen=True)
class Look:
    """What the kernel said of a connection at one time.

    Attributes:
        time_s: since the first look at that transfer.
        cwnd, ssthresh: in segments; a threshold of None: slow start, nothing was lost yet.
        retransmitted: segments sent again since the connection began.
        acked_bytes: that the other side has acknowledged.
        rtt_s: the smoothed round trip time.
    """

    time_s: float
    cwnd: int
    ssthresh: int | None
    retransmitted: int
    acked_bytes: int
    rtt_s: float


@dataclass(frozen=True)
class Fall:
    """The window became smaller: from look to look, until it grew again.

    Attributes:
        time_s: of the first look at which it was smaller.
        before: segments, at the look before that.
        lowest: segments, the smallest window of this fall.
        ssthresh: segments, what the kernel has taken for half of the flight.
    """

    time_s: float
    before: int
    lowest: int
    ssthresh: int | None


@dataclass(frozen=True)
class Transfer:
    """What one run of the program amounts to.

    Attributes:
        congestion: the algorithm, as the kernel calls it.
        segment_bytes: the payload of a full segment.
        connections: the looks at each.
        recoveries: how often the host has entered fast recovery while it ran, on any connection.
        timeouts: how often a retransmission timer ran out.
        retransmitted: segments that the host has sent again.
    """

    congestion: str
    segment_bytes: int
    connections: tuple[tuple[Look, ...], ...]
    recoveries: int
    timeouts: int
    retransmitted: int

    @property
    def rtt_s(self) -> float:
        """The harmonic mean of the smoothed round trip times: what is sent in a second goes by 1 / RTT."""
        return harmonic_mean([look.rtt_s for looks in self.connections for look in looks])


def transfer(events: Sequence[Event]) -> Transfer:
    """Return what the journal of one run says.

    Raises:
        TraceError: it was cut off, is none of a transfer, or its kernel has no TCP_INFO.
    """
    by_name = {event.event: event.facts for event in events if event.event in {"start", "end"}}
    if by_name.keys() != {"start", "end"}:
        raise TraceError("expected the journal of a whole transfer, this one was cut off")
    start = by_name["start"]
    infos = [event for event in events if event.event == "info"]
    if missing := sorted({"congestion", "segment_bytes", "connections"} - start.keys()):
        raise TraceError(f"expected what the transfer was, its journal does not say {', '.join(missing)}")
    looked_at = {event.facts.get("connection") for event in infos}
    count = start["connections"]
    # A journal may say any number: so the looks are counted before connections are.
    if not (0 < count <= len(looked_at) and looked_at >= set(range(1, count + 1))):
        raise TraceError("expected a look at each connection: the transfer was too short")
    try:
        connections = tuple(
            tuple(_look(event, infos[0].time_ns) for event in infos if event.facts["connection"] == number)
            for number in range(1, count + 1)
        )
    except KeyError as error:
        raise TraceError(f"expected TCP_INFO with the fields of Linux, there is no {error}") from error
    before, after = client_host(events)
    counted = {
        name: host_difference(before, after, group, name)
        for group, name in (
            ("TcpExt", "TCPSackRecovery"),
            ("TcpExt", "TCPRenoRecovery"),  # without SACK; NewReno's
            ("TcpExt", "TCPTimeouts"),
            ("Tcp", "RetransSegs"),
        )
    }
    return Transfer(
        on_one_line(start["congestion"]),
        start["segment_bytes"],
        connections,
        recoveries=counted["TCPSackRecovery"] + counted["TCPRenoRecovery"],
        timeouts=counted["TCPTimeouts"],
        retransmitted=counted["RetransSegs"],
    )


def _look(event: Event, begun_ns: int) -> Look:
    facts: Mapping[str, int] = event.facts
    return Look(
        (event.time_ns - begun_ns) / 1e9,
        facts["cwnd"],
        facts["ssthresh"] if facts["ssthresh"] < NO_THRESHOLD else None,
        facts["total_retrans"],
        facts["bytes_acked"],
        facts["rtt_us"] / 1e6,
    )


def mathis_bit_s(segment_bytes: int, rtt_s: float, loss: float) -> float:
    """Return the throughput that random loss leaves to congestion avoidance, in bits of payload a second.

    It is the mean of a saw-tooth: a segment more each round trip, half of it at each loss. Nothing else is
    in it: no slow start, no time-out, no limit of the network, and no delayed acknowledgement that would
    slow the growth (Linux counts the segments that one acknowledges, as RFC 3465 says, so it does not).

    Args:
        segment_bytes: payload of a segment.
        rtt_s: round trip time.
        loss: share of the segments that is lost, above 0.

    Source: Mathis, Semke, Mahdavi and Ott, "The macroscopic behavior of the TCP congestion avoidance
        algorithm", Computer Communication Review 27 (1997).
    """
    return 8 * segment_bytes / rtt_s * sqrt(1.5 / loss)


def goodput_bit_s(looks: Sequence[Look], from_s: float) -> float:
    """Return how many bits of payload a second were acknowledged, from a time on until the last look.

    Raises:
        TraceError: there are no two looks from then on.
    """
    counted = [look for look in looks if look.time_s >= from_s]
    if len(counted) < 2:
        raise TraceError(f"expected looks beyond {from_s:g} s, the transfer ended before")
    took_s = counted[-1].time_s - counted[0].time_s
    return 8 * (counted[-1].acked_bytes - counted[0].acked_bytes) / took_s


def falls(looks: Sequence[Look]) -> list[Fall]:
    """Return each time that the window became smaller.

    The kernel takes a round trip for it (proportional rate reduction, RFC 6937), so a fall is several looks
    long, and two losses in one round trip are one fall: as they are one episode of fast recovery.
    """
    found: list[Fall] = []
    falling = False
    for before, look in pairwise(looks):
        if look.cwnd < before.cwnd:
            first = found.pop() if falling else Fall(look.time_s, before.cwnd, look.cwnd, None)
            found.append(Fall(first.time_s, first.before, look.cwnd, look.ssthresh))
        falling = look.cwnd < before.cwnd or (falling and look.cwnd == before.cwnd)
    return found


def halving(found: Sequence[Fall]) -> float | None:
    """Return by what the window was multiplied, median over falls: the new threshold by the window before.

    None: there was no fall.
    """
    shares = [fall.ssthresh / fall.before for fall in found if fall.ssthresh is not None]
    return median(shares) if shares else None


def growth(looks: Sequence[Look]) -> float | None:
    """Return by how many segments a round trip the window grew, where it was in congestion avoidance.

    That is between two falls, from where the window has reached its threshold. None: never for long enough.
    """
    gained = trips = 0.0
    stretch: list[Look] = []
    for look in looks:
        if stretch and look.cwnd < stretch[-1].cwnd:
            gained, trips = gained + _gain(stretch), trips + _trips(stretch)
            stretch = []
        elif look.ssthresh is not None and look.cwnd >= look.ssthresh:
            stretch.append(look)
    gained, trips = gained + _gain(stretch), trips + _trips(stretch)
    return gained / trips if trips else None


def _trips(stretch: Sequence[Look]) -> float:
    """Return how many round trips a stretch lasted; 0 where that is too short to tell anything."""
    if not stretch:
        return 0.0
    trips = (stretch[-1].time_s - stretch[0].time_s) / median(look.rtt_s for look in stretch)
    return trips if trips >= SHORTEST_STRETCH else 0.0


def _gain(stretch: Sequence[Look]) -> float:
    return stretch[-1].cwnd - stretch[0].cwnd if _trips(stretch) else 0.0
