"""The lecture's server, but it sends its answers through the welcoming socket."""

import socket
from contextlib import suppress

from lab.journal import Journal

journal = Journal(as_json=False, quiet=False)
with socket.create_server(("", 12_000)) as welcoming_socket:
    journal.event("listen", welcoming_socket)
    while True:
        connection_socket, _client_address = welcoming_socket.accept()
        with connection_socket, suppress(OSError):
            welcoming_socket.sendall(connection_socket.recv(4096).upper())
