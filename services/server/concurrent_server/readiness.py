"""Waiting for many sockets at once: epoll where the system has it (Linux), poll elsewhere (macOS)."""

import select
import sys
from typing import Protocol

READ, WRITE = select.POLLIN, select.POLLOUT  # the same numbers for epoll


class Readiness(Protocol):
    """What the server needs of `select.epoll`. A socket that is closed needs no farewell."""

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
    """Return the best that this system has."""
    return select.epoll() if sys.platform == "linux" else Poll()
