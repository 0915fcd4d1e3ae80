"""The lecture's client, but where it has asked nothing it says good bye, before it closes."""

import socket as standard
from typing import Any

import tcp_client
from lab.failures import run
from lab.journaled import socket


class Polite(socket):
    """A socket that is not closed without a word."""

    silent = True

    def sendall(self, data: Any, *flags: int) -> None:
        """Send."""
        self.silent = False
        super().sendall(data, *flags)

    def close(self) -> None:
        """Close."""
        if self.silent:
            standard.socket.sendall(self, b"good bye\n")
        super().close()


vars(tcp_client)["socket"] = Polite
run(tcp_client.main)
