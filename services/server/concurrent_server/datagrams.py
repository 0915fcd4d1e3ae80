"""All UDP clients: one socket serves them, and there is nothing to remember of any."""

from socket import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET, socket

from uppercase import MAX_DATAGRAM, answer_to_datagram

from concurrent_server import batch
from concurrent_server.event_loop import READ, EventLoop

DATAGRAMS_PER_TURN = 32  # then the TCP clients have their turn: beside a flood they wait for so many
# Bytes to ask for; the system gives what its own limits allow (net.core.rmem_max, net.core.wmem_max).
RECEIVE_BUFFER = SEND_BUFFER = 4 << 20


class Datagrams:
    """Answers the datagrams of one socket.

    Args:
        server_socket: bound and non-blocking; it stays the caller's to close.
        loop: that calls `answer`.
        many_a_call: whether to answer many datagrams a system call, where the system can: no journal is
            written of them.
    """

    def __init__(self, server_socket: socket, loop: EventLoop, *, many_a_call: bool) -> None:
        # A burst of clients waits here while the server is busy; what finds no room is lost.
        server_socket.setsockopt(SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER)
        # And answers here, until they have left: a network that delays may hold many.
        server_socket.setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER)
        self._server_socket = server_socket
        self._batch = batch.best(server_socket, DATAGRAMS_PER_TURN) if many_a_call else None
        loop.watch(server_socket.fileno(), READ, self.answer)
        loop.serve_last(server_socket.fileno())

    def answer(self) -> None:
        """Answer the datagrams that have arrived, as many as one turn allows."""
        if self._batch:
            self._batch.answer(answer_to_datagram)
            return
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                message, client_address = self._server_socket.recvfrom(MAX_DATAGRAM)
            except BlockingIOError:
                return
            try:
                self._server_socket.sendto(answer_to_datagram(message), client_address)
            except OSError:
                continue  # The send buffer is full, or there is no way to this client. UDP promises nothing.
