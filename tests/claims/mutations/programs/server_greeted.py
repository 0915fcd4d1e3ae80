"""The concurrent server, but over UDP it answers none but those who have said hello since it was started."""

import socket

import server
from concurrent_server.event_loop import READ, EventLoop
from lab.failures import run
from lab.journal import Address


class Greeted:
    """Datagrams, with something to remember of each client."""

    def __init__(self, server_socket: socket.socket, loop: EventLoop, **_options: bool) -> None:
        self._server_socket = server_socket
        self._known: set[Address] = set()
        loop.watch(server_socket.fileno(), READ, self.answer)

    def answer(self) -> None:
        """Answer a datagram of a client that is known."""
        message, client_address = self._server_socket.recvfrom(65_535)
        if message.strip() == b"hello":
            self._known.add(client_address)
        if client_address in self._known:
            self._server_socket.sendto(message.upper(), client_address)


vars(server)["Datagrams"] = Greeted
run(server.main)
