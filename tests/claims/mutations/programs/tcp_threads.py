"""The lecture's server, but with a thread for each client."""

from socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET
from threading import Thread

from lab.journal import Journal
from lab.journaled import socket
from tcp_server import answer_a_line


def serve(connection_socket: socket, _client_address: object) -> None:
    """Serve one client."""
    with connection_socket:
        answer_a_line(connection_socket)


socket.journal = Journal(as_json=False, quiet=False)
with socket(AF_INET, SOCK_STREAM) as welcoming_socket:
    welcoming_socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    welcoming_socket.bind(("", 12_000))
    welcoming_socket.listen()
    while True:
        Thread(target=serve, args=welcoming_socket.accept(), daemon=True).start()
