"""The lecture's server, but with a socket for each client: all on the same port, so no client notices."""

from select import select
from socket import SO_REUSEADDR, SOL_SOCKET, socket
from typing import Any

import udp_server
from lab.failures import run


class Welcoming(socket):
    """A socket for the first datagram of each client; the system hands the next ones to that client's own."""

    def bind(self, address: Any) -> None:
        """Bind, and let others have the same port."""
        self.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        super().bind(address)
        self.others: dict[Any, socket] = {}

    def recvfrom(self, *arguments: Any) -> Any:
        """Return the next datagram of any client."""
        [ready, *_], _, _ = select([self, *self.others.values()], [], [])
        return super().recvfrom(*arguments) if ready is self else ready.recvfrom(*arguments)

    def sendto(self, data: Any, client_address: Any) -> int:  # type: ignore[override]
        """Send by the socket of that client."""
        if client_address not in self.others:
            own = self.others[client_address] = socket(self.family, self.type)
            own.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            own.bind(self.getsockname())
            own.connect(client_address)
        return self.others[client_address].send(data)


udp_server.socket = Welcoming  # type: ignore[attr-defined]
run(udp_server.main)
