"""The container's healthcheck: a real exchange with the server in it, over each protocol that it serves.

    python3 healthcheck.py PROGRAM

That a UDP port is open says nothing, and a TCP connection is made by the system even while the program
sleeps: only an answer shows that the server serves. Exit code 0: every protocol answered; 1: one did not.
"""

import argparse
from socket import AF_INET, SOCK_DGRAM, SOCK_STREAM, SocketKind, socket

from lab.failures import Exit, Failure, explain, run
from lab.journal import HEALTHCHECK_HOST
from lab.options import PORT, Parser, server_port

TIMEOUT = 2.0  # seconds
QUESTION, ANSWER = b"healthcheck\n", b"HEALTHCHECK\n"

SERVES = {
    "server": (SOCK_DGRAM, SOCK_STREAM),
    "udp_server": (SOCK_DGRAM,),
    "tcp_server": (SOCK_STREAM,),
    "idle": (),
}


def exchange(kind: SocketKind, port: int) -> bytes:
    """Return what the server on this host answers to the question."""
    with socket(AF_INET, kind) as client_socket:
        client_socket.settimeout(TIMEOUT)
        # An address of this host that the journal knows, and leaves out. The port is the system's choice.
        client_socket.bind((HEALTHCHECK_HOST, 0))
        client_socket.connect(("127.0.0.1", port))
        client_socket.sendall(QUESTION)
        answer = client_socket.recv(len(ANSWER))
        while answer and len(answer) < len(ANSWER) and kind is SOCK_STREAM:
            answer += client_socket.recv(len(ANSWER) - len(answer))
        return answer


def main() -> int:
    """Ask over every protocol that the program serves."""
    parser = Parser(description="Checks that the server in this container answers.")
    parser.add_argument("program", metavar="PROGRAM", choices=SERVES, help=f"one of {', '.join(SERVES)}")
    options: argparse.Namespace = parser.parse_args()
    port = parser.from_environment("SERVER_PORT", server_port, PORT)
    for kind in SERVES[options.program]:
        try:
            answer = exchange(kind, port)
        except OSError as error:
            raise Failure(explain(error, f"get an answer ({kind.name})")) from error
        if answer != ANSWER:
            raise Failure(f"expected the answer {ANSWER!r} ({kind.name}), got {answer!r}")
    return Exit.OK


if __name__ == "__main__":
    run(main)
