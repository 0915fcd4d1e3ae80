"""The TCP side of the concurrent server, with sockets and a clock that the tests step themselves."""

import errno
import itertools
import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from socket import AF_INET, SHUT_WR, SOCK_STREAM, socket
from typing import cast

import pytest
from concurrent_server.connection_socket import PIECE
from concurrent_server.event_loop import FROM_THE_LINE, NOTHING, READ, WRITE, EventLoop
from concurrent_server.welcoming_socket import ACCEPTS_PER_TURN, EXHAUSTED, LOOK_S, TcpClients
from hypothesis import given
from hypothesis import strategies as st
from lab.journal import Journal
from uppercase import upper

SERVER = ("192.0.2.1", 12000)
WELCOMING_FD = 3


class FakeSocket:
    """A connection socket that has nothing behind it.

    Attributes:
        incoming: what `recv` returns or raises, one after the other; then it would block.
        room: how many bytes `send` still takes; None for any number.
        sent: the bytes that it took.
    """

    type = SOCK_STREAM
    family = AF_INET

    def __init__(self, fd: int, *incoming: bytes | OSError, room: int | None = None) -> None:
        self.fd = fd
        self.address = ("192.0.2.7", 40_000 + fd)
        self.incoming = deque(incoming)
        self.room = room
        self.sent = bytearray()
        self.send_error: OSError | None = None
        self.shutdown_error: OSError | None = None
        self.blocking = True
        self.shut = False
        self.closed = False

    def fileno(self) -> int:
        """Return its number."""
        return self.fd

    def getsockname(self) -> tuple[str, int]:
        """Return the server's address, as for every connection socket."""
        return SERVER

    def setblocking(self, blocking: bool) -> None:
        """Remember it."""
        self.blocking = blocking

    def recv(self, size: int) -> bytes:
        """Return what comes next, not more than `size` bytes of it."""
        assert not self.closed
        assert not self.blocking
        if not self.incoming:
            raise BlockingIOError
        piece = self.incoming.popleft()
        if isinstance(piece, OSError):
            raise piece
        if len(piece) > size:
            self.incoming.appendleft(piece[size:])
        return piece[:size]

    def send(self, data: bytes) -> int:
        """Take what there is room for."""
        assert not self.closed
        assert not self.shut
        assert not self.blocking
        assert data
        if self.send_error is not None:
            raise self.send_error
        taken = data if self.room is None else data[: self.room]
        if not taken:
            raise BlockingIOError
        if self.room is not None:
            self.room -= len(taken)
        self.sent += taken
        return len(taken)

    def shutdown(self, how: int) -> None:
        """Say that no more will be sent."""
        assert how == SHUT_WR
        if self.shutdown_error is not None:
            raise self.shutdown_error
        self.shut = True

    def close(self) -> None:
        """Close it, once."""
        assert not self.closed
        self.closed = True


class FakeWelcomingSocket(FakeSocket):
    """A welcoming socket at which these clients wait."""

    def __init__(self, *waiting: FakeSocket | OSError) -> None:
        super().__init__(WELCOMING_FD)
        self.waiting = deque(waiting)

    def accept(self) -> tuple[FakeSocket, tuple[str, int]]:
        """Return the next client, or raise what stands in its place."""
        if not self.waiting:
            raise BlockingIOError
        client = self.waiting.popleft()
        if isinstance(client, OSError):
            raise client
        return client, client.address


class FakeReadiness:
    """Remembers what is watched for.

    Attributes:
        ready: what the next call of `poll` returns.
    """

    def __init__(self) -> None:
        self.watched: dict[int, int] = {}
        self.ready: list[int] = []

    def register(self, fd: int, eventmask: int, /) -> None:
        """Watch a descriptor that has just come into being."""
        self.watched[fd] = eventmask

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Watch it for something else."""
        assert fd in self.watched
        self.watched[fd] = eventmask

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """Return whom the test has made ready, at once."""
        del timeout
        ready, self.ready = self.ready, []
        return [(fd, READ) for fd in ready]


class Server:
    """What is under test, and all that it can see."""

    def __init__(
        self, *waiting: FakeSocket | OSError, limit: float = 100, idle_timeout: float = 10.0
    ) -> None:
        self.now_s = 0.0
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("concurrent_server.event_loop.monotonic", lambda: self.now_s)
        self.sockets = {each.fd: each for each in waiting if isinstance(each, FakeSocket)}
        self.patch.setattr(
            "concurrent_server.connection_socket.read", lambda fd, size: self.sockets[fd].recv(size)
        )
        self.log_reader, self.log_writer = os.pipe()
        os.set_blocking(self.log_reader, False)
        self.welcoming = FakeWelcomingSocket(*waiting)
        self.readiness = FakeReadiness()
        self.loop = EventLoop(self.readiness)
        self.clients = TcpClients(
            cast("socket", self.welcoming),  # the fake has all that is used of it
            self.loop,
            Journal(as_json=True, quiet=True, fd=self.log_writer),
            limit=int(limit),
            idle_timeout=idle_timeout,
        )

    @property
    def watched(self) -> dict[int, int]:
        """What the clients' sockets are watched for."""
        return {fd: events for fd, events in self.readiness.watched.items() if fd != WELCOMING_FD}

    def log(self, *events: str) -> list[dict[str, str | int]]:
        """Return what was written down of these events since the last call."""
        try:
            text = os.read(self.log_reader, 1 << 16)
        except BlockingIOError:
            return []
        return [record for line in text.splitlines() if (record := json.loads(line))["event"] in events]

    def turn(self, *ready: int, at_s: float | None = None) -> None:
        """Turn the loop once, with these sockets ready."""
        self.now_s = self.now_s if at_s is None else at_s
        self.readiness.ready = list(ready)
        self.loop.turn(0.0)

    def accept(self, at_s: float = 0.0) -> None:
        """Accept, and go on to the next turn, in which nobody is ready."""
        self.turn(WELCOMING_FD, at_s=at_s)
        self.turn()

    def serve(self, *clients: FakeSocket) -> None:
        """Bring readiness to these clients until they are all waited for in vain."""
        for client in clients:
            while not client.closed and (
                client.room != 0 if self.readiness.watched[client.fd] == WRITE else client.incoming
            ):
                self.turn(client.fd)

    def look(self, at_s: float) -> float | None:
        """Look after the connections, in a turn that begins now."""
        self.turn(at_s=at_s)
        return self.clients.look()

    def close(self) -> None:
        """Close the log, and let the loop have its clock back."""
        self.patch.undo()
        os.close(self.log_reader)
        os.close(self.log_writer)


MakeServer = Callable[..., Server]


@pytest.fixture
def make_server() -> Iterator[MakeServer]:
    with ExitStack() as servers:

        def make(*waiting: FakeSocket | OSError, **options: float) -> Server:
            return servers.enter_context(closing(Server(*waiting, **options)))

        yield make


def test_accept_answers_what_has_already_come(make_server: MakeServer) -> None:
    client = FakeSocket(7, b"hello\n")
    server = make_server(client)
    server.accept()
    assert client.sent == b"HELLO\n"
    assert not client.blocking
    assert server.watched == {7: READ}
    assert len(server.clients) == 1


def test_accept_takes_a_bounded_number_in_a_turn(make_server: MakeServer) -> None:
    server = make_server(*(FakeSocket(fd) for fd in range(10, 10 + ACCEPTS_PER_TURN + 1)))
    server.accept()
    assert len(server.clients) == ACCEPTS_PER_TURN
    server.accept()
    assert len(server.clients) == ACCEPTS_PER_TURN + 1


@pytest.mark.parametrize("number", [pytest.param(n, id=errno.errorcode[n]) for n in sorted(EXHAUSTED)])
def test_accept_pauses_where_the_system_has_no_room_and_goes_on_later(
    make_server: MakeServer, number: int
) -> None:
    first, second = FakeSocket(7), FakeSocket(8, b"late")
    server = make_server(first, OSError(number, os.strerror(number)), second)
    server.accept()
    assert len(server.clients) == 1
    assert server.readiness.watched[WELCOMING_FD] == NOTHING
    (record,) = server.log("error")  # also when quiet: somebody has to know
    assert os.strerror(number) in str(record["note"])

    first.incoming.append(b"hello")
    server.serve(first)
    assert first.sent == b"HELLO"
    assert server.look(at_s=0.9 * LOOK_S) == pytest.approx(0.1 * LOOK_S)
    assert server.readiness.watched[WELCOMING_FD] == NOTHING
    server.look(at_s=LOOK_S)
    assert server.readiness.watched[WELCOMING_FD] == READ
    server.accept(LOOK_S)
    assert second.sent == b"LATE"

    for client in (first, second):
        client.incoming.append(b"")
        server.serve(client)
    assert server.look(at_s=2 * LOOK_S) is None  # nothing is left to look for


def test_accept_goes_on_after_a_client_that_has_gone(make_server: MakeServer) -> None:
    client = FakeSocket(7, b"hello")
    server = make_server(ConnectionAbortedError(errno.ECONNABORTED, "gone"), client)
    server.accept()
    assert client.sent == b"HELLO"


def test_accept_refuses_politely_over_the_limit(make_server: MakeServer) -> None:
    first, second, third = FakeSocket(7), FakeSocket(8, b"hello"), FakeSocket(9, b"hello")
    server = make_server(first, second, limit=1)
    server.accept()
    assert second.sent == b"error: the server is full (1 connections), try again later\n"
    assert second.shut
    assert second.closed
    assert not second.incoming  # left unread, it would make a reset of the close
    assert server.watched == {7: READ}
    assert [record["peer"] for record in server.log("refuse")] == ["192.0.2.7:40008"]

    first.incoming.append(b"")
    server.serve(first)
    assert first.closed
    server.welcoming.waiting.append(third)
    server.accept()
    assert third.sent == b"HELLO"


@pytest.mark.parametrize("error", [BrokenPipeError(), ConnectionResetError(), BlockingIOError()], ids=repr)
def test_refused_client_that_has_gone_is_closed(make_server: MakeServer, error: OSError) -> None:
    client = FakeSocket(8)
    client.send_error = error
    make_server(FakeSocket(7), client, limit=1).accept()
    assert client.closed


def test_client_that_does_not_read_is_not_read_from(make_server: MakeServer) -> None:
    sentences = "ΐ".encode() * PIECE  # three times as long in upper case
    client = FakeSocket(7, sentences, b"more", room=10)
    server = make_server(client)
    server.accept()
    left = client.incoming[0]
    assert server.watched == {7: WRITE}
    for taken in (1, 10, PIECE):
        client.room = taken
        server.turn(7)
        assert client.incoming[0] is left
        assert server.watched == {7: WRITE}
    assert len(client.sent) == 10 + 1 + 10 + PIECE
    client.room = 3 * PIECE - len(client.sent)  # the answer to one piece, at most
    server.turn(7)
    assert server.watched == {7: READ}
    assert client.incoming[0] is left
    client.room = None
    server.serve(client)
    assert client.sent == upper(sentences + b"more")


@pytest.mark.parametrize("number", [1, FROM_THE_LINE, 5 * FROM_THE_LINE, 100])
def test_who_asks_briefly_waits_only_for_some_of_those_who_send_much(
    make_server: MakeServer, number: int
) -> None:
    busy = [FakeSocket(fd) for fd in range(10, 10 + number)]
    brief = FakeSocket(9)
    server = make_server(*busy, brief, limit=200)
    while len(server.clients) <= number:
        server.accept()
    ready = [client.fd for client in [*busy, brief]]
    for client in busy:
        client.incoming.append(b"x" * PIECE * 100)
    share = min(number, max(FROM_THE_LINE, number // FROM_THE_LINE))
    server.turn(*ready)  # each sends a whole piece; and the first of the line are served at once
    assert sum(len(client.sent) for client in busy) == (number + share) * PIECE

    for turn in range(1, 4 * number // share + 1):
        brief.incoming.append(b"brief")
        server.turn(*ready)
        assert brief.sent == b"BRIEF" * turn
        pieces = [len(client.sent) // PIECE - 1 for client in busy]
        assert sum(pieces) == share * (turn + 1)
        assert max(pieces) - min(pieces) <= 1  # nobody is passed over

    last = busy[0]
    last.incoming.clear()
    last.incoming.append(b"end")
    for _turn in range(number // share + 1):
        server.turn(*ready)
    assert last.sent.endswith(b"END")


@given(
    message=st.binary(max_size=60)
    | st.lists(st.sampled_from(["a", "ß", "ΐ", "€"]), max_size=20).map(
        lambda characters: "".join(characters).encode()
    ),
    cuts=st.lists(st.integers(0, 60), max_size=6),
    rooms=st.lists(st.integers(0, 20), max_size=8),
)
def test_answer_is_the_upper_case_however_bytes_come_and_go(
    message: bytes, cuts: list[int], rooms: list[int]
) -> None:
    places = [0, *sorted(min(cut, len(message)) for cut in cuts), len(message)]
    pieces = [message[a:b] for a, b in itertools.pairwise(places) if a < b]
    client = FakeSocket(7, *pieces, b"", room=0)
    with closing(Server(client)) as server:
        server.accept()
        for room in (*rooms, None):
            client.room = room
            server.serve(client)
            assert upper(message).startswith(client.sent)
    assert client.sent == upper(message)
    assert client.closed
    assert len(server.clients) == 0


def test_character_that_is_cut_by_the_end_comes_back(make_server: MakeServer) -> None:
    client = FakeSocket(7, b"a\xe2\x82")
    server = make_server(client)
    server.accept()
    assert client.sent == b"A"
    client.incoming.append(b"")
    server.serve(client)
    assert client.sent == b"A\xe2\x82"
    assert client.closed


def test_client_that_has_left_after_a_turn_was_never_watched(make_server: MakeServer) -> None:
    brief, staying = FakeSocket(7, b"one line\n", b""), FakeSocket(8, b"x")
    server = make_server(brief, staying)
    server.accept()
    assert brief.sent == b"ONE LINE\n"
    assert brief.closed
    assert server.watched == {8: READ}


@pytest.mark.parametrize("step", ["recv", "send"])
def test_connection_that_breaks_harms_no_other(make_server: MakeServer, step: str) -> None:
    reset = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    broken, whole = FakeSocket(7), FakeSocket(8)
    server = make_server(broken, whole)
    server.accept()
    broken.incoming.append(reset if step == "recv" else b"x")
    broken.send_error = reset
    whole.incoming.append(b"hello")
    server.serve(broken, whole)
    assert broken.closed
    assert whole.sent == b"HELLO"
    assert len(server.clients) == 1


def test_event_of_a_connection_that_was_closed_in_the_same_turn_is_ignored(make_server: MakeServer) -> None:
    client = FakeSocket(7)
    server = make_server(client)
    server.accept()
    client.incoming.append(b"")
    server.turn(7, 7)  # at the first of the two events it is closed
    assert client.closed


def pass_time(server: Server, end_s: float) -> None:
    """Let the loop turn whenever it wants to, with nothing to do but to look for idle connections."""
    while server.now_s < end_s:
        wait_s = server.look(server.now_s)
        assert wait_s is None or wait_s > 0  # else it would spin
        server.now_s = end_s if wait_s is None else min(server.now_s + wait_s, end_s)
    server.look(end_s)


def test_idle_connections_are_closed_when_their_time_has_come(make_server: MakeServer) -> None:
    first, second = FakeSocket(7), FakeSocket(8)
    server = make_server(idle_timeout=10.0)
    assert server.look(0.0) is None
    server.welcoming.waiting.append(first)
    server.accept(100.0)
    pass_time(server, 104.0)
    server.welcoming.waiting.append(second)
    server.accept(104.0)
    pass_time(server, 109.0)
    first.incoming.append(b"x")
    server.turn(7)  # a byte moves: the second is now the one that has been idle longest
    for until, closed in (
        (113.9, [False, False]),
        (115.1, [False, True]),  # after ten seconds, and at most one more
        (118.9, [False, True]),
        (120.1, [True, True]),
    ):
        pass_time(server, until)
        assert [first.closed, second.closed] == closed
    assert len(server.clients) == 0
    assert server.look(121.0) is None


def test_slow_reader_is_not_idle(make_server: MakeServer) -> None:
    client = FakeSocket(7, b"x" * 100, room=1)
    server = make_server(client, idle_timeout=10.0)
    server.accept()
    for second in range(9, 90, 9):
        pass_time(server, float(second))
        client.room = 1
        server.turn(7)
    pass_time(server, 90.9)
    assert not client.closed
    pass_time(server, 92.1)
    assert len(server.clients) == 0
    assert client.sent == b"X" * 10


def test_stop_sends_what_is_unsent_and_drops_what_still_comes(make_server: MakeServer) -> None:
    silent = FakeSocket(7)
    slow = FakeSocket(8, b"x" * 10, room=4)
    server = make_server(silent, slow)
    server.accept()
    server.clients.stop()
    assert [silent.shut, slow.shut] == [True, False]
    slow.room = None
    server.turn(8)
    assert slow.sent == b"X" * 10
    assert [silent.shut, slow.shut] == [True, True]
    for client in (silent, slow):
        client.incoming.extend([b"too late", b""])
        server.serve(client)
        assert client.closed
    assert silent.sent == b""
    assert slow.sent == b"X" * 10
    assert len(server.clients) == 0


def test_stop_closes_a_client_that_has_ended_as_soon_as_all_is_sent(make_server: MakeServer) -> None:
    client = FakeSocket(8, b"x" * 10 + b"\xc3", room=4)
    server = make_server(client)
    server.accept()
    client.room = 6
    server.turn(8)
    client.room = 0
    client.incoming.append(b"")
    server.turn(8)  # the end is read; its last byte waits
    server.clients.stop()
    assert len(server.clients) == 1
    client.room = None
    server.turn(8)
    assert client.sent == b"X" * 10 + b"\xc3"
    assert client.closed


def test_stop_closes_a_client_that_has_gone(make_server: MakeServer) -> None:
    gone = FakeSocket(7)
    gone.shutdown_error = OSError(errno.ENOTCONN, "not connected")
    other = FakeSocket(8)
    server = make_server(gone, other)
    server.accept()
    server.clients.stop()
    assert [gone.closed, other.closed] == [True, False]
    assert other.shut
    server.clients.close()
    assert [gone.closed, other.closed] == [True, True]
    assert len(server.clients) == 0
