"""Datagrams, as both servers that speak UDP answer them; the quiet one takes many in one call."""

import signal
import struct
from socket import AF_INET, IPPROTO_UDP, SOCK_RAW, socket

import pytest

from tests.socket.conftest import Running, StartServer
from tests.socket.programs import LOCALHOST, UDP, Server, ask, port_of, sockets, udp_socket

TOO_LARGE = b"error: the upper case of this datagram is larger than a datagram can be (65507 bytes)"
LARGEST = 65_507


@pytest.fixture(params=["udp_server", "server", "server --quiet"])
def server(request: pytest.FixtureRequest, running: Running) -> Server:
    return running(*request.param.split())


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        pytest.param(b"hello", b"HELLO", id="letters"),
        pytest.param(b"", b"", id="empty"),
        pytest.param(b"hello\r\n", b"HELLO\r\n", id="line-end-is-kept"),
        pytest.param(b"\x00caf\xe9\xff\xed\xa0\x80", b"\x00CAF\xe9\xff\xed\xa0\x80", id="not-utf-8"),
        pytest.param("straße".encode(), b"STRASSE", id="longer-answer"),
        pytest.param(b"\xc3", b"\xc3", id="cut-character"),
        pytest.param(b"a" * LARGEST, b"A" * LARGEST, id="largest"),
        pytest.param("ŉ".encode() * 21_835, "ŉ".upper().encode() * 21_835, id="answer-just-fits"),
        pytest.param("ŉ".encode() * 21_836, TOO_LARGE, id="answer-does-not-fit"),
        pytest.param("ΐ".encode() * 32_753, TOO_LARGE, id="answer-is-three-times-too-large"),
    ],
)
def test_datagram_is_answered_and_the_server_lives_on(server: Server, message: bytes, answer: bytes) -> None:
    assert ask(UDP, server.port, message) == answer
    assert ask(UDP, server.port, b"still there?") == b"STILL THERE?"


def test_message_boundaries_are_kept(server: Server) -> None:
    messages = [b"a", b"", b"b" * 5000, b"c\nd\n", b"e" * LARGEST, b"f"]
    with udp_socket(connected_to=server.port) as client:
        for message in messages:
            client.send(message)
        assert [client.recv(1 << 16) for _ in messages] == [message.upper() for message in messages]


def test_datagrams_that_have_waited_are_answered_in_order(server: Server) -> None:
    # More than one turn of the loop takes, of all lengths, while the server's process is stopped.
    messages = [b"%d " % number + b"x" * number for number in range(150)]
    assert server.port
    with udp_socket(connected_to=server.port) as one, udp_socket(connected_to=server.port) as two:
        server.send_signal(signal.SIGSTOP)
        try:
            for message in messages:
                (one if len(message) % 3 else two).send(message)
        finally:
            server.send_signal(signal.SIGCONT)
        for message in messages:
            assert (one if len(message) % 3 else two).recv(1 << 16) == message.upper()


def test_clients_get_their_own_answers_through_one_socket(server: Server) -> None:
    before = sockets(UDP, server.port)
    clients = [udp_socket() for _ in range(20)]
    try:
        for number, client in enumerate(clients):
            client.sendto(b"client %d" % number, (LOCALHOST, server.port))
        for number, client in enumerate(clients):
            # The answer comes from the very address and port that the question went to.
            assert client.recvfrom(1 << 16) == (b"CLIENT %d" % number, (LOCALHOST, server.port))
        rows = sockets(UDP, server.port)
        assert [row.inode for row in rows] == [row.inode for row in before]
        assert len(rows) == 1
    finally:
        for client in clients:
            client.close()


def test_client_that_has_gone_harms_nobody(server: Server) -> None:
    with udp_socket(connected_to=server.port) as client:
        for _ in range(20):
            client.send(b"answer this, if you can")
    assert ask(UDP, server.port, b"still there?") == b"STILL THERE?"


def test_server_sees_each_client_at_its_own_port(start_server: StartServer) -> None:
    server = start_server("udp_server")
    with udp_socket(connected_to=server.port) as one, udp_socket(connected_to=server.port) as two:
        for client, message in ((one, b"a"), (two, b"bc"), (one, b"")):
            client.send(message)
            assert client.recv(10) == message.upper()
        expected = [(f"{LOCALHOST}:{port_of(sock)}", size) for sock, size in ((one, 1), (two, 2), (one, 0))]
    server.wait_for_event("sendto", bytes=0)
    for event in ("recvfrom", "sendto"):
        records = [record for record in server.journal() if record["event"] == event]
        assert [(record["peer"], record["bytes"]) for record in records] == expected


def test_answer_that_cannot_be_sent_is_no_end_of_the_server(server: Server) -> None:
    try:
        raw = socket(AF_INET, SOCK_RAW, IPPROTO_UDP)
    except PermissionError:
        pytest.skip("only a raw socket can ask from port 0, and this user may have none")
    with raw, udp_socket(connected_to=server.port) as client:
        server.said()  # makes room in the pipe: a line that finds none is left out
        server.send_signal(signal.SIGSTOP)
        try:
            client.send(b"before")
            # From port 0, where no answer can go: sendto() fails with EINVAL. No checksum.
            raw.sendto(struct.pack("!4H", 0, server.port, 8 + 5, 0) + b"hello", (LOCALHOST, 0))
            client.send(b"behind")
        finally:
            server.send_signal(signal.SIGCONT)
        assert [client.recv(10), client.recv(10)] == [b"BEFORE", b"BEHIND"]
    if not server.quiet:
        assert "Invalid argument" in str(server.wait_for_event("error", peer=f"{LOCALHOST}:0")["note"])
