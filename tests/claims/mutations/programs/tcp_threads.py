"""The lecture's server, but with a thread for each client."""

import socket
from threading import Thread

from lab.journal import Address, Journal
from tcp_server import answer_a_line

journal = Journal(as_json=False, quiet=False)


def serve(connection_socket: socket.socket, client_address: Address) -> None:
    """Serve one client."""
    with connection_socket:
        answer_a_line(connection_socket, client_address, journal)


with socket.create_server(("", 12_000)) as welcoming_socket:
    journal.event("listen", welcoming_socket)
    while True:
        Thread(target=serve, args=welcoming_socket.accept(), daemon=True).start()
