"""The container's healthcheck: do the servers in it serve?

    python3 healthcheck.py WHICH

A real exchange shows it, over UDP and with the concurrent server over TCP: that a UDP port is open says
nothing, and a TCP connection is made by the system even while the program sleeps. But the lecture's TCP
server may be busy with one client for as long as that likes, and a check would stand in the queue. There the
kernel is asked: a process has the welcoming socket, and is not stopped. Exit code 1: one does not serve.
"""

import argparse
from contextlib import suppress
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, SOCK_STREAM, SocketKind, socket

from lab.failures import Exit, Failure, explain, run
from lab.journal import HEALTHCHECK_HOST
from lab.options import PORT, Parser, server_port

TIMEOUT = 2.0  # seconds
QUESTION, ANSWER = b"healthcheck\n", b"HEALTHCHECK\n"
LISTEN = "0A"  # a socket's state in /proc/net/tcp
STOPPED = frozenset("tT")  # a process's state in /proc/PID/stat

ASKED = {"lecture": (SOCK_DGRAM,), "concurrent": (SOCK_DGRAM, SOCK_STREAM), "idle": ()}


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


def states_of_listeners(port: int) -> set[str]:
    """Return the states (as in /proc/PID/stat) of the processes that have a welcoming socket on this port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()]
    inodes = {row[9] for row in rows if row[3] == LISTEN and row[1].endswith(f":{port:04X}")}
    states = set()
    for file in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):  # ended meanwhile, or another user's
            if str(file.readlink()).removeprefix("socket:[").removesuffix("]") in inodes:
                # The name in parentheses may contain anything.
                states.add((file.parents[1] / "stat").read_text().rpartition(")")[2].split()[0])
    return states


def main() -> int:
    """Check each protocol that the host serves."""
    parser = Parser(description="Checks that the servers in this container serve.")
    parser.add_argument("which", metavar="WHICH", choices=ASKED, help=f"one of {', '.join(ASKED)}")
    options: argparse.Namespace = parser.parse_args()
    port = parser.from_environment("SERVER_PORT", server_port, PORT)
    for kind in ASKED[options.which]:
        try:
            answer = exchange(kind, port)
        except OSError as error:
            raise Failure(explain(error, f"get an answer ({kind.name})")) from error
        if answer != ANSWER:
            raise Failure(f"expected the answer {ANSWER!r} ({kind.name}), got {answer!r}")
    if options.which == "lecture":
        states = states_of_listeners(port)
        if not states:
            raise Failure(f"no process listens on TCP port {port}")
        if states <= STOPPED:
            raise Failure(f"the process that listens on TCP port {port} is stopped")
    return Exit.OK


if __name__ == "__main__":
    run(main)
