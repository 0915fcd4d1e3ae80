"""Waiting for many sockets: epoll and its stand-in behave alike."""

import select
import sys
import time
from collections.abc import Iterator
from socket import socketpair

import pytest
from concurrent_server.readiness import READ, WRITE, Poll, Readiness, best


@pytest.fixture(params=["best", "poll"])
def readiness(request: pytest.FixtureRequest) -> Iterator[Readiness]:
    if request.param == "poll":
        yield Poll()
        return
    readiness = best()
    yield readiness
    if isinstance(readiness, select.epoll):
        readiness.close()


def test_best_is_epoll_where_there_is_one() -> None:
    readiness = best()
    assert isinstance(readiness, Poll) is (sys.platform != "linux")
    if isinstance(readiness, select.epoll):
        readiness.close()


def test_readiness_reports_what_is_watched(readiness: Readiness) -> None:
    near, far = socketpair()
    with near, far:
        fd = near.fileno()
        readiness.register(fd, READ)
        assert readiness.poll(0) == []
        far.send(b"x")
        assert readiness.poll(10) == [(fd, READ)]
        assert readiness.poll(10) == [(fd, READ)]  # again, as long as the byte is there

        readiness.modify(fd, 0)
        assert readiness.poll(0) == []
        readiness.modify(fd, WRITE)
        assert readiness.poll(10) == [(fd, WRITE)]
        readiness.modify(fd, READ)
        assert near.recv(1) == b"x"
        assert readiness.poll(0) == []


def test_readiness_reports_the_end_of_a_stream(readiness: Readiness) -> None:
    near, far = socketpair()
    with near:
        readiness.register(near.fileno(), READ)
        far.close()
        ((fd, events),) = readiness.poll(10)
        assert fd == near.fileno()
        assert events & READ


def assert_waits(readiness: Readiness) -> None:
    """Let it wait for nothing: it takes the time that it is given, no less and not much more."""
    begun = time.monotonic()
    assert readiness.poll(0.02) == []
    assert 0.02 <= time.monotonic() - begun < 5


def test_readiness_waits_as_long_as_told(readiness: Readiness) -> None:
    near, far = socketpair()
    with near, far:
        readiness.register(near.fileno(), READ)
        assert_waits(readiness)


def test_readiness_without_a_time_limit_waits_for_an_event(readiness: Readiness) -> None:
    near, far = socketpair()
    with near, far:
        readiness.register(near.fileno(), WRITE)
        assert readiness.poll(None) == [(near.fileno(), WRITE)]


def test_readiness_forgets_a_socket_that_is_closed(readiness: Readiness) -> None:
    near, far = socketpair()
    other, peer = socketpair()
    with far, other, peer:
        readiness.register(near.fileno(), READ)
        readiness.register(other.fileno(), READ)
        near.close()
        peer.send(b"x")
        assert readiness.poll(10) == [(other.fileno(), READ)]
        assert other.recv(1) == b"x"
        assert_waits(readiness)  # else the loop would spin, for ever


def test_readiness_takes_a_descriptors_number_again(readiness: Readiness) -> None:
    near, far = socketpair()
    fd = near.fileno()
    readiness.register(fd, READ)
    near.close()
    again, peer = socketpair()
    with far, again, peer:
        assert again.fileno() == fd  # the lowest free number
        readiness.register(fd, WRITE)
        assert readiness.poll(10) == [(fd, WRITE)]
