"""The lecture's UDP client: reads lines from the keyboard, shows each as the server answers it.

python3 udp_client.py [HOST [PORT]] [--once] [--timeout S]
"""

from socket import AF_INET, IPPROTO_IP, SOCK_DGRAM, gaierror
from time import monotonic

from console import MAX_DATAGRAM, Console, no_reply
from lab.failures import Failure, explain, run
from lab.journal import Address, name
from lab.journaled import IP_RECVERR, gethostbyname, socket

SOCKETS_KEPT = 64


def receive_reply(client_socket: socket, server_address: Address, timeout: float) -> bytes:
    """Return the server's reply; raise TimeoutError where none comes in time."""
    deadline = monotonic() + timeout
    while (remaining := deadline - monotonic()) > 0:
        # Nothing promises a reply: the request may be lost, and so may the reply.
        client_socket.settimeout(remaining)
        modified_message, sender_address = client_socket.recvfrom(MAX_DATAGRAM)
        if sender_address == server_address:  # Anybody can send to our port, not only the server.
            return modified_message
    raise TimeoutError


def main() -> int:
    """Ask the server for each line of input."""
    console = Console.open("udp_client", "The lecture's UDP client.", 2.0, longest=MAX_DATAGRAM)
    asked: list[socket] = []
    for message in console.lines():
        # No port of our own: with its first datagram the system gives this socket one. A socket,
        # and so a port, for each message, as in the lecture. The last ones stay open: else a reply
        # that comes late could find its port given to a later message, and be taken for its answer.
        client_socket = socket(AF_INET, SOCK_DGRAM)
        asked.append(client_socket)
        if len(asked) > SOCKETS_KEPT:
            asked.pop(0).close()
        if IP_RECVERR:  # Linux: tell us where the network says that nobody is there.
            client_socket.setsockopt(IPPROTO_IP, IP_RECVERR, 1)
        try:
            # sendto() takes a name, too, and then asks DNS in just this way.
            server_address = (gethostbyname(console.server_name), console.server_port)
            # No connection: every message carries the server's address and port.
            client_socket.sendto(message, server_address)
            console.answer(receive_reply(client_socket, server_address, console.timeout))
        except gaierror as error:
            raise Failure(explain(error, f"find a host named {console.server_name}")) from error
        except TimeoutError:
            console.unanswered(no_reply(server_address, console.timeout))
        except OSError as error:
            console.unanswered(explain(error, f"exchange a datagram with {name(server_address)}"))
    for client_socket in asked:
        client_socket.close()
    return console.exit_code


if __name__ == "__main__":
    run(main)
