"""The lecture's client, but it greets the server as soon as it is connected."""

from socket import socket
from typing import Any

import tcp_client
from lab.failures import run


class Polite(socket):
    """A socket that begins by itself."""

    def connect(self, address: Any) -> None:
        """Connect, and greet."""
        super().connect(address)
        self.sendall(b"good morning\n")


tcp_client.socket = Polite  # type: ignore[attr-defined]
run(tcp_client.main)
