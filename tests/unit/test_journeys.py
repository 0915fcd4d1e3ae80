"""Two captures of the same packets, matched: whatever a network can do to one, and some that look alike."""

from dataclasses import replace

import pytest

from socketlab.analyse.journeys import Journey, Outcome, journeys
from socketlab.observe.packets import Packet, packets
from tests.unit.frames import (
    ACK,
    CLIENT,
    FIN,
    MSS_1460,
    PSH,
    SERVER,
    SYN,
    ethernet,
    ipv4,
    pcap,
    record,
    tcp,
    udp,
)

MS = 10**6


def seen(where: str, *frames: tuple[int, bytes]) -> list[Packet]:
    """Return packets as they were captured: pairs of a time (ms) and an IP packet."""
    return packets(pcap(*(record(ethernet(frame), ms * MS) for ms, frame in frames)), where, "eth0")


def datagram(number: int, text: bytes = b"hello") -> bytes:
    return ipv4(17, udp(text), identification=number)


def segment(sequence: int, text: bytes = b"data", number: int = 1, flags: int = ACK | PSH) -> bytes:
    return ipv4(6, tcp(flags, sequence, 9, text), identification=number)


def matched(
    left: list[tuple[int, bytes]], arrived: list[tuple[int, bytes]], settled_ms: int | None = None
) -> list[Journey]:
    settled_ns = None if settled_ms is None else settled_ms * MS
    return journeys(seen("client", *left), seen("server", *arrived), (CLIENT, SERVER), settled_ns)


def test_packet_that_arrives_has_both_times() -> None:
    [journey] = matched([(1, datagram(5))], [(4, datagram(5))])
    assert (journey.outcome, journey.left_ns, journey.arrived_ns) == (Outcome.ARRIVED, 1 * MS, 4 * MS)
    assert (journey.sender, journey.packet.where) == (CLIENT, "client")
    assert not any((journey.copy, journey.overtaken, journey.again, journey.damaged))


def test_both_ways_are_matched_in_order_of_leaving() -> None:
    answer = ipv4(17, udp(b"HELLO", (12000, 41273)), SERVER, CLIENT, identification=5)
    found = journeys(
        seen("client", (1, datagram(5)), (9, answer)),
        seen("server", (2, datagram(5)), (3, answer)),
        (CLIENT, SERVER),
    )
    assert [(each.sender, each.left_ns, each.arrived_ns) for each in found] == [
        (CLIENT, 1 * MS, 2 * MS), (SERVER, 3 * MS, 9 * MS),
    ]  # fmt: skip


def test_of_two_alike_the_lost_one_is_known_by_its_number() -> None:
    found = matched([(1, datagram(5)), (2, datagram(6))], [(4, datagram(6))])
    assert [each.outcome for each in found] == [Outcome.LOST, Outcome.ARRIVED]
    assert found[0].arrived_ns is None


def test_one_that_may_still_be_on_its_way_is_unmeasured() -> None:
    found = matched([(1, datagram(5)), (9, datagram(6))], [], settled_ms=8)
    assert [each.outcome for each in found] == [Outcome.LOST, Outcome.UNMEASURED]


def test_second_arrival_is_a_copy_and_takes_nobodys_place() -> None:
    found = matched([(1, datagram(5)), (2, datagram(6))], [(4, datagram(6)), (5, datagram(6))])
    assert [(each.outcome, each.copy) for each in found] == [
        (Outcome.LOST, False), (Outcome.ARRIVED, False), (Outcome.ARRIVED, True),
    ]  # fmt: skip


def test_overtaken_is_the_one_that_left_earlier() -> None:
    found = matched(
        [(1, datagram(5)), (2, datagram(6)), (3, datagram(7))],
        [(4, datagram(6)), (5, datagram(5)), (6, datagram(7))],
    )
    assert [each.overtaken for each in found] == [True, False, False]


def test_retransmission_is_marked_and_the_lost_one_is_the_first() -> None:
    found = matched(
        [(1, segment(100, number=1)), (2, segment(104, number=2)), (9, segment(100, number=3))],
        [(5, segment(104, number=2)), (12, segment(100, number=3))],
    )
    assert [(each.outcome, each.again) for each in found] == [
        (Outcome.LOST, False), (Outcome.ARRIVED, False), (Outcome.ARRIVED, True),
    ]  # fmt: skip
    assert not any(each.overtaken for each in found)  # it left last, though it carries what comes first


def test_segment_that_brings_something_new_is_no_retransmission() -> None:
    found = matched([(1, segment(100, b"abcd")), (2, segment(102, b"cdef", 2))], [])
    assert [each.again for each in found] == [False, False]


def test_handshake_and_farewell_carry_something_and_acknowledgements_nothing() -> None:
    left = [
        (1, segment(100, b"", 1, SYN)), (2, segment(100, b"", 2, SYN)), (3, segment(101, b"", 3, ACK)),
        (4, segment(101, b"", 4, ACK)), (5, segment(101, b"", 5, ACK | FIN)),
        (6, segment(101, b"", 6, ACK | FIN)),
    ]  # fmt: skip
    assert [each.again for each in matched(left, [])] == [False, True, False, False, False, True]


def test_sequence_numbers_go_on_at_zero() -> None:
    top = 2**32 - 2
    left = [(1, segment(top, number=1)), (2, segment(2, number=2)), (3, segment(top, number=3))]
    assert [each.again for each in matched(left, [])] == [False, False, True]


def test_second_connection_with_the_same_ports_begins_anew() -> None:
    left = [(1, segment(5000, number=1)), (2, segment(100, b"", 2, SYN)), (3, segment(101, number=3))]
    assert [each.again for each in matched(left, [])] == [False, False, False]


def test_large_packet_of_tcp_is_cut_as_the_interface_does() -> None:
    syn = ipv4(6, tcp(SYN, 99, options=MSS_1460), identification=9)
    stream = bytes(range(250)) * 14
    large = segment(100, stream, 40)
    cut = [segment(100 + begin, stream[begin : begin + 1460], 40 + number,
                   ACK | PSH if begin else ACK) for number, begin in enumerate((0, 1460))]  # fmt: skip
    end = segment(100 + 2920, stream[2920:], 42)
    [_syn, first, second, third] = matched([(0, syn), (1, large)], [(1, syn), (2, cut[0]), (3, end)])
    assert [each.outcome for each in (first, second, third)] == [
        Outcome.ARRIVED,
        Outcome.LOST,
        Outcome.ARRIVED,
    ]
    assert [len(each.packet.payload) for each in (first, second, third)] == [1460, 1460, 580]


def test_packet_without_a_number_may_be_given_one_on_its_way() -> None:
    syn_ack = segment(100, b"", 0, SYN | ACK)
    found = matched(
        [(1, syn_ack)], [(2, segment(100, b"", 777, SYN | ACK)), (3, segment(100, b"", 778, SYN | ACK))]
    )
    assert [(each.outcome, each.copy) for each in found] == [
        (Outcome.ARRIVED, False),
        (Outcome.ARRIVED, True),
    ]


def test_damaged_packet_is_known_by_its_number() -> None:
    [journey] = matched([(1, datagram(5, b"hello"))], [(2, datagram(5, b"hellp"))])
    assert (journey.outcome, journey.damaged, journey.packet.payload) == (Outcome.ARRIVED, True, b"hello")


def test_packet_that_nobody_sent_arrives_from_nowhere() -> None:
    [journey] = matched([], [(2, datagram(5))])
    assert (journey.left_ns, journey.arrived_ns) == (None, 2 * MS)


def test_arrival_that_is_dated_before_its_leaving_is_matched_all_the_same() -> None:
    # The log "inside" dates a packet when it is read.
    [journey] = matched([(5, segment(100, b"", 0, SYN | ACK))], [(4, segment(100, b"", 7, SYN | ACK))])
    assert journey.outcome is Outcome.ARRIVED


def test_arrivals_long_before_their_leaving_are_of_another_clock() -> None:
    """A capture is dated by its host: where one says that a packet came before it left, no delay is known."""
    answer = ipv4(17, udp(b"HELLO", (12000, 41273)), SERVER, CLIENT, identification=6)
    found = journeys(
        seen("client", (5_000, datagram(5)), (5_030, answer)),
        seen("server", (4_800, datagram(5)), (4_810, answer)),  # 210 ms behind
        (CLIENT, SERVER),
    )
    assert [(each.outcome, each.timed) for each in found] == [(Outcome.ARRIVED, False)] * 2


@pytest.mark.parametrize("stranger", ["172.18.0.9", "172.18.0.20"])
def test_packets_of_others_are_left_out(stranger: str) -> None:
    [packet] = seen("client", (1, datagram(5)))
    other = replace(packet, destination=f"{stranger}:12000")
    assert journeys([other], [], (CLIENT, SERVER)) == []
