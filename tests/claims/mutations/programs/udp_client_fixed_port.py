"""The lecture's client, but it insists on port 12000 for itself."""

import socket as standard
from typing import Any

import udp_client
from lab.failures import run
from lab.journaled import socket


class Fixed(socket):
    """A socket that is bound at once."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        standard.socket.bind(self, ("", 12_000))


vars(udp_client)["socket"] = Fixed
run(udp_client.main)
