"""The lecture's server, but only one connection can wait for its accept()."""

import tcp_server
from lab.failures import run
from lab.journaled import socket


class Narrow(socket):
    """A welcoming socket with the shortest queue that there is."""

    def listen(self, *_backlog: int) -> None:
        """Listen."""
        super().listen(0)


vars(tcp_server)["socket"] = Narrow
run(tcp_server.main)
