"""A guard that lets one program of a kind into a network namespace, whatever container or process it is in.

It is an abstract UNIX socket (unix(7)). Its name belongs to the network namespace, so all containers that
share a network meet there; the kernel frees it when the process ends, however it ends. Only one container
would see a lock file.

Any program of the namespace can take the name first: a guard prevents accidents, not attacks.
"""

import errno
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.failures import Failure, explain

UNIX_SOCKETS = Path("/proc/net/unix")  # all of this network namespace; an abstract name begins with "@"
POLL_S = 0.02


class Guard:
    """Holds a name in this network namespace until it is closed or the process ends.

    Args:
        name: what only one program at a time may do.
        within_s: how long to wait for a program that holds the name to end.

    Raises:
        Taken: another program holds it.
    """

    def __init__(self, name: str, within_s: float = 0.0) -> None:
        self._name = name
        self._sockets: list[socket.socket] = []
        give_up = time.monotonic() + within_s
        while not self._bind(name):
            if time.monotonic() >= give_up:
                raise Taken(_description(name))
            time.sleep(POLL_S)

    def _bind(self, name: str) -> bool:
        """Take a name; False: another program has it."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)  # nobody listens: nothing can be sent here
        try:
            sock.bind(f"\0{name}")
        except OSError as error:
            sock.close()
            if error.errno == errno.EADDRINUSE:
                return False
            raise Failure(explain(error, f"take the name {name!r} in this network")) from error
        self._sockets.append(sock)
        return True

    def describe(self, what: str) -> None:
        """Say what is done here, to programs that are refused."""
        self._bind(f"{self._name}: {what}")

    def close(self) -> None:
        """Let the next program in."""
        # The name itself last: who gets it must not meet an old description.
        while self._sockets:
            self._sockets.pop().close()

    def __enter__(self) -> Self:
        """Return itself: the name is held from the start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the next program in."""
        self.close()


class Taken(Failure):
    """Another program holds the name.

    Attributes:
        by: what it does, as it has described it; empty: it has not.
    """

    def __init__(self, by: str) -> None:
        super().__init__(by)
        self.by = by


def _description(name: str) -> str:
    """Return what the program that holds a name has said of itself."""
    start = f"@{name}: "
    for line in UNIX_SOCKETS.read_text(encoding="utf-8", errors="replace").splitlines():
        path = line.split(maxsplit=7)[7:]
        if path and path[0].startswith(start):
            return path[0].removeprefix(start)
    return ""
