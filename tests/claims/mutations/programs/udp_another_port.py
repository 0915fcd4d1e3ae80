"""The lecture's server, but where it may not have its port it takes another one, and says nothing."""

from contextlib import suppress
from typing import Any

import udp_server
from lab.failures import run
from lab.journaled import socket


class Modest(socket):
    """A socket that is content with any port."""

    def bind(self, address: Any) -> None:
        """Bind, somewhere."""
        with suppress(PermissionError):
            super().bind(address)
            return
        super().bind((address[0], 0))


vars(udp_server)["socket"] = Modest
run(udp_server.main)
