"""The lecture's server, but it never closes a connection."""

import socket
from typing import Any

import tcp_server
from lab.failures import run


class Kept(socket.socket):
    """A connection socket that nobody can close."""

    def close(self) -> None:
        """Do nothing."""


class Keeps(socket.socket):
    """A welcoming socket whose connection sockets stay open."""

    def accept(self) -> Any:
        """Return the next client's connection socket and address."""
        connection_socket, client_address = super().accept()
        kept.append(Kept(fileno=connection_socket.detach()))
        return kept[-1], client_address


kept: list[Kept] = []
vars(tcp_server)["socket"] = Keeps
run(tcp_server.main)
