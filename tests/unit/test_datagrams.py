"""The UDP side of the concurrent server, with a socket that has nothing behind it."""

import errno
import os
from collections import deque
from socket import SOCK_DGRAM, socket
from typing import cast

import pytest
from concurrent_server.datagrams import DATAGRAMS_PER_TURN, Datagrams
from concurrent_server.event_loop import EventLoop

CLIENT = ("192.0.2.7", 41273)


class FakeSocket:
    """A UDP socket at which these datagrams have arrived."""

    type = SOCK_DGRAM

    def __init__(self, *arrived: bytes) -> None:
        self.arrived = deque(arrived)
        self.sent: list[bytes | OSError] = []
        self.errors: deque[OSError | None] = deque()

    def setsockopt(self, *_option: int) -> None:
        """Take any option."""

    def getsockname(self) -> tuple[str, int]:
        """Return the server's address."""
        return "192.0.2.1", 12000

    def fileno(self) -> int:
        """Return a number."""
        return 3

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        """Take the next datagram."""
        if not self.arrived:
            raise BlockingIOError
        return self.arrived.popleft()[:size], CLIENT

    def sendto(self, message: bytes, address: tuple[str, int]) -> None:
        """Send one, or fail."""
        assert address == CLIENT
        if self.errors and (error := self.errors.popleft()) is not None:
            raise error
        self.sent.append(bytes(message))


class FakeReadiness:
    """Watches nothing."""

    def register(self, fd: int, eventmask: int, /) -> None:
        """Take any."""

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Take any."""

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """Nobody calls this."""
        raise NotImplementedError(timeout)


def answering(sock: FakeSocket) -> Datagrams:
    """Return what answers one by one: many a call need a real socket, see tests/socket."""
    return Datagrams(cast("socket", sock), EventLoop(FakeReadiness()), many_a_call=False)


def test_datagrams_are_answered_each_by_itself() -> None:
    sock = FakeSocket(b"longer than the next", b"", b"short")
    answering(sock).answer()
    assert sock.sent == [b"LONGER THAN THE NEXT", b"", b"SHORT"]


def test_datagrams_take_a_bounded_number_in_a_turn() -> None:
    sock = FakeSocket(*[b"x"] * (DATAGRAMS_PER_TURN + 1))
    datagrams = answering(sock)
    datagrams.answer()
    assert len(sock.arrived) == 1
    datagrams.answer()
    assert len(sock.sent) == DATAGRAMS_PER_TURN + 1


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENETUNREACH, errno.EPERM, errno.EINVAL])
def test_answer_that_cannot_be_sent_is_dropped_alone(number: int) -> None:
    sock = FakeSocket(b"a", b"b", b"c")
    sock.errors.extend([None, OSError(number, os.strerror(number))])
    answering(sock).answer()
    assert sock.sent == [b"A", b"C"]
