"""The lecture's UDP server: one socket, one loop, and each datagram answered in upper case.

python3 udp_server.py [--host ADDR] [--port N]
"""

from socket import AF_INET, SOCK_DGRAM, socket

from lab.failures import Failure, explain, run
from lab.journal import Journal
from lab.lecture import serve_until_stopped
from uppercase import MAX_DATAGRAM, answer_to_datagram


def serve(host: str, port: int, journal: Journal) -> None:
    """Answer datagrams for ever."""
    # AF_INET: the Internet protocol, version 4. SOCK_DGRAM: datagrams, so UDP.
    with socket(AF_INET, SOCK_DGRAM) as server_socket:
        # No SO_REUSEADDR here: on UDP it would let a second server take the port from under us, in silence.
        try:
            server_socket.bind((host, port))
        except OSError as error:
            raise Failure(explain(error, f"bind to {host or 'every address'}, port {port}")) from error
        journal.event("bind", server_socket, note="ready to receive", always=True)

        while True:
            # With each datagram comes its sender's address: there is no connection that would remember it.
            message, client_address = server_socket.recvfrom(MAX_DATAGRAM)
            journal.event("recvfrom", server_socket, peer=client_address, data=message)

            modified_message = answer_to_datagram(message)

            # The answer leaves through the very socket that all clients' datagrams come in by.
            try:
                with journal.call("sendto", server_socket, peer=client_address, data=modified_message):
                    server_socket.sendto(modified_message, client_address)
            except OSError as error:
                # One client that cannot be reached is no reason to leave the others alone.
                journal.event(
                    "error", server_socket, peer=client_address, note=explain(error, "send the answer")
                )


def main() -> int:
    """Serve as the options and the environment say."""
    return serve_until_stopped("The lecture's UDP server: answers each datagram in upper case.", serve)


if __name__ == "__main__":
    run(main)
