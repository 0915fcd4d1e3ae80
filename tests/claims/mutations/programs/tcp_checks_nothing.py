"""The lecture's server, but bind() fails unnoticed, as where its result is never looked at.

listen() then takes a port that the system chooses: the server runs, and nobody finds it.
"""

from contextlib import suppress
from typing import Any

import tcp_server
from lab.failures import run
from lab.journaled import socket


class Careless(socket):
    """A socket whose errors nobody sees."""

    def bind(self, address: Any) -> None:
        """Bind, or not."""
        with suppress(OSError):
            super().bind(address)


vars(tcp_server)["socket"] = Careless
run(tcp_server.main)
