"""The UDP side of the concurrent server: one socket for all clients, and nothing to remember of any."""

from socket import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET, socket

from lab.failures import explain
from lab.journal import Journal
from uppercase import answer_to_datagram

from concurrent_server import batch

DATAGRAMS_PER_TURN = 64  # then the TCP clients have their turn
LARGEST_MESSAGE = 65_535  # bytes; no IPv4 packet is longer
# Bytes to ask for; the system gives what its own limits allow (net.core.rmem_max, net.core.wmem_max).
RECEIVE_BUFFER = SEND_BUFFER = 4 << 20


class Datagrams:
    """Answers the datagrams of one socket.

    Args:
        server_socket: bound and non-blocking; it stays the caller's to close.
    """

    def __init__(self, server_socket: socket, journal: Journal) -> None:
        # A burst of clients waits here while the server is busy; what finds no room is lost.
        server_socket.setsockopt(SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER)
        # And answers here, until they have left: a network that delays may hold many.
        server_socket.setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER)
        self._server_socket = server_socket
        self._journal = journal
        self._buffer = bytearray(LARGEST_MESSAGE)  # recvfrom() alone would allocate as much for each datagram
        # With nothing to write down about each one, many go through the system at once.
        self._batch = batch.best(server_socket, DATAGRAMS_PER_TURN) if journal.quiet else None

    def answer(self) -> None:
        """Answer the datagrams that have arrived, as many as one turn allows."""
        if self._batch:
            self._batch.answer(answer_to_datagram)
        else:
            self._answer_one_by_one()

    def _answer_one_by_one(self) -> None:
        server_socket, buffer, journal = self._server_socket, self._buffer, self._journal
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                size, client_address = server_socket.recvfrom_into(buffer)
            except BlockingIOError:
                return
            message = buffer[:size]
            journal.event("recvfrom", server_socket, peer=client_address, data=message)
            answer = answer_to_datagram(message)
            try:
                with journal.call("sendto", server_socket, peer=client_address, data=answer):
                    server_socket.sendto(answer, client_address)
            except OSError as error:
                # The send buffer is full, or there is no way to this client. UDP promises nothing; go on.
                journal.event(
                    "error", server_socket, peer=client_address, note=explain(error, "send the answer")
                )
