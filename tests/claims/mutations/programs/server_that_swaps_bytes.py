"""In the place of the concurrent server: of each piece that comes over TCP two bytes change places."""

import sys

import server
from concurrent_server import connection_socket, welcoming_socket
from lab.failures import run


class Wrong(connection_socket.Connection):
    """A connection whose answers have their last two bytes swapped."""

    __slots__ = ()

    def feed(self, piece: bytes) -> bytes:
        """Answer."""
        answer = super().feed(piece)
        return answer[:-2] + answer[:-3:-1] if len(answer) > 1 else answer


sys.argv[0] = "server.py"
setattr(welcoming_socket, "Connection", Wrong)  # noqa: B010 - it is no variable of that module's, but its class
run(server.main)
