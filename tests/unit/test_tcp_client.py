"""How the TCP client finds the end of an answer in a byte stream, however the stream is cut."""

import errno
import itertools
import sys
from collections import deque
from collections.abc import Sequence
from socket import create_server
from typing import cast

import pytest
import tcp_client
from console import LONGEST_ANSWER, only_line
from hypothesis import given
from hypothesis import strategies as st
from lab.failures import Failure
from lab.journaled import socket

answers = st.binary(max_size=80).map(lambda data: data.replace(b"\n", b""))
cuts = st.lists(st.integers(0, 90), max_size=8)


class FakeSocket:
    """A connection on which these pieces come, one a recv(), and then the end."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = deque(pieces)
        self.sent = b""

    def sendall(self, data: bytes) -> None:
        """Take all of it."""
        self.sent += data

    def recv(self, _size: int) -> bytes:
        """Return the next piece."""
        return self.pieces.popleft() if self.pieces else b""


def ask(stream: bytes, places: list[int]) -> bytes:
    """Ask for "x" where the server answers with this stream, cut at these places; return the line shown."""
    edges = [0, *sorted(min(place, len(stream)) for place in places), len(stream)]
    connection = FakeSocket([stream[a:b] for a, b in itertools.pairwise(edges) if a < b])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tcp_client, "select", lambda *_: ([], [], []))  # it looks at a real socket
        answer = tcp_client.ask(cast("socket", connection), b"x", "server, port 12000")
    assert connection.sent == b"x\n"
    assert (answer == b"") == (stream == b"")  # nothing: closed before anything came
    return only_line(answer)


@given(answers, cuts)
def test_answer_ends_at_the_newline_however_it_is_cut(answer: bytes, places: list[int]) -> None:
    assert ask(answer + b"\n", places) == answer


@given(answers, cuts)
def test_answer_without_newline_ends_with_the_connection(answer: bytes, places: list[int]) -> None:
    assert ask(answer, places) == answer


@given(answers, st.binary(min_size=1, max_size=20))
def test_more_than_a_line_in_one_piece_is_no_answer(answer: bytes, more: bytes) -> None:
    with pytest.raises(Failure, match="more than one line"):
        ask(answer + b"\n" + more, [])


def test_answer_that_never_ends_is_given_up() -> None:
    endless = b"A" * (LONGEST_ANSWER + 2)
    with pytest.raises(Failure, match="more than one line"):
        ask(endless, list(range(0, len(endless), 4096)))


class Reset(socket):
    """A socket whose connection is reset as soon as it stands."""

    def getpeername(self) -> None:
        """Refuse, as the system does then."""
        self.close()
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")


def test_connection_that_is_reset_at_once_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_client, "socket", Reset)
    with create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(sys, "argv", ["tcp_client.py", "127.0.0.1", str(port), "--quiet"])
        with pytest.raises(
            Failure, match=f"cannot connect to 127.0.0.1, port {port}: Transport endpoint is not connected"
        ):
            tcp_client.main()
