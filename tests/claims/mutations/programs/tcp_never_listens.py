"""A server that has bound its port and believes that this is enough."""

import socket

import tcp_server
from lab.failures import run


class Deaf(socket.socket):
    """A socket that does not listen."""

    def listen(self, _backlog: int = 0, /) -> None:
        """Do nothing."""


vars(tcp_server)["socket"] = Deaf
run(tcp_server.main)
