"""The lecture's client, but where it has asked nothing it says good bye, before it closes."""

from socket import socket
from typing import Any

import tcp_client
from lab.failures import run


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
            self.sendall(b"good bye\n")
        super().close()


tcp_client.socket = Polite  # type: ignore[attr-defined]
run(tcp_client.main)
