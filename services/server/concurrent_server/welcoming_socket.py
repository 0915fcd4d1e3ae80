"""All TCP clients: accept() welcomes them here, up to a limit; who is idle for too long is sent home."""

import errno
from socket import SHUT_WR, socket

from lab.failures import explain
from lab.journal import Address, Journal

from concurrent_server.connection_socket import PIECE, Connection
from concurrent_server.event_loop import NOTHING, READ, EventLoop

ACCEPTS_PER_TURN = 64  # then the other sockets have their turn
LOOK_S = 1.0  # between two looks at who is idle; more often where the idle time-out is short

# The process (EMFILE) or the system has run out of something: to accept again at once would spin.
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class TcpClients:
    """Accepts clients, and knows all connections that are open.

    Args:
        welcoming_socket: listening and non-blocking; it stays the caller's to close.
        loop: that the connections are served by.
        limit: how many connections at once.
        idle_timeout: seconds.
    """

    def __init__(
        self,
        welcoming_socket: socket,
        loop: EventLoop,
        journal: Journal,
        *,
        limit: int,
        idle_timeout: float,
    ) -> None:
        self._welcoming_socket = welcoming_socket
        self._loop = loop
        self._journal = journal
        self._limit = limit
        self._idle_timeout = idle_timeout
        self._look_s = min(LOOK_S, idle_timeout / 4)
        self._next_look_s = 0.0
        self._paused = False
        self._connections: dict[int, Connection] = {}
        loop.watch(welcoming_socket.fileno(), READ, self.accept)

    def __len__(self) -> int:
        return len(self._connections)

    def accept(self) -> None:
        """Accept the clients that wait at the welcoming socket."""
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, address = self._welcoming_socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in EXHAUSTED:
                    self._pause(error)
                    return
                continue  # this client has gone while it waited; there may be another
            sock.setblocking(False)
            if len(self._connections) >= self._limit:
                self._refuse(sock, address)
            else:
                # Most clients have sent their line by now. So those that come with one line each are served
                # at 0.94 of a C server's rate, and at 0.82 if each had to wait for the next turn.
                Connection(sock, self._loop, self._connections).answer()

    def look(self) -> float | None:
        """Close what has been idle too long; return the seconds until the next look, None where none is due.

        To be called in each turn.
        """
        now_s = self._loop.turn_s
        if now_s >= self._next_look_s:
            self._next_look_s = now_s + self._look_s
            if self._paused:
                self._paused = False
                self._loop.watch(self._welcoming_socket.fileno(), READ, self.accept)
            for connection in list(self._connections.values()):
                if connection.active_s <= now_s - self._idle_timeout:
                    connection.close()
        return self._next_look_s - now_s if self._connections or self._paused else None

    def stop(self) -> None:
        """Accept and read no more; what was read is still answered. `len()` falls as the clients leave."""
        self._loop.forget(self._welcoming_socket.fileno())
        for connection in list(self._connections.values()):
            connection.stop()

    def close(self) -> None:
        """Close all connections at once."""
        for connection in list(self._connections.values()):
            connection.close()

    def _pause(self, error: OSError) -> None:
        """Accept nobody until the next look."""
        self._journal.event("error", self._welcoming_socket, note=explain(error, "accept"), always=True)
        self._loop.watch(self._welcoming_socket.fileno(), NOTHING, self.accept)
        self._paused = True
        self._next_look_s = self._loop.turn_s + LOOK_S

    def _refuse(self, sock: socket, address: Address) -> None:
        """Tell a client that there is no room, so that it can try again, and close."""
        self._journal.event(
            "refuse", sock, peer=address, note=f"{self._limit} connections are open", always=True
        )
        try:
            sock.send(f"error: the server is full ({self._limit} connections), try again later\n".encode())
            sock.shutdown(SHUT_WR)
            sock.recv(PIECE)  # left unread, the client's line would turn close() into a reset
        except OSError:
            pass  # nothing to read yet, or the client has gone
        sock.close()
