"""The byte stream, as the concurrent server answers it: at once, in order, no client in another's way."""

import fcntl
import select
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from socket import AF_INET, SHUT_WR, SO_RCVBUF, SOCK_STREAM, SOL_SOCKET, socket

import pytest

from tests.socket.conftest import Running, StartServer
from tests.socket.programs import (
    DEADLINE_S,
    LOCALHOST,
    TCP,
    UDP,
    Server,
    ask,
    connect,
    in_shell,
    port_of,
    receive,
    receive_all,
    receive_line,
    reset,
    resident_kib,
    sockets,
    wait_until,
)

PIECE = 16_384  # what the server reads at a time, and answers before it reads more


@pytest.fixture
def server(running: Running) -> Server:
    return running("server")


def push(*clients: socket) -> list[int]:
    """Send from all and read nothing until nobody takes any more; return how many bytes went from each."""
    limit = system_buffers() + 4 * PIECE
    sent = dict.fromkeys(clients, 0)
    for client in clients:
        client.setblocking(False)
    while ready := select.select([], clients, [], 0.05)[1]:
        for client in ready:
            sent[client] += client.send(b"x" * 65_536)
            assert sent[client] < limit, f"{sent[client]} bytes were taken from a client that reads nothing"
    for client in clients:
        client.settimeout(DEADLINE_S)
    return list(sent.values())


def reader_with_a_small_buffer(port: int) -> socket:
    """Return a client that has little room for answers."""
    client = socket(AF_INET, SOCK_STREAM)
    client.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
    client.settimeout(DEADLINE_S)
    client.connect((LOCALHOST, port))
    return client


def system_buffers() -> int:
    """Return how many bytes the two systems may hold for one connection, both ways."""
    largest = [
        int(Path(f"/proc/sys/net/ipv4/tcp_{kind}").read_text().split()[2]) for kind in ("rmem", "wmem")
    ]
    return 2 * sum(largest)


def test_stream_is_answered_at_once_wherever_it_is_cut(server: Server) -> None:
    with connect(server.port) as client:
        client.sendall(b"no newline is needed")
        assert receive(client, 20) == b"NO NEWLINE IS NEEDED"
        client.sendall(b"a\nb\r\n\n\0c\xff")
        assert receive(client, 9) == b"A\nB\r\n\n\0C\xff"
        client.sendall(b"stra\xc3")
        assert receive(client, 4) == b"STRA"  # half a character is kept until the rest comes
        client.sendall(b"\x9fe \xe2")
        assert receive(client, 4) == b"SSE "
        client.sendall(b"\x82")
        client.sendall(b"\xac")
        assert receive(client, 3) == "€".encode()


def test_stream_that_ends_is_answered_to_its_last_byte(server: Server) -> None:
    message = ("straße €uro " * 50_000).encode() + b"end \xe2\x82"
    with connect(server.port) as client, ExitStack() as later:
        client.setblocking(False)
        unsent, answer = memoryview(message), bytearray()
        later.callback(unsent.release)
        while unsent:
            readable, writable, _ = select.select([client], [client], [], DEADLINE_S)
            assert readable or writable
            if readable:
                answer += client.recv(1 << 16)
            if writable:
                unsent = unsent[client.send(unsent) :]
        client.settimeout(DEADLINE_S)
        client.shutdown(SHUT_WR)
        answer += receive_all(client)
    assert answer == message[:-2].decode().upper().encode() + b"\xe2\x82"


def test_client_that_closes_without_a_word_is_let_go(server: Server) -> None:
    with connect(server.port) as client:
        client.shutdown(SHUT_WR)
        assert receive_all(client) == b""


def test_every_connection_has_its_own_socket_at_the_same_port(server: Server) -> None:
    with connect(server.port) as one, connect(server.port) as two:
        for client in (one, two):
            client.sendall(b"x")
            assert client.recv(1) == b"X"
        rows = sockets(TCP, server.port)
        assert [row.state for row in rows if not row.peer_port] == ["LISTEN"]
        mine = [row for row in rows if row.peer_port in {port_of(one), port_of(two)}]
        # By socket, not by row: the table is not read in one piece, and what moves meanwhile can come twice.
        states = {(row.peer_port, row.inode): row.state for row in mine}
        assert sorted(port for port, _inode in states) == sorted(map(port_of, (one, two))), rows
        assert set(states.values()) == {"ESTABLISHED"}, rows
        assert len({row.inode for row in rows if row.inode}) >= 3


def test_silent_client_makes_nobody_wait(server: Server) -> None:
    with connect(server.port), connect(server.port) as half:
        half.sendall(b"\xc3")
        assert ask(TCP, server.port, b"hello\n") == b"HELLO\n"
        assert ask(UDP, server.port, b"hello\n") == b"HELLO\n"


def test_client_that_never_ends_its_line_makes_nobody_wait(server: Server) -> None:
    with connect(server.port) as endless:
        for _ in range(10):
            endless.sendall(b"x" * 100_000)
            assert receive(endless, 100_000) == b"X" * 100_000
            assert ask(TCP, server.port, b"hello\n") == b"HELLO\n"


def test_clients_that_send_and_never_read_cost_the_server_a_bounded_memory(start_server: StartServer) -> None:
    server = start_server("server", "--quiet")
    assert ask(TCP, server.port, b"x" * PIECE) == b"X" * PIECE
    before_kib = resident_kib(server.pid)
    with ExitStack() as greedy:
        clients = [greedy.enter_context(reader_with_a_small_buffer(server.port)) for _ in range(8)]
        pushed = push(*clients)
        assert ask(TCP, server.port, b"hello\n") == b"HELLO\n"
        assert ask(UDP, server.port, b"hello\n") == b"HELLO\n"
        grown_kib = resident_kib(server.pid) - before_kib
        # For each client the answer to one piece, in capitals up to three times as long, while the next is
        # made; and half a MiB that Python's allocator may take in advance.
        allowed_kib = len(clients) * 4 * PIECE // 1024 + 512
        assert grown_kib <= allowed_kib
        print(f"pushed {sum(pushed) // 1024} KiB, grown by {grown_kib} KiB, {allowed_kib} allowed")
    assert ask(TCP, server.port, b"hello\n") == b"HELLO\n"


def test_answers_wait_for_a_client_that_reads_late(server: Server) -> None:
    with connect(server.port) as late:
        (pushed,) = push(late)
        late.shutdown(SHUT_WR)
        assert receive_all(late) == b"X" * pushed


def test_journal_has_every_byte_and_why_a_connection_broke(start_server: StartServer) -> None:
    server = start_server("server")
    with connect(server.port) as client:
        for piece in (b"stra\xc3", b"\x9fe ", b"x" * 3 * PIECE):
            client.sendall(piece)
        client.shutdown(SHUT_WR)
        answers = receive_all(client)
        whole = port_of(client)
    with connect(server.port) as client:
        ask(UDP, server.port, b"the connection is accepted before this is answered")
        broken = port_of(client)
        reset(client)
    server.wait_for_event("error", peer=f"{LOCALHOST}:{broken}")
    server.wait_for_number("close", 2)
    assert server.stop().code == 0
    records = server.journal()
    asked = len("straße ".encode()) + 3 * PIECE

    def moved(event: str) -> int:
        peer = f"{LOCALHOST}:{whole}"
        return sum(int(r["bytes"]) for r in records if r["event"] == event and r["peer"] == peer)

    assert (moved("recv"), moved("send")) == (asked, len(answers))
    (error,) = [record for record in records if record["event"] == "error"]
    assert error["peer"] == f"{LOCALHOST}:{broken}"
    assert "Connection reset by peer" in str(error["note"])
    closed = [record["peer"] for record in records if record["event"] == "close"]
    assert closed == [f"{LOCALHOST}:{port}" for port in (whole, broken)]


def test_reset_harms_nobody(server: Server) -> None:
    with connect(server.port) as other:
        for message in (b"", b"hello", b"x" * 100_000):
            client = connect(server.port)
            client.sendall(message)
            reset(client)
        other.sendall(b"still here\n")
        assert receive_line(other) == b"STILL HERE\n"
    wait_until(
        "the end of all other connections",
        lambda: [row.state for row in sockets(TCP, server.port) if row.inode] == ["LISTEN"],
    )


def test_idle_connection_is_closed_and_one_that_moves_bytes_is_not(start_server: StartServer) -> None:
    server = start_server("server", "--idle-timeout", 0.4)
    port = server.port
    begun = time.monotonic()
    with connect(port) as idle, connect(port) as busy:
        closed_after = None
        while closed_after is None or time.monotonic() < begun + 0.5:
            busy.sendall(b"x")
            assert busy.recv(1) == b"X"
            # The pause between two bytes of the busy client; it is over early when the idle one is closed.
            if select.select([idle] if closed_after is None else [], [], [], 0.05)[0]:
                assert idle.recv(1) == b""
                closed_after = time.monotonic() - begun
            assert time.monotonic() < begun + DEADLINE_S, "the idle connection is still open"
        assert closed_after >= 0.4
    assert server.stop().code == 0


def test_client_over_the_limit_is_told_so_and_the_next_one_after_a_leave_is_served(
    start_server: StartServer,
) -> None:
    server = start_server("server", "--max-connections", 2)
    full = b"error: the server is full (2 connections), try again later\n"
    with connect(server.port) as first, connect(server.port) as second:
        for _ in range(2):
            with connect(server.port) as third:
                assert receive_all(third) == full
        with connect(server.port) as third:
            third.sendall(b"hello\n")  # also when its line is already on its way
            assert receive_line(third) == full
        assert ask(UDP, server.port, b"hello") == b"HELLO"
        first.shutdown(SHUT_WR)
        assert receive_all(first) == b""
        assert ask(TCP, server.port, b"hello\n") == b"HELLO\n"
        second.sendall(b"hello\n")
        assert receive_line(second) == b"HELLO\n"


def test_server_lowers_its_limit_to_what_the_system_allows(start_server: StartServer) -> None:
    server = start_server("server", wrap=in_shell('ulimit -n 64; exec "$@"', []))
    room = 64 - 32
    assert server.wait_for_event("limit")["note"] == f"{room} connections at once, not 10000: see ulimit -n"
    with ExitStack() as clients:
        served = [clients.enter_context(connect(server.port)) for _ in range(room)]
        for client in served:
            client.sendall(b"hello\n")
            assert receive_line(client) == b"HELLO\n"
        for _ in range(40):  # more than the process could have open
            with connect(server.port) as one_more:
                assert receive_all(one_more) == (
                    b"error: the server is full (32 connections), try again later\n"
                )
        served[0].shutdown(SHUT_WR)
        assert receive_all(served[0]) == b""
        assert ask(TCP, server.port, b"hello\n") == b"HELLO\n"
    ended = server.stop()
    assert (ended.code, ended.stderr) == (0, b"")


def test_five_hundred_clients_at_once_are_all_answered(start_server: StartServer) -> None:
    server = start_server("server", "--quiet")
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server.port)) for _ in range(500)]
        for turn in range(2):
            for number, client in enumerate(clients):
                client.sendall(b"client %d, turn %d\n" % (number, turn))
            for number, client in enumerate(clients):
                assert receive_line(client) == b"CLIENT %d, TURN %d\n" % (number, turn)


def test_server_that_stops_still_answers_what_it_has_read(start_server: StartServer) -> None:
    server = start_server("server")
    with reader_with_a_small_buffer(server.port) as client:
        fcntl.fcntl(server.output, fcntl.F_SETPIPE_SZ, 1 << 20)  # room for each line of the journal
        push(client)
        server.send_signal(signal.SIGTERM)
        answers = receive_all(client)  # to the end, and no reset before it
    ended = server.finish(1.0)
    assert (ended.code, ended.stderr) == (0, b"")
    records = server.journal()
    assert not any(record["event"] == "left_out" for record in records)
    read = sum(int(record["bytes"]) for record in records if record["event"] == "recv")
    assert answers == b"X" * read
    assert read > PIECE


def test_server_serves_where_the_system_has_no_epoll(start_server: StartServer) -> None:
    code = (
        "import sys; from concurrent_server import event_loop; event_loop.best = event_loop.Poll; "
        "import server; server.run(server.main)"
    )
    # The real command's own file names the folder; its arguments stay.
    script = f'python=$1; cd "$(dirname "$3")"; shift 3; exec "$python" -S -c "{code}" "$@"'
    server = start_server("server", wrap=in_shell(script, []))
    with connect(server.port) as first:
        first.sendall(b"a")
        assert first.recv(1) == b"A"
        for _ in range(3):
            assert ask(TCP, server.port, b"hello\n") == b"HELLO\n"
            assert ask(UDP, server.port, b"hello\n") == b"HELLO\n"
        (pushed,) = push(first)
        first.shutdown(SHUT_WR)
        assert receive_all(first) == b"X" * pushed
    assert server.stop().code == 0
