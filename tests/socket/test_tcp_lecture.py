"""The lecture's TCP server: one line, one client at a time."""

import select
from socket import SHUT_WR

import pytest

from socketlab.observe.socket_table import Row
from tests.socket.conftest import Running
from tests.socket.programs import (
    LOCALHOST,
    TCP,
    Server,
    ask,
    connect,
    port_of,
    receive,
    receive_all,
    reset,
    sockets,
    wait_until,
)


@pytest.fixture
def server(running: Running) -> Server:
    return running("tcp_server")


def connection(server: Server, client_port: int) -> Row | None:
    """Return what the kernel knows of the server's end of a connection."""
    rows = sockets(TCP, server.port)
    return next((row for row in rows if row.peer_port == client_port), None)


def test_lecture_server_closes_after_one_line(server: Server) -> None:
    for _ in range(2):  # and serves the next client on the same port
        with connect(server.port) as client:
            client.sendall(b"hello\n")
            assert receive_all(client) == b"HELLO\n"


def test_lecture_server_answers_a_line_in_pieces(server: Server) -> None:
    with connect(server.port) as client:
        client.sendall(b"stra\xc3")
        assert receive(client, 4) == b"STRA"
        client.sendall(b"\x9fe")
        assert receive(client, 3) == b"SSE"
        client.sendall(b"!\n")
        assert receive_all(client) == b"!\n"


def test_lecture_server_answers_a_sentence_without_a_newline_at_once(server: Server) -> None:
    with connect(server.port) as client:
        client.sendall(b"as the textbook's client sends it")
        assert receive(client, 33) == b"AS THE TEXTBOOK'S CLIENT SENDS IT"


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(b"no newline", b"NO NEWLINE", id="no-newline"),
        pytest.param(b"cut \xe2\x82", b"CUT \xe2\x82", id="cut-character"),
        pytest.param(b"caf\xe9\xff\r\n", b"CAF\xe9\xff\r\n", id="not-utf-8"),
        pytest.param(b"x" * 100_000 + b"\n", b"X" * 100_000 + b"\n", id="long"),
    ],
)
def test_lecture_server_answers_all_of_a_stream_that_ends(
    server: Server, message: bytes, answer: bytes
) -> None:
    with connect(server.port) as client:
        client.sendall(message)
        client.shutdown(SHUT_WR)
        assert receive_all(client) == answer


def test_lecture_server_outlives_a_client_that_resets(server: Server) -> None:
    with connect(server.port) as first:
        first.sendall(b"x")
        assert first.recv(1) == b"X"
        reset(connect(server.port))  # in the queue, not yet accepted
    client = connect(server.port)
    client.sendall(b"y")
    assert client.recv(1) == b"Y"
    reset(client)
    assert ask(TCP, server.port, b"hello\n") == b"HELLO\n"


def test_silent_client_makes_all_others_wait_for_the_lecture_server(server: Server) -> None:
    with connect(server.port) as silent, connect(server.port) as second:
        wait_until("the first connection", lambda: (row := connection(server, port_of(silent))) and row.inode)
        second.sendall(b"hello\n")
        # The systems have shaken hands and the line has arrived, but no program has the connection (inode 0).
        ours, theirs = (f"{LOCALHOST}:{port}" for port in (server.port, port_of(second)))
        waiting = Row(TCP, ours, theirs, "ESTABLISHED", unsent=0, unread=6, inode=0)
        wait_until("the line in the queue", lambda: connection(server, port_of(second)) == waiting)
        assert not select.select([second], [], [], 0.05)[0]
        assert connection(server, port_of(second)) == waiting
        assert [row.state for row in sockets(TCP, server.port) if row.peer_port == 0] == ["LISTEN"]

        silent.shutdown(SHUT_WR)
        assert receive_all(second) == b"HELLO\n"
