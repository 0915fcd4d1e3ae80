"""The lecture's UDP server: one socket, one loop, and each datagram answered in upper case.

python3 udp_server.py [--host ADDR] [--port N]
"""

from socket import AF_INET, SOCK_DGRAM

from lab.failures import Failure, explain, run
from lab.journaled import socket
from lab.lecture import serve_until_stopped
from uppercase import MAX_DATAGRAM, answer_to_datagram


def serve(host: str, port: int) -> None:
    """Answer datagrams for ever."""
    # AF_INET: the Internet protocol, version 4. SOCK_DGRAM: datagrams, so UDP.
    server_socket = socket(AF_INET, SOCK_DGRAM)
    try:
        # No SO_REUSEADDR before: on UDP it would let a second server take the port, in silence.
        server_socket.bind((host, port))
    except OSError as error:
        raise Failure(explain(error, f"bind to {host or 'every address'}, port {port}")) from error

    while True:
        # With each datagram comes its sender's address: no connection would remember it.
        message, client_address = server_socket.recvfrom(MAX_DATAGRAM)
        modified_message = answer_to_datagram(message)
        try:
            # The answer leaves through the very socket that all clients' datagrams come in by.
            server_socket.sendto(modified_message, client_address)
        except OSError:
            continue  # One client cannot be reached, as the journal says: the others still can.


def main() -> int:
    """Serve as the options and the environment say."""
    description = "The lecture's UDP server: answers each datagram in upper case."
    return serve_until_stopped(description, serve)


if __name__ == "__main__":
    run(main)
