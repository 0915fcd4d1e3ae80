"""Waiting for many sockets: epoll and its stand-in behave alike, and the loop on top of them."""

import select
import sys
import time
from collections.abc import Iterator
from functools import partial
from socket import socketpair

import pytest
from concurrent_server.event_loop import FROM_THE_LINE, READ, WRITE, EventLoop, Poll, Readiness, best


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


@pytest.fixture
def loop(readiness: Readiness) -> EventLoop:
    return EventLoop(readiness)


def test_loop_calls_the_action_that_was_given_last(loop: EventLoop) -> None:
    near, far = socketpair()
    done: list[str] = []
    with near, far:
        loop.watch(near.fileno(), READ, lambda: done.append("read"))
        loop.turn(0)
        assert done == []
        far.send(b"x")
        loop.turn(10)
        loop.watch(near.fileno(), WRITE, lambda: done.append("write"))
        loop.turn(10)
        loop.forget(near.fileno())
        loop.turn(0)
    assert done == ["read", "write"]


def test_loop_serves_a_new_socket_once_before_it_watches_it(loop: EventLoop) -> None:
    near, far = socketpair()
    done: list[int] = []
    with near, far:
        loop.watch_new(near.fileno(), READ, lambda: done.append(1))
        loop.turn(None)  # does not wait
        loop.turn(0)
        assert len(done) == 1
        far.send(b"x")
        loop.turn(10)
        assert len(done) == 2


def test_loop_never_watches_a_new_socket_that_is_closed_at_once(loop: EventLoop) -> None:
    near, far = socketpair()

    def leave() -> None:
        loop.forget(near.fileno())
        near.close()

    with far:
        loop.watch_new(near.fileno(), READ, leave)
        loop.turn(None)
        begun = time.monotonic()
        loop.turn(0.02)
        assert time.monotonic() - begun >= 0.02


def test_line_is_served_in_its_order_and_without_those_that_have_left(loop: EventLoop) -> None:
    served: list[int] = []

    def serve(fd: int) -> None:
        served.append(fd)
        loop.watch(fd, READ, lambda: None)  # as a connection that has nothing more to read

    number = 3 * FROM_THE_LINE
    pairs = [socketpair() for _ in range(number)]
    fds = [near.fileno() for near, _far in pairs]
    for fd in fds:
        loop.watch(fd, WRITE, lambda: None)
        loop.line_up(fd, partial(serve, fd))
    loop.forget(fds[1])
    loop.watch(fds[2], WRITE, lambda: None)  # has something else to do
    loop.turn(None)  # does not wait
    assert served == [fds[0], *fds[3 : 2 + FROM_THE_LINE]]
    for _turn in range(number):
        loop.turn(0)
    assert served == [fds[0], *fds[3:]]
    for pair in pairs:
        for sock in pair:
            sock.close()


@pytest.mark.parametrize("first", [0, 1])
def test_the_socket_that_has_most_to_do_is_served_last(readiness: Readiness, first: int) -> None:
    served: list[str] = []
    loop = EventLoop(readiness)
    (most, most_end), (little, little_end) = socketpair(), socketpair()
    with most, most_end, little, little_end:
        loop.watch(most.fileno(), READ, partial(served.append, "most"))
        loop.serve_last(most.fileno())
        loop.watch(little.fileno(), READ, partial(served.append, "little"))
        for end in (most_end, little_end) if first == 0 else (little_end, most_end):
            end.send(b"x")
        for _turn in range(3):  # epoll lists them in turn
            loop.turn(10)
    assert served == ["little", "most"] * 3
