"""A numbered stream over TCP: the same messages, as lines over one connection, written at their time.

TCP delivers a byte stream: the answers are the whole stream in upper case, and the bytes that come are
compared with the bytes that were to come, all of them. The messages are ours, and so is the bookkeeping by
offset.
"""

import hashlib
from select import select
from socket import AF_INET, IPPROTO_TCP, SHUT_WR, SOCK_STREAM, TCP_NODELAY, gaierror, socket
from time import monotonic

import connection_info
from lab.failures import Failure, explain
from lab.journal import Address, Journal, now
from numbered import Schedule, message
from stream_progress import Progress

SAMPLE_S = 0.01  # between two looks at TCP_INFO
PIECE = 65_536


class TcpStream:
    """Sends `count` lines at a rate over one connection, and reads until as many bytes have come back.

    Args:
        server: name and port.
        size: bytes of a line, its newline included.
        rate: lines a second.
        connect_s: how long to wait for the connection.
        patience_s: how long to wait while no byte moves.
    """

    def __init__(
        self,
        server: Address,
        *,
        count: int,
        size: int,
        rate: float,
        connect_s: float,
        patience_s: float,
        journal: Journal,
        progress: Progress,
    ) -> None:
        self._server = server
        self._count = count
        self._size = size
        self._rate = rate
        self._connect_s = connect_s
        self._patience_s = patience_s
        self._journal = journal
        self._progress = progress
        self._unsent = b""
        self._received = 0
        self._expected = hashlib.sha256()
        self._came = hashlib.sha256()
        self._last_info: dict[str, int] = {}

    def run(self) -> int:
        """Send and receive; return how many messages were answered in full."""
        with socket(AF_INET, SOCK_STREAM) as connection:
            # Each line leaves at once, as a datagram does; else the system would gather short ones (Nagle).
            connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            if peer := self._connect(connection):
                connection.setblocking(False)
                try:
                    self._exchange(connection, peer)
                except OSError as error:
                    self._journal.facts("gave_up", {"reason": explain(error, "go on with the connection")})
                self._sample(connection)
        for number in range(1, self._count + 1):
            self._expected.update(message(number, self._size, line=True).upper())
        self._journal.facts(
            "bytes",
            {
                "expected": self._count * self._size,
                "came": self._received,
                "sha256_expected": self._expected.hexdigest(),
                "sha256_came": self._came.hexdigest(),
            },
        )
        return self._received // self._size

    def _connect(self, connection: socket) -> Address | None:
        connection.settimeout(self._connect_s)
        begun = now()
        try:
            connection.connect(self._server)
            peer: Address = connection.getpeername()
        except gaierror as error:
            raise Failure(explain(error, f"find a host named {self._server[0]}")) from error
        except OSError as error:
            where = f"{self._server[0]}, port {self._server[1]}"
            self._journal.facts("gave_up", {"reason": explain(error, f"connect to {where}")})
            return None
        # Dated when it is over, with the time it took beside: the handshake is a round trip of its own.
        self._journal.event("connect", connection, peer=peer)
        self._journal.facts("handshake", {"begun_ns": begun[0]})
        return peer

    def _exchange(self, connection: socket, peer: Address) -> None:
        total = self._count * self._size
        schedule = Schedule(monotonic(), self._count, self._rate)
        progress = self._progress
        moved = sampled = monotonic()
        while self._received < total:
            turn = monotonic()
            progress.show(turn, schedule.sent, self._received // self._size)
            if turn - sampled >= SAMPLE_S:
                sampled = turn
                self._sample(connection)
            if turn - moved > self._patience_s and schedule.all_sent():
                self._journal.facts("gave_up", {"reason": f"no byte came for {self._patience_s:g} s"})
                return
            if not schedule.all_sent() and not schedule.waits_s(turn):
                schedule.sent += 1
                self._journal.facts("write", {"message": schedule.sent})
                self._unsent += message(schedule.sent, self._size, line=True)
                moved = turn
            if self._unsent:
                self._send(connection, peer)
                self._sample(connection)
            wait = SAMPLE_S if schedule.all_sent() else min(SAMPLE_S, schedule.waits_s(monotonic()))
            readable, _, _ = select([connection], [connection] if self._unsent else [], [], wait)
            if readable:
                if not self._receive(connection, peer):
                    self._journal.facts("gave_up", {"reason": "the server closed the connection"})
                    return
                moved = monotonic()
        connection.shutdown(SHUT_WR)

    def _send(self, connection: socket, peer: Address) -> None:
        begun = now()
        try:
            # send(), which may take just a part: the rest stays ours, and meanwhile we can read.
            sent = connection.send(self._unsent)
        except BlockingIOError:
            return
        self._journal.event("send", connection, peer=peer, data=self._unsent[:sent], at=begun)
        self._unsent = self._unsent[sent:]

    def _receive(self, connection: socket, peer: Address) -> bool:
        """Read once; False when the server has closed."""
        try:
            piece = connection.recv(PIECE)
        except BlockingIOError:
            return True
        self._journal.event("recv", connection, peer=peer, data=piece)
        self._came.update(piece)
        self._received += len(piece)
        return bool(piece)

    def _sample(self, connection: socket) -> None:
        info = connection_info.sample(connection)
        if info and info != self._last_info:
            self._last_info = info
            self._journal.facts("info", info)
