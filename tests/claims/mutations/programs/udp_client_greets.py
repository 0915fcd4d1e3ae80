"""The lecture's client, but it greets the server first, and waits until that has greeted back."""

from socket import socket
from typing import Any

import udp_client
from lab.failures import run


class Polite(socket):
    """A socket with a handshake."""

    def sendto(self, data: Any, address: Any) -> int:  # type: ignore[override]
        """Send a message, but not before the server has answered to a greeting."""
        super().sendto(b"are you there?", address)
        self.recvfrom(64)
        return super().sendto(data, address)


udp_client.socket = Polite  # type: ignore[attr-defined]
run(udp_client.main)
