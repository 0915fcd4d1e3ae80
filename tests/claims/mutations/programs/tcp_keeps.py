"""The lecture's server, but it never closes a connection."""

from typing import Any

import tcp_server
from lab.failures import run
from lab.journaled import socket


class Keeps(socket):
    """A welcoming socket whose connection sockets nobody can close."""

    def accept(self) -> Any:
        """Return the next client's connection socket and address."""
        kept.append(super().accept())
        return kept[-1]

    def close(self) -> None:
        """Say so, and do nothing."""
        self.journal.event("close", self)


kept: list[Any] = []
vars(tcp_server)["socket"] = Keeps
run(tcp_server.main)
