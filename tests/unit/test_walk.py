"""A recording in words: who sent each packet by the journals, and what became of it by both ends."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from socketlab.analyse.authors import Author, authors
from socketlab.observe.packets import Packet, packets
from socketlab.observe.recording import Recording
from socketlab.observe.socket_table import Row
from socketlab.observe.trace import Event
from socketlab.show import walk
from socketlab.show.terminal import Terminal
from tests.unit.frames import (
    ACK,
    CLIENT,
    FIN,
    MSS_1460,
    PSH,
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

MS = 10**6
BACK = (12000, 41273)


def seen(where: str, interface: str, *frames: tuple[float, bytes]) -> list[Packet]:
    return packets(pcap(*(record(frame, int(ms * MS)) for ms, frame in frames)), where, interface)


def call(program: str, event: str, local: str, peer: str, size: int) -> Event:
    protocol = "udp" if event == "sendto" else "tcp"
    return Event(0, program, event, protocol, local, peer, size)


def request(text: bytes = b"hello", number: int = 1) -> bytes:
    return ethernet(ipv4(17, udp(text), identification=number))


def reply(text: bytes = b"HELLO", number: int = 1) -> bytes:
    return ethernet(ipv4(17, udp(text, BACK), SERVER, CLIENT, identification=number))


def out(
    flags: int, sequence: int, ack: int = 0, text: bytes = b"", number: int = 1, options: bytes = b""
) -> bytes:
    return ethernet(ipv4(6, tcp(flags, sequence, ack, text, options=options), identification=number))


def back(
    flags: int, sequence: int, ack: int, text: bytes = b"", number: int = 1, options: bytes = b""
) -> bytes:
    body = tcp(flags, sequence, ack, text, options=options, ports=BACK)
    return ethernet(ipv4(6, body, SERVER, CLIENT, identification=number))


JOURNALS = {
    CLIENT: [
        call("udp_client", "sendto", "0.0.0.0:41273", f"{SERVER}:12000", 5),
        call("tcp_client", "send", f"{CLIENT}:41273", f"{SERVER}:12000", 6),
        call("tcp_client", "send", f"{CLIENT}:41273", f"{SERVER}:12000", 4),
    ],
    SERVER: [
        call("server", "sendto", "0.0.0.0:12000", f"{CLIENT}:41273", 5),
        call("server", "send", f"{SERVER}:12000", f"{CLIENT}:41273", 6),
    ],
}
CONVERSATION = (
    (10, out(SYN, 100, options=MSS_1460 + window_scale(10))),
    (11, back(SYN | ACK, 500, 101, options=MSS_1460 + window_scale(7))),
    (12, out(ACK, 101, 501, number=2)),
    (13, out(ACK | PSH, 101, 501, b"hello\n", 3)),
    (14, back(ACK, 501, 107, number=2)),
    (15, back(ACK | PSH, 501, 107, b"HELLO\n", 3)),
    (16, out(ACK | PSH, 107, 507, b"more", 4)),
    (17, out(ACK | FIN, 111, 507, number=5)),
    (18, back(ACK | FIN, 507, 112, number=4)),
    (19, out(ACK, 112, 508, number=6)),
)


def test_data_have_the_call_that_gave_them_and_nothing_else_has_one() -> None:
    found = authors(seen("client", "eth0", *CONVERSATION), JOURNALS)
    assert [(each.program, each.call, each.number) if each else None for each in found] == [
        ("", "", 0), ("", "", 0), ("", "", 0),
        ("tcp_client", "send", 1), ("", "", 0), ("server", "send", 1), ("tcp_client", "send", 2),
        ("", "", 0), ("", "", 0), ("", "", 0),
    ]  # fmt: skip


def test_datagram_has_its_call_by_address_and_length() -> None:
    found = authors(seen("client", "eth0", (1, request()), (2, reply()), (3, request(b"other"))), JOURNALS)
    assert found == [Author("udp_client", "sendto", 1), Author("server", "sendto", 1), None]


def test_data_that_are_sent_again_are_the_systems_doing() -> None:
    lost = (
        (13.5, out(ACK | PSH, 101, 501, b"hello\n", 9)), (13.6, out(SYN, 100)),
        (17.5, out(ACK | FIN, 111, 507)),
    )  # fmt: skip
    story = sorted((*CONVERSATION, *lost), key=lambda pair: pair[0])
    found = authors(seen("client", "eth0", *story), JOURNALS)
    again = [number for number, each in enumerate(found) if each and each.again]
    assert [story[number][0] for number in again] == [13.5, 13.6, 17.5]


def test_data_whose_place_in_the_stream_is_unknown_have_no_author() -> None:
    assert authors(seen("client", "eth0", CONVERSATION[3]), JOURNALS) == [None]


# --- the walk

NAME_SERVER = "127.0.0.11"
ASKED = ethernet(ipv4(17, udp(dns_query("server"), (40000, 35140)), "127.0.0.1", NAME_SERVER))
TOLD = ethernet(ipv4(17, udp(dns_answer("server", [SERVER]), (53, 40000)), NAME_SERVER, "127.0.0.1"))
HEALTH = ethernet(ipv4(17, udp(b"?"), "127.0.0.2", "127.0.0.1"))
AT_LOOPBACK = ((0, ASKED), (0.25, TOLD), (0.3, HEALTH))
NEIGHBOURS = (
    (0.5, ethernet(arp(1, CLIENT, SERVER), 0x0806)),
    (0.6, ethernet(arp(2, SERVER, CLIENT), 0x0806)),
)


def recording(client: Sequence[Packet], server: Sequence[Packet] = ()) -> Recording:
    near = [packet for packet in client if packet.interface == "eth0"]
    return Recording(client, server, near, server, (CLIENT, SERVER), JOURNALS)


def told(text: str) -> list[str]:
    """Return the first lines of the steps, without their times."""
    return re.findall(r"^ +[\d.]+ ms  (.*)", text, re.MULTILINE)


ONE_END = recording(
    seen("client", "lo", *AT_LOOPBACK)
    + seen("client", "eth0", *NEIGHBOURS, (1, request()), (2, reply()), *CONVERSATION)
)


def test_walk_tells_the_conversations_in_order() -> None:
    text = walk.as_text(walk.walk(ONE_END), Terminal())
    assert told(text) == [
        'client → name server  DNS query: which address has "server"?',
        "name server → client  DNS answer: server is 172.18.0.2",
        "client → server  ARP: who has 172.18.0.2? Tell 172.18.0.3",
        "server → client  ARP: 172.18.0.2 is at 00:00:00:00:00:00",
        "client → server  datagram, 5 bytes",
        "server → client  datagram, 5 bytes",
        "client → server  SYN: asks for a connection",
        "server → client  SYN, ACK: agrees to a connection",
        "client → server  ACK: the connection stands",
        "client → server  data, 6 bytes",
        "server → client  ACK: has got all up to there",
        "server → client  data, 6 bytes",
        "client → server  data, 4 bytes",
        "client → server  FIN: has nothing more to send",
        "server → client  FIN: has nothing more to send",
        "client → server  ACK: has got all up to there",
    ]
    assert (
        text.index("UDP: each")
        < text.index("DNS query")
        < text.index("TCP: a connection")
        < text.index("SYN:")
    )
    assert "by the program udp_client: its 1st sendto()" in text
    assert "by the program tcp_client: its 2nd send()" in text
    assert text.count("by the operating system") == 9
    assert "14 Ethernet + 20 IPv4 + 8 UDP + 5 payload bytes" in text
    assert "seq 0, ack 1, window 500 bytes" in text
    assert f"seq 1, ack 7, window {500 << 7:,} bytes" in text
    assert "LOST" not in text
    assert "127.0.0.2" not in text  # the healthcheck's


@pytest.mark.parametrize("width", [80, 60, 200])
def test_walk_fits_the_terminal_and_80_columns(width: int) -> None:
    text = walk.as_text(walk.walk(ONE_END), Terminal(width))
    assert max(map(len, text.splitlines())) <= min(width, 80)


def test_walk_is_ascii_where_the_terminal_is() -> None:
    packet = seen("client", "eth0", (1, request("straße".encode())))
    text = walk.as_text(walk.walk(recording(packet)), Terminal(unicode=False))
    assert text.isascii()
    assert "client > server" in text
    assert r"stra\xdfe" in text


def test_walk_shows_at_both_ends_what_is_lost() -> None:
    client = seen("client", "eth0", (1, request(number=1)), (2, request(number=2)), (30, reply()))
    server = seen("server", "inside", (12, request(number=2)), (13, reply()), (14, reply(b"X", 2)))
    text = walk.as_text(walk.walk(recording(client, server)), Terminal())
    assert re.findall(r"LOST.*|arrived.*", text) == [
        "LOST: it left client, and did not arrive at server",
        "arrived at server 10.0 ms later",
        "arrived at client 17.0 ms later",
        "LOST: it left server, and did not arrive at client",
    ]


def test_walk_names_the_networks_copies_and_who_was_overtaken() -> None:
    client = seen("client", "eth0", (1, request(number=1)), (2, request(number=2)))
    server = seen("server", "inside", (5, request(number=2)), (6, request(number=1)), (7, request(number=1)))
    text = walk.as_text(walk.walk(recording(client, server)), Terminal())
    told_of = " ".join(text.split())
    assert told_of.count("overtaken by one that had left later") == 1
    assert told_of.count("a copy that the network has made") == 1
    assert told_of.count("by the network: nobody sent it twice") == 1


def test_payload_cannot_move_the_cursor() -> None:
    shown = walk.preview(b"a\x1b[2J\r\n\xff" + b"x" * 60)
    assert shown == '"a\\x1b[2J\\r\\n\\xff' + "x" * 24 + '"...'


def test_recording_of_nothing_is_no_walk() -> None:
    assert walk.as_text(walk.walk(recording([])), Terminal()) == ""


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            ("172.18.0.2:12000", "172.18.0.3:41273", "LAST-ACK"),
            "the server has sent its FIN 2 times, and has got no acknowledgement (LAST-ACK)",
        ),
        (
            ("172.18.0.3:41273", "172.18.0.2:12000", "FIN-WAIT-2"),
            "the client has sent its FIN once, and waits for the other's (FIN-WAIT-2)",
        ),
    ],
)
def test_connection_that_is_still_closing_is_told(row: tuple[str, str, str], said: str) -> None:
    client = seen("client", "eth0", (1, out(ACK | FIN, 111, 507)))
    server = seen("server", "inside", (2, back(ACK | FIN, 507, 112)), (3, back(ACK | FIN, 507, 112)))
    told_of = replace(recording(client, server), closing=[Row("tcp", *row, 1, 0, 0)])
    assert walk.still_closing(told_of) == [f"The connection is still closing: {said}."]
    assert walk.still_closing(recording(client, server)) == []
