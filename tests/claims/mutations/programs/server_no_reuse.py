"""The concurrent server, but it does not ask to have its port again while old connections have it."""

import socket

import server
from concurrent_server import preparations
from lab.failures import run
from lab.journaled import JournaledSocket


class Plain(JournaledSocket):
    """A socket without that option."""

    def setsockopt(self, level: int, option: int, value: int) -> None:  # type: ignore[override]
        """Set all others."""
        if option != socket.SO_REUSEADDR:
            super().setsockopt(level, option, value)


vars(preparations)["JournaledSocket"] = Plain
run(server.main)
