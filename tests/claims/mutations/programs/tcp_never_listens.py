"""A server that has bound its port and believes that this is enough."""

import tcp_server
from lab.failures import run
from lab.journaled import socket


class Deaf(socket):
    """A socket that does not listen."""

    def listen(self, *_backlog: int) -> None:
        """Say so, and do nothing."""
        self.journal.event("listen", self)


vars(tcp_server)["socket"] = Deaf
run(tcp_server.main)
