"""One TCP client: its connection socket, the text that comes through it, and what is still to be sent.

A connection is in one of three states, each a method that the event loop calls:

    answer ──── not all of an answer could be sent ───► send_rest
       ▲ └───────────────── all of it is sent ─────────────┘
       └── the server stops, and all is sent ─────────► drop
"""

from os import read
from socket import SHUT_WR, socket

from uppercase import UpperStream

from concurrent_server.event_loop import READ, WRITE, EventLoop

# Bytes to read at a time. 10,000 clients that send and never read must fit into the container's memory.
PIECE = 4096


class Connection(UpperStream):
    """A client's connection.

    Args:
        sock: from accept(), and from then on this connection's, which closes it.
        loop: that calls its methods.
        connections: all that are open, by file descriptor; this one goes there until it is closed.

    Attributes:
        active_s: when a byte last moved, in seconds of the loop's clock.
    """

    __slots__ = ("_connections", "_ended", "_fd", "_loop", "_sock", "_stopping", "_unsent", "active_s")

    def __init__(self, sock: socket, loop: EventLoop, connections: "dict[int, Connection]") -> None:
        super().__init__()
        self._sock = sock
        self._fd = sock.fileno()
        self._loop = loop
        self._connections = connections
        self.active_s = loop.turn_s
        self._unsent = b""
        self._ended = False  # the client sends no more: close when all is sent
        self._stopping = False
        connections[self._fd] = self
        loop.watch_new(self._fd, READ, self.answer)

    def answer(self) -> None:
        """Read a piece, and send its upper case."""
        try:
            piece = self._sock.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self.active_s = self._loop.turn_s
        if piece:
            self._send(self.feed(piece))
        else:
            self._ended = True
            self._send(self.end())
        if len(piece) == PIECE and not self._unsent and self._fd in self._connections:
            # There is more, most likely. Who sends little is not to wait for all those who send much.
            self._loop.line_up(self._fd, self.answer)

    def send_rest(self) -> None:
        """Send more of what is still unsent; when that was all, go on with what comes then."""
        self.active_s = self._loop.turn_s
        rest, self._unsent = self._unsent, b""
        self._send(rest)
        if not self._unsent and self._fd in self._connections:
            if self._stopping:
                self._end_our_side()
            else:
                self._loop.watch(self._fd, READ, self.answer)

    def stop(self) -> None:
        """Read no more. What was read is still answered; then our side of the connection is ended."""
        self._stopping = True
        if not self._unsent:
            self._end_our_side()

    def drop(self) -> None:
        """Read what still comes, and forget it: left unread, it would turn close() into a reset.

        A reset can destroy answers that are still on their way.
        """
        try:
            piece = read(self._fd, PIECE)  # past the journal: this is not answered
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self.close()

    def close(self) -> None:
        """Close it at once."""
        del self._connections[self._fd]
        self._loop.forget(self._fd)
        self._sock.close()

    def _send(self, answer: bytes) -> None:
        """Send as much as the system takes, and the rest when there is room; close if that was the last."""
        sent = 0
        try:
            if answer:
                sent = self._sock.send(answer)
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if sent < len(answer):
            self._unsent = answer[sent:]
            self._loop.watch(self._fd, WRITE, self.send_rest)
        elif self._ended:
            self.close()

    def _end_our_side(self) -> None:
        try:
            self._sock.shutdown(SHUT_WR)
        except OSError:
            self.close()
        else:
            self._loop.watch(self._fd, READ, self.drop)
