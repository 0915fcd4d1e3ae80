"""The lecture's client, but it greets the server first, and waits until that has greeted back."""

import socket as standard
from typing import Any

import udp_client
from lab.failures import run
from lab.journaled import socket


class Polite(socket):
    """A socket with a handshake."""

    def sendto(self, data: Any, address: Any) -> int:  # type: ignore[override]
        """Send a message, but not before the server has answered to a greeting."""
        standard.socket.sendto(self, b"are you there?", address)
        standard.socket.recvfrom(self, 64)
        return super().sendto(data, address)


vars(udp_client)["socket"] = Polite
run(udp_client.main)
