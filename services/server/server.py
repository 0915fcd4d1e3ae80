"""The concurrent server: UDP and TCP on the same port number, thousands of clients at once.

    python3 server.py [--host ADDR] [--port N] [--idle-timeout S] [--max-connections N] [--quiet]

Theory of operation. The lecture's servers wait in recvfrom() and in accept() and recv(), for one socket at a
time. This one has the same sockets: the server socket (UDP), the welcoming socket (TCP), and a connection
socket for each TCP client. But it waits for all of them together, in one system call: epoll_wait(), or poll()
where there is none. That returns the ready sockets, and for each one the event loop (`event_loop.py`) calls a
handler that makes the calls of the lecture's servers:

    the socket                 what is done when it is ready                            in
    the server socket          recvfrom(), upper case, sendto()                         datagrams.py
    the welcoming socket       accept(): a new connection socket, which is watched, too welcoming_socket.py
    a connection socket        recv(), upper case, send(); close() at the client's end  connection_socket.py

So one thread serves all clients. None of them may hold up the others, and that takes four rules:

  1. No call blocks. A socket that has nothing to read, or no room for an answer, says so (BlockingIOError),
     and the loop goes on with the next one.
  2. A turn of the loop does a bounded part of the work for each socket: at most two pieces of a connection,
     32 datagrams, 64 new clients. A client with more than one piece to read waits in line with its like.
  3. What was read is answered before more is read. An answer that the client does not take is kept, and until
     it is sent nothing is read from this client: TCP's flow control then makes it wait, not our memory grow.
  4. An idle connection is closed after the idle time-out. One over the limit gets a message, and is closed.

Without --quiet the sockets are journaled: they write down the lecture's calls, as in the lecture's programs.
"""

import argparse
from contextlib import ExitStack
from socket import socket
from time import monotonic

from concurrent_server.datagrams import Datagrams
from concurrent_server.event_loop import READ, EventLoop
from concurrent_server.preparations import allow_files, bind_both, stop_signals
from concurrent_server.welcoming_socket import TcpClients
from lab.failures import Exit, run
from lab.journal import Journal
from lab.journaled import JournaledSocket
from lab.options import parse_server, seconds, server_parser, whole_number

OTHER_FILES = 32  # file descriptors that are no connection: standard streams, the two sockets, epoll, ...
LAST_ANSWERS_S = 0.5  # for the clients to take them, when the server stops


def serve(
    welcoming_socket: socket,
    server_socket: socket,
    stop_signal: socket,
    options: argparse.Namespace,
    journal: Journal,
) -> None:
    """Answer all clients until SIGINT or SIGTERM; then what was read is still answered."""
    loop = EventLoop()
    Datagrams(server_socket, loop, many_a_call=options.quiet)
    clients = TcpClients(
        welcoming_socket, loop, journal, limit=options.max_connections, idle_timeout=options.idle_timeout
    )
    stopping: list[bytes] = []
    loop.watch(stop_signal.fileno(), READ, lambda: stopping.append(stop_signal.recv(64)))
    while not stopping:
        loop.turn(clients.look())

    loop.forget(server_socket.fileno())
    clients.stop()
    welcoming_socket.close()
    server_socket.close()
    deadline = monotonic() + LAST_ANSWERS_S
    while clients and (remaining_s := deadline - monotonic()) > 0:
        loop.turn(remaining_s)
    clients.close()


def main() -> int:
    """Read the options and serve until SIGINT or SIGTERM."""
    parser = server_parser("Answers in upper case, over UDP and TCP, thousands of clients at once.")
    parser.add_argument(
        "--idle-timeout",
        metavar="S",
        type=seconds,
        default=300.0,
        help="close a TCP connection after S idle seconds (default: %(default)g)",
    )
    parser.add_argument(
        "--max-connections",
        metavar="N",
        type=whole_number(1, 1_000_000, "a number of connections"),
        default=10_000,
        help="TCP connections at once (default: %(default)s)",
    )
    options = parse_server(parser)
    journal = JournaledSocket.journal = Journal(as_json=options.log_format == "json", quiet=options.quiet)
    room = allow_files(options.max_connections + OTHER_FILES) - OTHER_FILES
    if room < options.max_connections:
        journal.event(
            "limit",
            note=f"{room} connections at once, not {options.max_connections}: see ulimit -n",
            always=True,
        )
        options.max_connections = max(room, 1)
    # The signals first: who reads that the server is ready may stop it at once.
    with stop_signals() as stop_signal, ExitStack() as sockets:
        welcoming_socket, server_socket = bind_both(
            options.host, options.port, sockets, journaled=not options.quiet
        )
        if options.quiet:  # these two lines are written all the same
            journal.event("bind", server_socket, note="ready to receive", always=True)
            journal.event("listen", welcoming_socket, note="the welcoming socket", always=True)
        serve(welcoming_socket, server_socket, stop_signal, options, journal)
    journal.event("stop", always=True)
    return Exit.OK


if __name__ == "__main__":
    run(main)
