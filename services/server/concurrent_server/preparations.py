"""What the concurrent server does before it serves: two sockets at one port, room for files, signals."""

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

from lab.failures import Failure, explain
from lab.journaled import JournaledSocket

BACKLOG = 4096  # connections that may wait for accept(); the system may allow less
TRIES_FOR_A_PORT = 20


class PlainWelcomingSocket(socket):
    """A TCP socket that knows its family, type and protocol, which accept() reads for each new socket.

    The standard one looks up the members of enumerations each time. With that, clients that come with one
    line each are served at 0.89 of a C server's rate, without it at 0.94.
    """

    family = AF_INET
    type = SOCK_STREAM
    proto = 0


def bind_both(host: str, port: int, sockets: ExitStack, *, journaled: bool) -> tuple[socket, socket]:
    """Return the welcoming socket (TCP) and the server socket (UDP), bound to one port number.

    Neither of them blocks.

    Args:
        host: an address, "" for every one.
        port: 0: the system chooses.
        sockets: closes them.
        journaled: whether the two, and the connection sockets, write down their calls.
    """
    tcp, udp = (JournaledSocket, JournaledSocket) if journaled else (PlainWelcomingSocket, socket)
    for _ in range(TRIES_FOR_A_PORT):
        welcoming_socket = sockets.enter_context(tcp(AF_INET, SOCK_STREAM))
        server_socket = sockets.enter_context(udp(AF_INET, SOCK_DGRAM))
        welcoming_socket.setblocking(False)
        server_socket.setblocking(False)
        # Start again at once after a stop, though old connections of this port are still in TIME_WAIT.
        # On TCP alone: on UDP it would let a second server take the port from under us, in silence.
        welcoming_socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        # Answers leave at once, not when the one before is acknowledged. Connection sockets inherit this.
        welcoming_socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        try:
            welcoming_socket.bind((host, port))
            server_socket.bind((host, welcoming_socket.getsockname()[1]))
            welcoming_socket.listen(BACKLOG)
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
