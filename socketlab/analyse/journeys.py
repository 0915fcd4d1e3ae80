"""Analyse: packets that were captured at both ends of a network, matched: what left, and what became of it.

Between the two captures there must be nothing but the network that is judged. At an interface that is itself
impaired the packets "inside" are meant (`Wire.near_packets`): at the interface a packet is seen that is lost
on its way in, and one is not seen that is lost on its way out.

A packet is known again by its IPv4 identification and by what is in it. TCP may hand the interface one large
packet to cut up (segmentation offload), which the other end sees as segments: it is cut here in the same way.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from socketlab.observe.packets import Packet

USUAL_MSS = 1460  # bytes: 1500 of Ethernet, less the headers of IPv4 and TCP
SEQUENCES = 1 << 32
# The log "inside" dates a packet when it is read, which may be later than an arrival that was dated at once:
# by so much. An arrival that is earlier still is dated by another clock.
READ_LATE_NS = 100_000_000

# Source and destination, of a direction.
Way: TypeAlias = tuple[str | None, str | None]


class Outcome(StrEnum):
    """What became of a packet."""

    ARRIVED = "arrived"
    LOST = "lost"
    UNMEASURED = "unmeasured"  # it may still be on its way


@dataclass(frozen=True)
class Journey:
    """One packet, from one end to the other.

    Attributes:
        packet: as it left; of a copy, as it arrived.
        sender: the address that it left.
        left_ns: when; None: it was never seen to leave, the network made it.
        arrived_ns: when; None: it did not.
        outcome: what became of it.
        again: TCP: all that it carries was sent before (a retransmission).
        copy: the network's own: one like it has arrived already.
        overtaken: one that left later arrived before it (RFC 4737's reordered).
        damaged: it arrived with other bytes.
        timed: its two times are of one clock, as far as is known: the second less the first is a delay.
    """

    packet: Packet
    sender: str
    left_ns: int | None
    arrived_ns: int | None
    outcome: Outcome
    again: bool = False
    copy: bool = False
    overtaken: bool = False
    damaged: bool = False
    timed: bool = True


def journeys(
    one: Sequence[Packet],
    other: Sequence[Packet],
    addresses: tuple[str, str],
    settled_ns: int | None = None,
) -> list[Journey]:
    """Return the journeys of all packets (UDP, TCP, ICMP) between two ends, in order of leaving.

    Args:
        one: the packets captured at one end.
        other: those captured at the other.
        addresses: of the one end and of the other.
        settled_ns: what left later may still be on its way; None: nothing is.
    """
    found = []
    for captured, opposite, sender, receiver in (
        (one, other, addresses[0], addresses[1]),
        (other, one, addresses[1], addresses[0]),
    ):
        leaves = _retransmissions_marked(_segments(_of_way(captured, sender, receiver)))
        found += _matched(leaves, _segments(_of_way(opposite, sender, receiver)), sender, settled_ns)
    early = [journey for journey in found if journey.left_ns is not None and journey.arrived_ns is not None
             and journey.arrived_ns < journey.left_ns - READ_LATE_NS]  # fmt: skip
    if early:
        found = [replace(journey, timed=False) for journey in found]
    return sorted(found, key=lambda journey: journey.left_ns or journey.arrived_ns or 0)


def _of_way(packets: Iterable[Packet], sender: str, receiver: str) -> list[Packet]:
    """Return the packets that go one way, in order of time."""
    found = [packet for packet in packets if packet.identification is not None
             and _host(packet.source) == sender and _host(packet.destination) == receiver]  # fmt: skip
    return sorted(found, key=lambda packet: packet.time_ns)


def _host(address: str | None) -> str:
    return (address or "").partition(":")[0]


@dataclass(frozen=True)
class _Seen:
    """A packet at one end, or a segment of one."""

    packet: Packet
    identification: int
    again: bool = False

    @property
    def content(self) -> tuple[object, ...]:
        """Return what is the same at both ends. Not the checksum: an interface may be left to fill it in."""
        packet = self.packet
        return (packet.protocol, packet.source, packet.destination, packet.payload, packet.sequence,
                packet.acknowledgement, packet.flags, packet.options.get("timestamp"),
                packet.options.get("sack"), packet.icmp)  # fmt: skip

    @property
    def way(self) -> tuple[object, ...]:
        """Return what a damaged one still has."""
        return (self.identification, self.packet.protocol)


def _segments(packets: Iterable[Packet]) -> Iterator[_Seen]:
    """Yield the packets as they are on the wire: large ones of TCP cut into segments."""
    packets = list(packets)
    mss = min((packet.options["mss"] for packet in packets if "mss" in packet.options), default=USUAL_MSS)
    for packet in packets:
        identification = packet.identification or 0
        # Of the maximum segment size the options take their part (tcp_current_mss() in the kernel).
        header = packet.length - len(packet.payload) - 40
        size = max(1, mss - header)
        if packet.protocol != "tcp" or len(packet.payload) <= size:
            yield _Seen(packet, identification)
            continue
        for number, begin in enumerate(range(0, len(packet.payload), size)):
            piece = packet.payload[begin : begin + size]
            last = begin + size >= len(packet.payload)
            segment = replace(
                packet,
                payload=piece,
                sequence=((packet.sequence or 0) + begin) % SEQUENCES,
                length=40 + header + len(piece),
                flags=packet.flags if last else packet.flags - {"PSH", "FIN"},
            )
            yield _Seen(segment, (identification + number) % (1 << 16))


def _retransmissions_marked(leaves: Iterable[_Seen]) -> Iterator[_Seen]:
    """Yield segments as they left; with a mark at those that carry only what was sent before."""
    highest: dict[Way, int] = {}  # the sequence number behind all that was sent
    for seen in leaves:
        packet = seen.packet
        if packet.sequence is None:
            yield seen
            continue
        way = (packet.source, packet.destination)
        carried = len(packet.payload) + len(packet.flags & {"SYN", "FIN"})
        end = (packet.sequence + carried) % SEQUENCES
        is_first_syn = "SYN" in packet.flags and highest.get(way) != end
        if way not in highest or is_first_syn:
            highest[way] = end
            yield seen
            continue
        ahead = (end - highest[way]) % SEQUENCES
        is_new = 0 < ahead < SEQUENCES // 2
        if is_new:
            highest[way] = end
        yield replace(seen, again=bool(carried) and not is_new)


def _matched(
    leaves: Iterable[_Seen], arrivals: Iterable[_Seen], sender: str, settled_ns: int | None
) -> list[Journey]:
    """Return the journeys of one way."""
    left = list(leaves)
    landed: dict[int, _Seen] = {}  # by the number of the one that left
    copies: list[tuple[int, _Seen]] = []
    strangers = []
    # Those that are the same in every respect, in the order of leaving; one more of them is a copy.
    waiting: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    first: dict[tuple[object, ...], int] = {}
    for number, seen in enumerate(left):
        waiting[seen.identification, *seen.content].append(number)
        first.setdefault((seen.identification, *seen.content), number)
    for arrival in arrivals:
        key = (arrival.identification, *arrival.content)
        if waiting[key]:
            landed[waiting[key].pop(0)] = arrival
        elif key in first:
            copies.append((first[key], arrival))
        else:
            strangers.append(arrival)
    damaged = _match_strangers(left, landed, strangers, copies)

    journeys = []
    for number, seen in enumerate(left):
        came = landed.get(number)
        outcome = Outcome.ARRIVED if came else Outcome.LOST
        if came is None and settled_ns is not None and seen.packet.time_ns > settled_ns:
            outcome = Outcome.UNMEASURED
        arrived_ns = came.packet.time_ns if came else None
        journeys.append(
            Journey(
                seen.packet, sender, seen.packet.time_ns, arrived_ns, outcome, seen.again,
                damaged=number in damaged,
            )
        )  # fmt: skip
    journeys += [
        Journey(arrival.packet, sender, left[number].packet.time_ns, arrival.packet.time_ns, Outcome.ARRIVED,
                left[number].again, copy=True)
        for number, arrival in copies
    ]  # fmt: skip
    journeys += [
        Journey(arrival.packet, sender, None, arrival.packet.time_ns, Outcome.ARRIVED)
        for arrival in strangers
    ]
    return _overtaken_marked(journeys)


def _match_strangers(
    left: Sequence[_Seen], landed: dict[int, _Seen], strangers: list[_Seen], copies: list[tuple[int, _Seen]]
) -> set[int]:
    """Match what arrived under another number, or damaged; return the numbers of those that are damaged.

    A packet without identification (0) is given one by the system when the impairment sends it on.
    """
    damaged: set[int] = set()
    for arrival in strangers.copy():
        # No comparison of times: the log "inside" dates a packet when it is read, which may be later.
        alike = [number for number, seen in enumerate(left) if seen.content == arrival.content
                 and 0 in {seen.identification, arrival.identification}]  # fmt: skip
        bent = [number for number, seen in enumerate(left) if seen.way == arrival.way
                and arrival.identification and number not in landed]  # fmt: skip
        free = [number for number in alike if number not in landed]
        if free:
            landed[free[0]] = arrival
        elif alike:
            copies.append((alike[0], arrival))
        elif bent:
            landed[bent[0]] = arrival
            damaged.add(bent[0])
        else:
            continue
        strangers.remove(arrival)
    return damaged


def _overtaken_marked(journeys: list[Journey]) -> list[Journey]:
    """Return them with a mark at each that arrived after one that had left later."""
    latest = 0
    late = set()
    arrived = [
        (journey.arrived_ns, journey.left_ns, number)
        for number, journey in enumerate(journeys)
        if journey.arrived_ns is not None and journey.left_ns is not None and not journey.copy
    ]
    for _arrived_ns, left_ns, number in sorted(arrived):
        if left_ns < latest:
            late.add(number)
        latest = max(latest, left_ns)
    return [replace(journey, overtaken=number in late) for number, journey in enumerate(journeys)]
