"""The lecture's server, but the system wakes it from accept() every few milliseconds."""

import struct
from contextlib import suppress
from socket import SO_RCVTIMEO, SOL_SOCKET
from typing import Any

import tcp_server
from lab.failures import run
from lab.journaled import socket


class Woken(socket):
    """A socket whose calls the system ends after 1 ms, or as soon as its clock lets it."""

    def accept(self) -> Any:
        """Return the next client's connection socket and address."""
        self.setsockopt(SOL_SOCKET, SO_RCVTIMEO, struct.pack("ll", 0, 1_000))
        while True:
            with suppress(BlockingIOError):
                connection_socket, client_address = super().accept()
                connection_socket.setsockopt(SOL_SOCKET, SO_RCVTIMEO, struct.pack("ll", 0, 0))
                return connection_socket, client_address


vars(tcp_server)["socket"] = Woken
run(tcp_server.main)
