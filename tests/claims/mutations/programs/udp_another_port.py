"""The lecture's server, but where it may not have its port it takes another one, and says nothing."""

from contextlib import suppress
from socket import socket
from typing import Any

import udp_server
from lab.failures import run


class Modest(socket):
    """A socket that is content with any port."""

    def bind(self, address: Any) -> None:
        """Bind, somewhere."""
        with suppress(PermissionError):
            super().bind(address)
            return
        super().bind((address[0], 0))


udp_server.socket = Modest  # type: ignore[attr-defined]
run(udp_server.main)
