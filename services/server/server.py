"""The concurrent server: UDP and TCP on the same port number, thousands of clients at once.

    python3 server.py [--host ADDR] [--port N] [--idle-timeout S] [--max-connections N] [--quiet]

The lecture's servers wait in recvfrom() and accept(), for one client at a time. This one waits for all its
sockets together, and calls only what will not block: one loop, no threads. A turn of the loop is short,
whoever the clients are, so nobody waits for a slow one: see the rules in `connection_sockets.py`.
"""

import argparse
import resource
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from socket import (
    AF_INET,
    IPPROTO_TCP,
    SO_REUSEADDR,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
    socket,
    socketpair,
)
from time import monotonic

from concurrent_server.connection_sockets import Connections
from concurrent_server.datagrams import Datagrams
from concurrent_server.readiness import READ, best
from lab.failures import Exit, Failure, explain, run
from lab.journal import Journal
from lab.options import parse_server, seconds, server_parser, whole_number

BACKLOG = 4096  # connections that may wait for accept(); the system may allow less
OTHER_FILES = 32  # file descriptors that are no connection: standard streams, the two sockets, epoll, ...
LAST_ANSWERS = 0.5  # seconds for the clients to take them, when the server stops
ACCEPT_PAUSE = 1.0  # seconds until the next try, where the system had no room for another connection
TRIES_FOR_A_PORT = 20


class WelcomingSocket(socket):
    """A TCP socket that says what it is without a look at the enumerations: accept() asks it each time."""

    family = AF_INET
    type = SOCK_STREAM
    proto = 0


def bind_both(host: str, port: int, sockets: ExitStack) -> tuple[socket, socket]:
    """Return the welcoming socket (TCP) and the server socket (UDP), bound to one port number."""
    for _ in range(TRIES_FOR_A_PORT):
        welcoming_socket = sockets.enter_context(WelcomingSocket(AF_INET, SOCK_STREAM))
        server_socket = sockets.enter_context(socket(AF_INET, SOCK_DGRAM))
        # Start again at once after a stop, though old connections of this port are still in TIME_WAIT.
        # On TCP alone: on UDP it would let a second server take the port from under us, in silence.
        welcoming_socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        # Answers leave at once, not when the one before is acknowledged. Connection sockets inherit this.
        welcoming_socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        try:
            welcoming_socket.bind((host, port))
            welcoming_socket.listen(BACKLOG)
            server_socket.bind((host, welcoming_socket.getsockname()[1]))
        except OSError as error:
            refusal = error
        else:
            return welcoming_socket, server_socket
        if port != 0:
            break
        # The system chose a TCP port whose number is taken on UDP: let it choose again.
    raise Failure(explain(refusal, f"bind to {host or 'every address'}, port {port}")) from refusal


def allow_files(wanted: int) -> int:
    """Raise this process's limit of open files to `wanted`, as far as the system lets us, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft


@contextmanager
def stop_signals() -> Iterator[socket]:
    """Turn SIGINT and SIGTERM into a byte that arrives on the socket: the loop can wait for that, too."""
    receiver, sender = socketpair()
    with receiver, sender:
        sender.setblocking(False)
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, lambda _signum, _frame: None)
        yield receiver
        signal.set_wakeup_fd(-1)


def serve(
    welcoming_socket: socket,
    server_socket: socket,
    stop_signal: socket,
    options: argparse.Namespace,
    journal: Journal,
) -> None:
    """Answer all clients until SIGINT or SIGTERM; then what was read is still answered."""
    readiness = best()
    connections = Connections(
        welcoming_socket, readiness, journal, limit=options.max_connections, idle_timeout=options.idle_timeout
    )
    datagrams = Datagrams(server_socket, journal)
    datagram_fd, welcoming_fd = server_socket.fileno(), welcoming_socket.fileno()
    stop_fd = stop_signal.fileno()
    for fd in (datagram_fd, welcoming_fd, stop_fd):
        readiness.register(fd, READ)
    accept_again: float | None = None  # when accepting is paused: the time to go on
    stopping = False
    while not stopping:
        now = monotonic()
        timeout = connections.close_idle(now)
        if accept_again is not None:
            timeout = min(timeout or ACCEPT_PAUSE, ACCEPT_PAUSE)
            if now >= accept_again:
                accept_again = None
                readiness.modify(welcoming_fd, READ)
        events = readiness.poll(0 if connections.fresh else timeout)
        connections.watch_fresh(now)
        for fd in connections.ready(events, now):
            if fd == datagram_fd:
                datagrams.answer()
            elif fd == stop_fd:
                stopping = True
            elif fd == welcoming_fd and not connections.accept(now):
                accept_again = now + ACCEPT_PAUSE
                readiness.modify(welcoming_fd, 0)

    stop_signal.recv(64)
    welcoming_socket.close()
    server_socket.close()
    connections.watch_fresh(monotonic())
    connections.stop()
    deadline = monotonic() + LAST_ANSWERS
    while connections and (now := monotonic()) < deadline:
        connections.ready(readiness.poll(deadline - now), now)
    connections.close()


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
    journal = Journal(as_json=options.log_format == "json", quiet=options.quiet)
    with ExitStack() as sockets:
        welcoming_socket, server_socket = bind_both(options.host, options.port, sockets)
        for sock in (welcoming_socket, server_socket):
            sock.setblocking(False)
        room = allow_files(options.max_connections + OTHER_FILES) - OTHER_FILES
        if room < options.max_connections:
            journal.event(
                "limit",
                note=f"{room} connections at once, not {options.max_connections}: see ulimit -n",
                always=True,
            )
            options.max_connections = max(room, 1)
        # Before we say that we are ready: who reads that may stop us at once.
        with stop_signals() as stop_signal:
            journal.event("bind", server_socket, note="the server socket, for all UDP clients", always=True)
            journal.event(
                "listen", welcoming_socket, note="the welcoming socket, for TCP clients", always=True
            )
            serve(welcoming_socket, server_socket, stop_signal, options, journal)
    journal.event("stop", always=True)
    return Exit.OK


if __name__ == "__main__":
    run(main)
