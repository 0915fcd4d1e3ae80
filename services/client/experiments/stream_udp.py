"""A numbered stream over UDP: datagrams leave at their time, replies are noted as they come.

Where it may try more than once, a datagram without an answer leaves again: the program does what TCP does in
the operating system. Each message waits for its own answer alone; none waits for another one's.
"""

from heapq import heappop, heappush
from select import select
from socket import AF_INET, SO_RCVBUF, SOCK_DGRAM, SOL_SOCKET, gaierror, socket
from time import monotonic

from lab.failures import Failure, explain
from lab.journal import Address, Journal, number_of
from numbered import Schedule, message
from round_trips import RoundTrips
from stream_progress import Progress

MAX_DATAGRAM = 65_507  # bytes
TRIES = 2  # to send a datagram: the first may only be told what became of one before
RECEIVE_BUFFER = 4 << 20  # bytes to ask for: a burst of replies must not be lost in our own host


class UdpStream:
    """Sends `count` datagrams at a rate, and receives until all are answered or the wait is over.

    Args:
        server: name and port.
        size: bytes of a datagram.
        rate: datagrams a second.
        wait_s: how long to wait for replies after the last datagram, and after the last reply.
        tries: how often each is sent at most, until it is answered.
    """

    def __init__(
        self,
        server: Address,
        *,
        count: int,
        size: int,
        rate: float,
        wait_s: float,
        tries: int,
        journal: Journal,
        progress: Progress,
    ) -> None:
        self._server = server
        self._count = count
        self._size = size
        self._rate = rate
        self._wait_s = wait_s
        self._journal = journal
        self._progress = progress
        self._unanswered = set(range(1, count + 1))
        self._tries = tries
        self._tried: dict[int, int] = {}  # how often each was sent
        self._sent_s: dict[int, float] = {}  # when it was, last
        self._due: list[tuple[float, int]] = []  # when which is to be sent again; the next one first
        self._round_trips = RoundTrips()

    def run(self) -> int:
        """Send and receive; return how many messages were answered."""
        with socket(AF_INET, SOCK_DGRAM) as client_socket:
            client_socket.setsockopt(SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER)
            try:
                # No handshake: this gives the socket its own address, and replies of strangers do not reach
                # it.
                client_socket.connect(self._server)
            except gaierror as error:
                raise Failure(explain(error, f"find a host named {self._server[0]}")) from error
            except OSError as error:
                raise Failure(explain(error, f"reach {self._server[0]}, port {self._server[1]}")) from error
            client_socket.setblocking(False)
            self._exchange(client_socket, client_socket.getpeername())
        return self._count - len(self._unanswered)

    def _exchange(self, client_socket: socket, peer: Address) -> None:
        schedule = Schedule(monotonic(), self._count, self._rate)
        progress = self._progress
        deadline = float("inf")
        while self._unanswered and ((now := monotonic()) < deadline or self._due):
            progress.show(now, schedule.sent, self._count - len(self._unanswered))
            if self._send_again(client_socket, peer, now) and schedule.all_sent():
                deadline = monotonic() + self._wait_s
            if schedule.all_sent():
                wait = progress.PERIOD_S if self._due else deadline - now
            elif not (wait := schedule.waits_s(now)):
                schedule.sent += 1
                self._send(client_socket, peer, schedule.sent)
                if schedule.all_sent():
                    deadline = monotonic() + self._wait_s
                wait = 0.0
            if self._due:
                wait = min(wait, max(0.0, self._due[0][0] - now))
            readable, _, _ = select([client_socket], [], [], max(0.0, min(wait, progress.PERIOD_S)))
            if readable:
                self._receive(client_socket, peer)
                if schedule.all_sent():
                    # On a host that is busy replies come late: as long as they come, there may be more.
                    deadline = monotonic() + self._wait_s
        # A second copy of the last reply may follow it closely; later ones belong to nobody's story.
        self._linger(client_socket, peer)

    def _send_again(self, client_socket: socket, peer: Address, now: float) -> bool:
        """Send those again whose time has come; return whether there was one."""
        sent = False
        while self._due and self._due[0][0] <= now:
            _due_s, number = heappop(self._due)
            if number in self._unanswered:
                self._send(client_socket, peer, number)
                sent = True
        return sent

    def _send(self, client_socket: socket, peer: Address, number: int) -> None:
        tried = self._tried[number] = self._tried.get(number, 0) + 1
        self._sent_s[number] = monotonic()
        if tried < self._tries:
            heappush(self._due, (self._sent_s[number] + self._round_trips.wait_s(tried), number))
        data = message(number, self._size, line=False)
        reason = "refused"
        for _ in range(TRIES):
            try:
                with self._journal.call("sendto", client_socket, peer=peer, data=data):
                    client_socket.send(data)
            except ConnectionRefusedError:
                # ICMP's answer to an earlier datagram; this one has not been sent yet.
                self._journal.facts("refused", {"seq": number})
                continue
            except OSError as error:
                reason = explain(error, "send")
                break
            return
        self._journal.facts("unsent", {"seq": number, "reason": reason})

    def _receive(self, client_socket: socket, peer: Address) -> None:
        while True:
            try:
                reply = client_socket.recv(MAX_DATAGRAM)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                self._journal.facts("refused", {})
                return
            self._journal.event("recvfrom", client_socket, peer=peer, data=reply)
            number = number_of(reply)
            if number is None or number > self._count:
                self._journal.facts("stray", {"bytes": len(reply)})
            elif reply != message(number, self._size, line=False).upper():
                self._journal.facts("damaged", {"seq": number})
            elif number in self._unanswered:
                self._unanswered.discard(number)
                if self._tried[number] == 1:  # else nobody knows which of them this answers
                    self._round_trips.measured(monotonic() - self._sent_s[number])

    def _linger(self, client_socket: socket, peer: Address) -> None:
        deadline = monotonic() + min(self._wait_s, 0.2)
        while (remaining := deadline - monotonic()) > 0:
            readable, _, _ = select([client_socket], [], [], remaining)
            if readable:
                self._receive(client_socket, peer)
