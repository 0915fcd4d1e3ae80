"""The TCP side of the concurrent server: many connection sockets, none of which may harm another.

Rules:
  1. No call blocks. A turn of the loop serves each ready connection once, with PIECE bytes at most. Of those
     that sent a whole piece the last time, and so most likely more, it serves only some: who asks briefly
     does not wait for all of them.
  2. What was read is answered before more is read, so of one client the server holds at most the answer to
     one piece (3 * PIECE bytes). Who sends and does not read is not read from either: TCP makes him wait.
  3. A connection on which no byte moves for the idle time-out is closed. A slow reader's single byte counts.
  4. Over the limit a connection is accepted, told so and closed: the client knows, and can try again.
"""

import errno
from bisect import bisect
from collections.abc import Iterable
from os import read, write
from socket import SHUT_WR, socket

from lab.failures import explain
from lab.journal import Address, Journal, now
from uppercase import UpperStream

from concurrent_server.readiness import READ, WRITE, Readiness

# Bytes to read at a time. 10,000 clients that send and never read must fit into the container's memory.
PIECE = 4096
# Of the connections that send much a turn serves so many, or one in so many: the others wait for the next.
BUSY_PER_TURN = 4
ACCEPTS_PER_TURN = 64

# The process (EMFILE) or the system has run out of something: to accept again at once would spin.
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Connection(UpperStream):
    """One client: its connection socket, the text that comes through it, and what is still to be sent."""

    __slots__ = ("active", "address", "busy", "ended", "sock", "unsent", "watched")

    def __init__(self, sock: socket, address: Address, turn_s: float) -> None:
        super().__init__()
        self.sock = sock
        self.address = address
        self.active = turn_s  # when a byte last moved, in seconds of the loop's clock
        self.unsent = b""
        self.watched = False  # by the readiness: see `watch_fresh`
        self.busy = False  # its last piece was a whole one: there is more
        self.ended = False  # the client sends no more: close when all is sent


class Connections:
    """The connections that came in by one welcoming socket.

    Args:
        welcoming_socket: listening and non-blocking; it stays the caller's to close.
        readiness: where the connection sockets are watched; the caller brings their events to `ready`.
        limit: how many connections at once.
        idle_timeout: seconds.

    The methods' `turn_s` is the time at which this turn of the loop began, in seconds of a monotonic clock.
    """

    def __init__(
        self,
        welcoming_socket: socket,
        readiness: Readiness,
        journal: Journal,
        *,
        limit: int,
        idle_timeout: float,
    ) -> None:
        self._welcoming_socket = welcoming_socket
        self._readiness = readiness
        self._journal = journal
        self._limit = limit
        self._idle_timeout = idle_timeout
        self._stopping = False
        self._by_fd: dict[int, Connection] = {}
        self.fresh: list[int] = []  # what this turn has accepted: not watched yet
        self._brisk = journal.quiet  # nothing to write down, and nobody to be sent home
        self._look_s = 0.0  # when to look for idle ones again
        self._last_busy = 0  # the descriptor of the busy one that was served last

    def __len__(self) -> int:
        return len(self._by_fd)

    def accept(self, turn_s: float) -> bool:
        """Take the clients that wait at the welcoming socket; False where the system has no room for more."""
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, address = self._welcoming_socket.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in EXHAUSTED:
                    self._journal.event(
                        "error", self._welcoming_socket, note=explain(error, "accept"), always=True
                    )
                    return False
                continue  # this client has gone while it waited; there may be another
            sock.setblocking(False)
            if not self._journal.quiet:
                self._journal.event("accept", sock, peer=address, note="a new connection socket")
            if len(self._by_fd) >= self._limit:
                self._refuse(sock, address)
                continue
            fd = sock.fileno()
            self._by_fd[fd] = Connection(sock, address, turn_s)
            self.fresh.append(fd)
            # Most clients have sent their line by now: to answer it here saves a turn.
            self.ready(((fd, READ),), turn_s)
        return True

    def watch_fresh(self, turn_s: float) -> None:
        """Look at the connections of the turn before once more, and have those that stay watched.

        Who came with a single line has left by now, in most cases, and was never worth watching.
        """
        fresh, self.fresh = self.fresh, []
        self.ready([(fd, READ) for fd in fresh], turn_s)
        for fd in fresh:
            connection = self._by_fd.get(fd)
            if connection is not None and not connection.watched:
                connection.watched = True
                self._readiness.register(fd, WRITE if connection.unsent else READ)

    def ready(self, events: Iterable[tuple[int, int]], turn_s: float) -> list[int]:
        """Serve the connections that can be read from (or, where something is unsent, written to).

        Args:
            events: (file descriptor, what it is ready for), as the readiness has them.
            turn_s: when this turn began.

        Returns:
            The file descriptors that are no connection's.
        """
        find, brisk, others, busy = self._by_fd.get, self._brisk, [], []
        for fd, _events in events:
            connection = find(fd)
            if connection is None:
                others.append(fd)
                continue
            if connection.busy:
                busy.append(fd)
                continue
            connection.active = turn_s
            if connection.unsent:
                self._send(fd, connection, connection.unsent)
                continue
            try:
                piece = read(fd, PIECE)  # recv() by another name, which costs less
            except BlockingIOError:
                continue
            except OSError as error:
                self._close(fd, connection, explain(error, "receive"))
                continue
            if len(piece) == PIECE:
                connection.busy = True
            if piece and brisk:
                # Nearly every piece of every client goes this way, so it is short.
                plain = piece.isascii() and not connection.cut
                answer = piece.upper() if plain else connection.feed(piece)
                try:
                    sent = write(fd, answer) if answer else 0
                except OSError:
                    sent = 0  # _send() will meet it again
                if sent != len(answer):
                    self._send(fd, connection, answer[sent:])
            else:
                self._received(fd, connection, piece)
        if busy:
            self._serve_some(busy, turn_s)
        return others

    def _serve_some(self, busy: list[int], turn_s: float) -> None:
        """Serve some of the busy connections: those after the last one that was, in a circle."""
        if len(busy) > BUSY_PER_TURN:
            busy.sort()
            first = bisect(busy, self._last_busy)
            busy = (busy[first:] + busy[:first])[: max(BUSY_PER_TURN, len(busy) // BUSY_PER_TURN)]
        self._last_busy = busy[-1]
        for fd in busy:
            self._by_fd[fd].busy = False  # until its piece is a whole one again
        self.ready([(fd, READ) for fd in busy], turn_s)

    def close_idle(self, turn_s: float) -> float | None:
        """Close what has been idle too long; return the seconds until the next may be, None without any."""
        if not self._by_fd:
            return None
        if turn_s >= self._look_s:
            # To keep the connections in the order of their idleness would cost more, with every line.
            longest_s = turn_s - self._idle_timeout
            for fd, connection in list(self._by_fd.items()):
                if connection.active <= longest_s:
                    self._close(fd, connection, f"idle for {self._idle_timeout:g} s")
            self._look_s = turn_s + min(self._idle_timeout / 4, 1)
        return self._look_s - turn_s

    def stop(self) -> None:
        """Read no more; what was read is still answered. `len()` falls as the clients close their side."""
        self._stopping = True
        self._brisk = False
        for fd, connection in list(self._by_fd.items()):
            if not connection.unsent:
                self._all_sent(fd, connection)

    def close(self) -> None:
        """Close all connections at once."""
        while self._by_fd:
            self._close(*next(iter(self._by_fd.items())), "the server stops")

    def _received(self, fd: int, connection: Connection, piece: bytes) -> None:
        if self._stopping:
            # Our side is shut already. What still comes is read and dropped: left unread, it would turn
            # close() into a reset, which can destroy answers that are still on their way.
            if not piece:
                self._close(fd, connection, "the client has closed, too")
            return
        if not self._journal.quiet:
            self._journal.event("recv", connection.sock, peer=connection.address, data=piece)
        if piece:
            answer = connection.feed(piece)
        else:
            connection.ended = True
            answer = connection.end()
        self._send(fd, connection, answer)

    def _send(self, fd: int, connection: Connection, answer: bytes) -> None:
        sent = 0
        begun = None if self._journal.quiet else now()
        try:
            if answer:
                sent = write(fd, answer)
        except BlockingIOError:
            pass
        except OSError as error:
            self._close(fd, connection, explain(error, "send"))
            return
        if begun and sent:
            self._journal.event(
                "send", connection.sock, peer=connection.address, data=answer[:sent], at=begun
            )
        waited, connection.unsent = connection.unsent, answer[sent:]
        if connection.unsent:
            if not waited and connection.watched:
                self._readiness.modify(fd, WRITE)
        elif waited or connection.ended:
            self._all_sent(fd, connection)

    def _all_sent(self, fd: int, connection: Connection) -> None:
        if connection.ended:
            self._close(fd, connection, "the client has closed")
            return
        if connection.watched:
            self._readiness.modify(fd, READ)
        if self._stopping:
            try:
                connection.sock.shutdown(SHUT_WR)
            except OSError as error:
                self._close(fd, connection, explain(error, "shut down"))

    def _close(self, fd: int, connection: Connection, why: str) -> None:
        if not self._journal.quiet:
            self._journal.event("close", connection.sock, peer=connection.address, note=why)
        del self._by_fd[fd]
        connection.sock.close()

    def _refuse(self, sock: socket, address: Address) -> None:
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
