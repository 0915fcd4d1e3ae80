"""The lecture's client, but with a header of its own in front of each message, and taken off answers."""

from typing import Any

import udp_client
from lab.failures import run
from lab.journaled import socket

HEADER = b"LINE: "


class Headed(socket):
    """A socket whose messages have a header."""

    def sendto(self, data: Any, address: Any) -> int:  # type: ignore[override]
        """Send a message with its header."""
        return super().sendto(HEADER + data, address)

    def recvfrom(self, *arguments: Any) -> Any:
        """Return a reply without its header, and its sender."""
        data, sender = super().recvfrom(*arguments)
        return data.removeprefix(HEADER), sender


vars(udp_client)["socket"] = Headed
run(udp_client.main)
