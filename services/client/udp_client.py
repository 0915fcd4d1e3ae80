"""The lecture's UDP client: reads lines from the keyboard, shows each in upper case as the server answers it.

python3 udp_client.py [HOST [PORT]] [--once] [--timeout S]
"""

from collections import deque
from socket import AF_INET, IPPROTO_IP, SOCK_DGRAM, gaierror, gethostbyname, socket
from sys import platform
from time import monotonic

from console import Console
from lab.failures import Failure, Unanswered, explain, run
from lab.journal import Journal, name
from lab.options import parse_client, why_no_servers

MAX_DATAGRAM = 65_507  # bytes: 65,535 of an IPv4 packet, less its header (20) and that of UDP (8)
IP_RECVERR = 11  # Linux: tell us what ICMP says of our datagrams (<linux/in.h>; not in Python's module)
SOCKETS_KEPT = 64


def ask(
    client_socket: socket,
    message: bytes,
    server_name: str,
    server_port: int,
    timeout: float,
    journal: Journal,
) -> bytes:
    """Send one message and return its reply.

    Raises:
        Unanswered: no reply within `timeout` seconds, or the network says that the server cannot be reached.
        Failure: the server's name has no address of a server.
    """
    # sendto() takes a name as well, and then asks DNS in just this way. Asked here, the answer can be seen.
    try:
        server_address = (gethostbyname(server_name), server_port)
    except gaierror as error:
        raise Failure(explain(error, f"find a host named {server_name}")) from error
    if why := why_no_servers(server_address[0]):
        raise Failure(f"cannot ask {server_name}: it is {server_address[0]}, {why}")
    journal.event("resolve", note=f"DNS: {server_name} is {server_address[0]}")

    deadline = monotonic() + timeout
    try:
        # No connection: every message carries the server's address and port.
        # Nor a port of our own: with its first datagram the system gives this socket one.
        with journal.call("sendto", client_socket, peer=server_address, data=message):
            client_socket.sendto(message, server_address)
        while (remaining := deadline - monotonic()) > 0:
            # Nothing promises a reply: the request may be lost, and so may the reply.
            client_socket.settimeout(remaining)
            modified_message, sender_address = client_socket.recvfrom(MAX_DATAGRAM)
            journal.event("recvfrom", client_socket, peer=sender_address, data=modified_message)
            if sender_address == server_address:
                return modified_message
            # Anybody can send to our port: this datagram is not from the server that we asked.
    except TimeoutError:
        pass  # as when the time is up between two datagrams of others
    except OSError as error:
        raise Unanswered(explain(error, f"exchange a datagram with {name(server_address)}")) from error
    raise Unanswered(
        f"no reply from {name(server_address)} within {timeout:g} s: request or reply is lost, or late"
    )


def main() -> int:
    """Ask the server for each line of input."""
    options = parse_client("The lecture's UDP client.", timeout=2.0)
    console = Console("udp_client", options, longest=MAX_DATAGRAM)
    asked: deque[socket] = deque()

    for message in console.lines():
        # A socket, and so a port, for each message, as in the lecture. The last ones stay open: a reply that
        # comes late (or twice) must not find its port given to a later message, and be taken for its answer.
        client_socket = socket(AF_INET, SOCK_DGRAM)
        asked.append(client_socket)
        if len(asked) > SOCKETS_KEPT:
            asked.popleft().close()
        if platform == "linux":
            client_socket.setsockopt(IPPROTO_IP, IP_RECVERR, 1)
        try:
            console.answer(
                ask(client_socket, message, options.host, options.port, options.timeout, console.journal)
            )
        except Unanswered as unanswered:
            console.unanswered(str(unanswered))

    for client_socket in asked:
        client_socket.close()
    return console.exit_code


if __name__ == "__main__":
    run(main)
