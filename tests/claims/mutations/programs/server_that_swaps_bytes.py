"""In the place of the concurrent server: of each piece that comes over TCP two bytes change places."""

import sys

import connections
import server
from lab.failures import run


class Wrong(connections.Connection):
    """A connection whose answers have their last two bytes swapped."""

    __slots__ = ()

    def feed(self, piece: bytes) -> bytes:
        """Answer."""
        answer = super().feed(piece)
        return answer[:-2] + answer[:-3:-1] if len(answer) > 1 else answer


sys.argv[0] = "server.py"
setattr(connections, "Connection", Wrong)  # noqa: B010 - it is no variable of that module's, but its class
run(server.main)
