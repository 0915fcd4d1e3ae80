"""The lecture's client, but it insists on port 12000 for itself."""

from socket import socket
from typing import Any

import udp_client
from lab.failures import run


class Fixed(socket):
    """A socket that is bound at once."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.bind(("", 12_000))


udp_client.socket = Fixed  # type: ignore[assignment, attr-defined]
run(udp_client.main)
