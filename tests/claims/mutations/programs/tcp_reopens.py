"""The lecture's server, but with a new welcoming socket for each client, closed as soon as that has come."""

import socket

from lab.journal import Journal
from tcp_server import answer_a_line

journal = Journal(as_json=False, quiet=False)
while True:
    with socket.create_server(("", 12_000)) as welcoming_socket:
        journal.event("listen", welcoming_socket)
        connection_socket, client_address = welcoming_socket.accept()
    with connection_socket:
        answer_a_line(connection_socket, client_address, journal)
