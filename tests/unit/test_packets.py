"""A capture read back as packets: every field by the bytes; what is no evidence is refused in one line."""

import struct
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketlab.errors import TraceError
from socketlab.observe.packets import Dns, Icmp, Packet, Reader, packets
from tests.unit.frames import (
    ACK,
    CLIENT,
    FIN,
    MSS_1460,
    NOP,
    PSH,
    SACK_PERMITTED,
    SERVER,
    SYN,
    arp,
    dns_answer,
    dns_query,
    ethernet,
    ipv4,
    pcap,
    record,
    tcp,
    udp,
    window_scale,
)

HELLO = ethernet(ipv4(17, udp(b"hello")))


def read(*frames: bytes) -> list[Packet]:
    return packets(pcap(*(record(frame, number) for number, frame in enumerate(frames))), "client", "eth0")


def test_datagram_is_read_field_by_field() -> None:
    capture = pcap(record(HELLO, 1_700_000_000_123_456_789))
    [packet] = packets(capture, "client", "eth0")
    assert packet == Packet(
        time_ns=1_700_000_000_123_456_789,
        where="client",
        interface="eth0",
        protocol="udp",
        source="172.18.0.3:41273",
        destination="172.18.0.2:12000",
        length=33,
        payload=b"hello",
        raw=HELLO,
    )


@pytest.mark.parametrize(
    ("magic", "order", "time_ns"),
    [
        pytest.param(0xA1B23C4D, "<", 1_000_000_005, id="ns"),
        pytest.param(0xA1B23C4D, ">", 1_000_000_005, id="ns, big end first"),
        pytest.param(0xA1B2C3D4, "<", 1_000_005_000, id="us"),
        pytest.param(0xA1B2C3D4, ">", 1_000_005_000, id="us, big end first"),
    ],
)
def test_file_of_any_machine_is_read(magic: int, order: str, time_ns: int) -> None:
    capture = pcap(record(HELLO, 1_000_000_005, order=order), magic=magic, order=order)
    assert [packet.time_ns for packet in packets(capture, "client", "eth0")] == [time_ns]


def test_filling_of_a_short_frame_is_no_payload() -> None:
    [packet] = read(ethernet(ipv4(17, udp(b"x")) + bytes(17)))
    assert (packet.payload, packet.length) == (b"x", 29)


def test_datagram_may_be_shorter_than_its_packet() -> None:
    [packet] = read(ethernet(ipv4(17, udp(b"hello", length=8 + 3))))
    assert packet.payload == b"hel"


def test_segment_is_read_field_by_field() -> None:
    timestamp = NOP + NOP + struct.pack("!BBII", 8, 10, 111, 222)
    sack = NOP + NOP + struct.pack("!BBIIII", 5, 18, 10, 20, 30, 40)
    [packet] = read(
        ethernet(ipv4(6, tcp(ACK | PSH, 4_000_000_000, 77, b"data", options=timestamp + sack, window=9)))
    )
    assert packet.flags == {"ACK", "PSH"}
    assert (packet.sequence, packet.acknowledgement, packet.payload) == (4_000_000_000, 77, b"data")
    assert packet.options == {"timestamp": (111, 222), "sack": ((10, 20), (30, 40))}
    assert packet.length == 20 + 20 + 32 + 4


def test_syn_has_its_options_and_acknowledges_nothing() -> None:
    [packet] = read(
        ethernet(ipv4(6, tcp(SYN, 5, options=MSS_1460 + SACK_PERMITTED + NOP + NOP + window_scale(7))))
    )
    assert packet.options == {"mss": 1460, "sack_permitted": True, "window_scale": 7}
    assert packet.flags == {"SYN"}
    assert (packet.acknowledgement, packet.payload) == (None, b"")


def handshake(client_options: bytes, server_options: bytes) -> list[bytes]:
    return [
        ethernet(ipv4(6, tcp(SYN, 1, options=client_options, window=64240))),
        ethernet(
            ipv4(
                6, tcp(SYN | ACK, 9, 2, options=server_options, window=65160, ports=(12000, 41273)),
                SERVER, CLIENT,
            )
        ),
        ethernet(ipv4(6, tcp(ACK, 2, 10, window=63))),
        ethernet(ipv4(6, tcp(ACK, 10, 2, window=64, ports=(12000, 41273)), SERVER, CLIENT)),
    ]  # fmt: skip


def test_window_is_scaled_by_its_senders_shift_but_in_a_syn() -> None:
    found = read(*handshake(window_scale(10), window_scale(7)))
    assert [packet.window for packet in found] == [64240, 65160, 63 << 10, 64 << 7]


def test_window_is_not_scaled_where_one_side_cannot() -> None:
    assert [packet.window for packet in read(*handshake(window_scale(10), b""))][2:] == [63, 64]


def test_window_is_unknown_where_no_syn_was_seen_unless_it_is_closed() -> None:
    closed = ethernet(ipv4(6, tcp(ACK, window=0)))
    assert [packet.window for packet in read(*handshake(b"", b"")[2:], closed)] == [None, None, 0]


def test_connection_with_the_same_ports_has_its_own_shift() -> None:
    found = read(*handshake(window_scale(10), window_scale(7)), *handshake(window_scale(1), window_scale(2)))
    assert [packet.window for packet in found][-2:] == [63 << 1, 64 << 2]


def test_connection_whose_answer_was_not_seen_does_not_take_the_shift_of_an_earlier_one() -> None:
    syn, _syn_ack, acknowledgement, _other = handshake(window_scale(1), b"")
    found = read(*handshake(window_scale(10), window_scale(7)), syn, acknowledgement)
    assert found[-1].window is None


def test_dns_is_read_at_its_port_and_at_dockers_server() -> None:
    query = ethernet(ipv4(17, udp(dns_query("server"), (40000, 35140)), "127.0.0.1", "127.0.0.11"))
    answer = ethernet(ipv4(17, udp(dns_answer("server", [SERVER]), (53, 40000)), "127.0.0.11", "127.0.0.1"))
    elsewhere = ethernet(ipv4(17, udp(dns_query("server", kind=28), (40000, 53))))
    none = ethernet(ipv4(17, udp(dns_query("server"), (40000, 12000))))
    assert [packet.dns for packet in read(query, answer, elsewhere, none)] == [
        Dns(0x1234, "server", "A", False, (), "NOERROR"),
        Dns(0x1234, "server", "A", True, (SERVER,), "NOERROR"),
        Dns(0x1234, "server", "AAAA", False, (), "NOERROR"),
        None,
    ]


def test_dns_answer_may_have_several_addresses_or_a_code_and_none() -> None:
    several = ethernet(ipv4(17, udp(dns_answer("server", [SERVER, CLIENT]), (53, 40000))))
    none = ethernet(ipv4(17, udp(dns_answer("nobody", [], code=3), (53, 40000))))
    found = [packet.dns for packet in read(several, none)]
    assert [(dns.addresses, dns.code) for dns in found if dns] == [
        ((SERVER, CLIENT), "NOERROR"),
        ((), "NXDOMAIN"),
    ]


def test_what_is_no_dns_at_its_port_is_a_datagram_like_others() -> None:
    found = read(
        *(ethernet(ipv4(17, udp(text, (40000, 53)))) for text in (b"hello, server", b"", b"\xc0" * 40))
    )
    assert [packet.dns for packet in found] == [None] * 3


def test_refused_datagram_is_quoted_in_the_complaint() -> None:
    quoted = ipv4(17, udp(b"x", (47435, 12001)))
    [packet] = read(ethernet(ipv4(1, bytes((3, 3, 0, 0, 0, 0, 0, 0)) + quoted, SERVER, CLIENT)))
    assert (packet.protocol, packet.source, packet.destination) == ("icmp", SERVER, CLIENT)
    assert packet.icmp == Icmp(3, 3, "172.18.0.3:47435", "172.18.0.2:12001")


def test_echo_quotes_nothing() -> None:
    [packet] = read(ethernet(ipv4(1, bytes((8, 0, 0, 0, 0, 1, 0, 1)))))
    assert packet.icmp == Icmp(8, 0)


def test_fragments_are_parts_of_a_datagram() -> None:
    whole = udp(bytes(range(200)))
    found = read(ethernet(ipv4(17, whole[:104], more=True)), ethernet(ipv4(17, whole[104:], offset=104)))
    assert b"".join(packet.payload for packet in found) == bytes(range(200))
    assert [packet.source for packet in found] == ["172.18.0.3:41273", CLIENT]


def test_neighbours_and_others_have_addresses_and_no_payload() -> None:
    v6 = struct.pack("!IHBB16s16s", 6 << 28, 4, 58, 255, bytes(15) + b"\1", bytes(15) + b"\2") + bytes(4)
    found = read(ethernet(arp(1, CLIENT, SERVER), 0x0806), ethernet(v6, 0x86DD), ethernet(b"x" * 50, 0x88CC))
    assert [(packet.protocol, packet.source, packet.destination) for packet in found] == [
        ("arp", CLIENT, SERVER),
        ("other", "::1", "::2"),
        ("other", None, None),
    ]


def test_packet_of_the_kernels_log_is_unwrapped() -> None:
    packet = ipv4(17, udp(b"hello"))
    attributes = struct.pack("=HH4s", 8, 1, b"\x08\0\0\0") + struct.pack("=HH", 5, 10) + b"\0\0\0\0"
    message = b"\x02\0\x2e\xe3" + attributes + struct.pack("=HH", 4 + len(packet), 9) + packet
    [found] = packets(pcap(record(message), link=239), "server", "inside")
    assert (found.payload, found.raw, found.length) == (b"hello", packet, len(packet))
    assert [header.name for header in found.headers()] == ["IPv4", "UDP", "payload"]


# --- headers


def test_headers_cover_the_frame_in_order() -> None:
    options = NOP + NOP + struct.pack("!BBII", 8, 10, 1, 2)
    [packet] = read(ethernet(ipv4(6, tcp(ACK | PSH, 3, 4, b"hello", options=options))))
    headers = packet.headers()
    assert [(each.name, each.offset, each.length) for each in headers] == [
        ("Ethernet", 0, 14), ("IPv4", 14, 20), ("TCP", 34, 32), ("payload", 66, 5),
    ]  # fmt: skip
    assert headers[0].fields == {
        "destination": "02:42:ac:12:00:02", "source": "02:42:ac:12:00:03", "type": "0x0800 (IPv4)",
    }  # fmt: skip
    assert headers[1].fields["protocol"] == "6 (TCP)"
    assert headers[1].fields["time to live"] == 64
    assert headers[1].fields["checksum"] == "0xbeef"
    assert headers[2].fields["flags"] == "PSH ACK"
    assert headers[2].fields["options"] == {"timestamp": (1, 2)}
    assert headers[3].fields == {"bytes": b"hello"}


def test_headers_of_other_packets() -> None:
    fragment = ethernet(ipv4(17, b"tail", offset=104))
    complaint = ethernet(ipv4(1, bytes((3, 3, 0, 0, 0, 0, 0, 0)) + ipv4(17, udp(b"x"))))
    neighbour = ethernet(arp(2, SERVER, CLIENT), 0x0806)
    names = [[header.name for header in packet.headers()] for packet in read(fragment, complaint, neighbour)]
    assert names == [
        ["Ethernet", "IPv4", "payload"], ["Ethernet", "IPv4", "ICMP", "payload"], ["Ethernet", "ARP"],
    ]  # fmt: skip


# --- what is no evidence


@pytest.mark.parametrize(
    ("capture", "complaint"),
    [
        pytest.param(b"", "expected a capture file, got 0 bytes", id="nothing"),
        pytest.param(pcap()[:20], "expected a capture file, got 20 bytes", id="half a header"),
        pytest.param(b"<html>" + bytes(40), "it begins with b'<htm'", id="something else"),
        pytest.param(pcap(link=113), "link type 113", id="another link"),
        pytest.param(pcap(record(HELLO))[:-1], "cut off in the middle of packet 1", id="cut off"),
        pytest.param(pcap(record(HELLO), record(HELLO)[:9]), "in the middle of packet 2", id="cut off early"),
        pytest.param(pcap(record(HELLO, on_the_wire=99)), "only 47 bytes of 99 are there", id="snapped"),
        pytest.param(pcap(record(HELLO, on_the_wire=3)), "no credible length", id="longer than itself"),
        pytest.param(pcap(record(b"\0" * 9)), "packet 1 contradicts itself", id="half an Ethernet header"),
        pytest.param(pcap(record(ethernet(b""))), "packet 1 contradicts itself", id="no IP header"),
        pytest.param(
            pcap(record(HELLO), record(ethernet(ipv4(17, udp(b"x"), length=99)))),
            "packet 2 contradicts itself: IP version 4, 20 bytes of header and 99 in all, in 29",
            id="IP packet that is longer than its frame",
        ),
        pytest.param(pcap(record(ethernet(ipv4(17, udp(b"x", length=10))))), "a UDP datagram", id="UDP"),
        pytest.param(pcap(record(ethernet(ipv4(17, b"abc")))), "a UDP datagram", id="half of UDP"),
        pytest.param(pcap(record(ethernet(ipv4(6, tcp(ACK)[:18])))), "TCP segment", id="half a TCP header"),
        pytest.param(
            pcap(record(ethernet(ipv4(6, tcp(ACK)[:12] + b"\xf0" + tcp(ACK)[13:])))), "TCP", id="offset"
        ),
        pytest.param(pcap(record(ethernet(ipv4(1, b"\3\3")))), "ICMP message of 2 bytes", id="half of ICMP"),
        pytest.param(pcap(record(ethernet(ipv4(1, b"\3\3" + bytes(6))))), "quotes no IP", id="no quote"),
        pytest.param(pcap(record(b"\2\0\0\0" + bytes(8)), link=239), "no packet in message 1", id="log"),
    ],
)  # fmt: skip
def test_capture_that_is_no_evidence_is_refused(capture: bytes, complaint: str) -> None:
    with pytest.raises(TraceError, match="the capture at server eth0") as refused:
        packets(capture, "server", "eth0")
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


WHOLE = pcap(
    record(HELLO),
    *map(record, handshake(window_scale(10), window_scale(7))),
    record(ethernet(ipv4(17, udp(dns_answer("server", [SERVER]), (53, 40000))))),
    record(ethernet(ipv4(1, bytes((3, 3, 0, 0, 0, 0, 0, 0)) + ipv4(17, udp(b"x"))))),
    record(ethernet(ipv4(6, tcp(FIN | ACK, 3, 4)))),
)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_any_byte_may_be_wrong_and_nothing_but_a_trace_error_comes(place: int, value: int) -> None:
    damaged = WHOLE[:place] + bytes((value,)) + WHOLE[place + 1 :]
    with suppress(TraceError):
        for packet in packets(damaged, "server", "eth0"):
            packet.headers()


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6))
def test_file_that_grows_is_read_as_the_whole(cuts: list[int]) -> None:
    reader, found = Reader("server", "eth0"), []
    edges = [0, *sorted(cuts), len(WHOLE)]
    for begin, end in pairwise(edges):
        found += reader.feed(WHOLE[begin:end])
    reader.end()
    assert found == packets(WHOLE, "server", "eth0")


def test_scapy_is_loaded_when_a_packet_is_read_and_says_nothing() -> None:
    program = (
        "import sys; from socketlab.observe.packets import packets; assert 'scapy' not in sys.modules;"
        f"packets({pcap(record(HELLO))!r}, 'a', 'b'); assert 'scapy' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
