"""The lecture's server, but with a new welcoming socket for each client, closed as soon as that has come."""

from socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET

from lab.journal import Journal
from lab.journaled import socket
from tcp_server import answer_a_line

socket.journal = Journal(as_json=False, quiet=False)
while True:
    with socket(AF_INET, SOCK_STREAM) as welcoming_socket:
        welcoming_socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        welcoming_socket.bind(("", 12_000))
        welcoming_socket.listen()
        connection_socket, client_address = welcoming_socket.accept()
    with connection_socket:
        answer_a_line(connection_socket)
