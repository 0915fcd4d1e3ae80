"""Byte streams: upper case, the server's connections, the client's keyboard, and the frames of answers."""

import contextlib
import io
import os
import socket
import sys
from argparse import Namespace
from codecs import decode
from typing import cast

import console as terminal
import tcp_client
from concurrent_server import connection_socket as served
from concurrent_server.event_loop import READ, EventLoop
from concurrent_server.welcoming_socket import TcpClients
from lab.failures import Failure
from lab.journal import Journal, number_of, preview
from lab.journaled import JournaledSocket
from numbered import MOST, SMALLEST, message
from uppercase import MAX_DATAGRAM, TOO_LARGE, UpperStream, answer_to_datagram, upper

from campaigns.fuzz.target import Draws, Target, one_line, replaced

NOWHERE = os.open(os.devnull, os.O_WRONLY)
JOURNAL = Journal(as_json=False, quiet=True, fd=NOWHERE)


def uppercase(data: bytes) -> None:
    draws = Draws(data)
    cuts = [draws.number(0, 255) for _ in range(draws.number(0, 7))]
    text = draws.rest()
    whole = upper(text)
    # An independent way to say the same: only what is UTF-8 changes, all else stays byte for byte.
    assert whole == decode(text, "utf-8", "surrogateescape").upper().encode("utf-8", "surrogateescape")
    assert len(whole) <= 3 * len(text)
    assert not any(b"a"[0] <= byte <= b"z"[0] for byte in whole), "small letters are left"
    stream, came, at = UpperStream(), b"", 0
    for cut in cuts:
        came += stream.feed(text[at : at + cut])
        at += cut
        assert len(stream.cut) <= 3
    came += stream.feed(text[at:]) + stream.end()
    assert came == whole, "cut in pieces it is another text"
    answer = answer_to_datagram(text)
    assert answer == whole if len(whole) <= MAX_DATAGRAM else answer == TOO_LARGE


class Door:
    """A welcoming socket with one client before it."""

    def __init__(self, sock: socket.socket) -> None:
        self._waiting = [sock]

    def fileno(self) -> int:
        return -1

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        if not self._waiting:
            raise BlockingIOError
        return self._waiting.pop(), ("192.0.2.1", 1)


class Unwatched:
    """A readiness that looks at no socket: the target says what is ready."""

    def __init__(self) -> None:
        self.ready: list[tuple[int, int]] = []

    def register(self, fd: int, eventmask: int, /) -> None:
        del fd, eventmask

    modify = register

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        del timeout
        return self.ready


def connection(data: bytes) -> None:
    draws = Draws(data)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least there is: answers wait early
        fd = theirs.fileno()
        unwatched = Unwatched()
        loop = EventLoop(unwatched)
        clients = TcpClients(cast("socket.socket", Door(theirs)), loop, JOURNAL, limit=1, idle_timeout=60.0)
        clients.accept()
        asked, came = bytearray(), bytearray()
        while draws:
            action = draws.number(0, 7)
            if action <= 2:
                piece = draws.take(draws.number(0, 31)) * (1, 40, 900)[action]
                with contextlib.suppress(BlockingIOError):
                    asked += piece[: ours.send(piece)]
            elif action == 3:
                came += _received(ours, draws.number(1, 9_000))
            else:
                unwatched.ready = [(fd, READ)] if action > 4 else []
                loop.turn(0.0)
            held = clients._connections.get(fd)
            assert held is None or len(held._unsent) <= 3 * served.PIECE, (
                "more is held than the answer to a piece"
            )
        ours.shutdown(socket.SHUT_WR)
        unwatched.ready = [(fd, READ)]
        while len(clients):
            loop.turn(0.0)
            came += _received(ours, 1 << 20)
        came += _received(ours, 1 << 20)
        assert came == upper(asked), "the answers are not the upper case of what was sent"


def _received(sock: socket.socket, size: int) -> bytes:
    try:
        return sock.recv(size)
    except BlockingIOError:
        return b""


class Silent(terminal.Console):
    """A console whose answers go nowhere."""

    def _write(self, data: bytes) -> None:
        self.shown = [*getattr(self, "shown", []), data]


def keyboard(data: bytes) -> None:
    draws = Draws(data)
    longest, once, as_json = draws.number(1, 40), bool(draws.number(0, 1)), bool(draws.number(0, 1))
    typed = draws.rest()
    complaints: list[str] = []
    log_format = "json" if as_json else "text"
    options = Namespace(host="server", port=12_000, timeout=1.0, once=once, log_format=log_format)
    with (
        replaced(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed))),
        replaced(terminal, "complain", complaints.append),
    ):
        console = Silent("client", options, longest=longest)
        lines = []
        for line in console.lines():
            lines.append(line)
            console.answer(line)
    given = typed.split(b"\n")
    given = given[:-1] if not given[-1] else given
    given = given[:1] if once else given
    assert lines == [line for line in given if len(line) <= longest]
    refused = len(given) - len(lines) + sum(line.startswith(terminal.COMPLAINT) for line in lines)
    assert len(complaints) == refused
    assert (console.exit_code == 0) == (not refused)


class Answering:
    """A connected socket: what comes from it is told beforehand, piece by piece."""

    def __init__(self, early: bytes, pieces: list[bytes]) -> None:
        self.early = early
        self._pieces = [early, *pieces] if early else pieces
        self.sent = b""

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def recv(self, size: int, flags: int = 0) -> bytes:
        if flags:
            return self.early[:size]
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        assert 0 < len(piece) <= size
        return piece


def answers(data: bytes) -> None:
    draws = Draws(data)
    early = draws.take(draws.number(0, 15))
    pieces = []
    while draws:
        piece = draws.take(draws.number(1, 64)) * (300 if draws.number(0, 7) == 7 else 1)
        if piece:
            pieces.append(piece[:4096])
    sock = Answering(early, list(pieces))
    question = b"a line"
    with replaced(tcp_client, "select", lambda *_: ([sock] if early else [], [], [])):
        try:
            answer = tcp_client.ask(cast("JournaledSocket", sock), question, "a server")
            line = terminal.only_line(answer)
        except Failure as failure:
            one_line(failure)
            line = None
            refused = True
        else:
            refused = False
    if early and not terminal.COMPLAINT.startswith(early[:7]):
        assert refused, "what came before the question was taken for its answer"
        assert not sock.sent
        return
    assert sock.sent == question + b"\n"
    came = b""
    for piece in ([early] if early else []) + pieces:
        came += piece
        if b"\n" in came or len(came) > terminal.LONGEST_ANSWER:
            break
    if b"\n" in came:
        assert refused == (came.index(b"\n") != len(came) - 1)
        assert refused or line == came[:-1]
    else:
        assert refused == (len(came) > terminal.LONGEST_ANSWER)
        assert refused or (answer, line) == (came, came)


def numbers(data: bytes) -> None:
    draws = Draws(data)
    number, size, line = draws.number(1, MOST), draws.number(SMALLEST, 1500), bool(draws.number(0, 1))
    made = message(number, size, line=line)
    assert len(made) == size
    assert number_of(made) == number == number_of(upper(made))
    assert made.endswith(b"\n") == line
    anything = draws.rest()
    found = number_of(anything)
    assert found is None or anything.startswith(b"#%d " % found)
    assert preview(anything).isprintable()


TARGETS = (
    Target(
        "uppercase",
        "text, whole and in pieces",
        "upper case is the same however the stream is cut, at most three times as long, and holds back at"
        " most three bytes",
        uppercase,
        (
            b"\0Stra\xc3\x9fe \xce\xa3\xcf\x82 \xef\xac\x83",
            b"\x03\x01\x02\x01h\xc3\xa9llo\xff\xf0\x9f\x98",
            b"\x02\x05\x01\xea\xad\xb0\xcd\x85 \xc5\x89 error: x",
        ),
        4_000_000,
        256,
    ),
    Target(
        "connection",
        "what a client sends to the server, and when it reads",
        "the answers are the upper case of what was sent, byte for byte; at most the answer to one piece is"
        " held",
        connection,
        (
            b"\x00\x05hello\x05\x03\xff\x00\x00\x00",
            b"\x02\x1f" + b"\xc3\x9f" * 15 + b"a\x05\x05\x05\x03\x10\0\0\0",
            b"\x01\x03ab\n\x04\x05\x00\x02\xc3",
        ),
        100_000,
        256,
    ),
    Target(
        "keyboard",
        "lines from a keyboard or a pipe",
        "each line comes once and whole, one that is too long is refused and counted, and none is made of"
        " its rest",
        keyboard,
        (b"\x04\0\0hello\nworld!!\nab", b"\x28\0\1error: full\n\n\nx", b"\x10\1\0one\ntwo\n"),
        500_000,
        512,
    ),
    Target(
        "answers",
        "what a server sends back over TCP",
        "an answer is all until the newline or the end; more than one line, or more than an answer can be,"
        " is refused in one line",
        answers,
        (b"\0\x05HELLO\0\x01\n\0", b"\x07error: \x03abc\0\x02\nx\0", b"\0\x40" + b"A" * 64 + b"\x07"),
        700_000,
        512,
    ),
    Target(
        "numbers",
        "the number that a message of a stream begins with",
        "a message says its number, also in upper case; other bytes say none, and can be shown at a terminal",
        numbers,
        (b"\x07\0\0\0\x10\0\0\0\1#12 abc", b"\xff\xff\0\0\xff\0\0\0\0#007 \x1b[2J\xff"),
        2_000_000,
        128,
    ),
)
