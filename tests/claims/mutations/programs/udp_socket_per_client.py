"""The lecture's server, but with a socket for each client: all on the same port, so no client notices."""

import socket as standard
from select import select
from socket import SO_REUSEADDR, SOL_SOCKET
from typing import Any

import udp_server
from lab.failures import run
from lab.journaled import socket


class Welcoming(socket):
    """A socket for the first datagram of each client; the system hands the next ones to that client's own."""

    def bind(self, address: Any) -> None:
        """Bind, and let others have the same port."""
        self.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        super().bind(address)
        self.others: dict[Any, standard.socket] = {}

    def recvfrom(self, *arguments: Any) -> Any:
        """Return the next datagram of any client."""
        [ready, *_], _, _ = select([self, *self.others.values()], [], [])
        message, client_address = standard.socket.recvfrom(ready, *arguments)
        self.journal.event("recvfrom", self, peer=client_address, data=message)
        return message, client_address

    def sendto(self, data: Any, client_address: Any) -> int:  # type: ignore[override]
        """Send by the socket of that client."""
        if client_address not in self.others:
            own = self.others[client_address] = standard.socket(self.family, self.type)
            own.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            own.bind(self.getsockname())
            own.connect(client_address)
        with self.journal.call("sendto", self, peer=client_address, data=data):
            return self.others[client_address].send(data)


vars(udp_server)["socket"] = Welcoming
run(udp_server.main)
