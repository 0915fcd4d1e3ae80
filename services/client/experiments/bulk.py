"""Sends as fast as TCP lets it, and notes what the kernel does about it: the congestion window over time.

    python3 bulk.py [HOST [PORT]] [--seconds S] [--connections N] [--congestion NAME]

The program always has more to send, so how fast it goes is TCP's decision alone. Each connection is looked at
every hundredth of a second (TCP_INFO), and the journal has what it said: connection by connection, told apart
by their number. The other side need not answer: see `sink.py` of the server.

With LOG_FORMAT=json the journal is kept in memory and written when all is over, as that of `stream.py`.
"""

import struct
from contextlib import ExitStack
from select import select
from socket import (
    AF_INET,
    IPPROTO_TCP,
    SO_LINGER,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_CONGESTION,
    TCP_MAXSEG,
    gaierror,
    socket,
)
from time import monotonic

import connection_info
import host_counters
from lab.failures import Exit, Failure, explain, run
from lab.journal import Address, Journal
from lab.options import Parser, add_server, parse_with_server, seconds, whole_number
from stream import kept_journal

SAMPLE_S = 0.01  # between two looks at TCP_INFO
CONNECT_S = 10.0
PIECE = bytes(65_536)
NAME_ROOM = 16  # bytes: TCP_CA_NAME_MAX of the kernel
RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: close() throws away what is not sent, and says so by a reset


def open_connection(server: Address, congestion: str) -> socket:
    """Return a connection to the server whose window follows the named algorithm ("": the system's own).

    Raises:
        Failure: there is no such algorithm here, or this program may not use it, or nobody answers.
    """
    connection = socket(AF_INET, SOCK_STREAM)
    try:
        if congestion:
            try:
                connection.setsockopt(IPPROTO_TCP, TCP_CONGESTION, congestion.encode())
            except PermissionError as error:
                raise Failure(f"the system allows {congestion} to its administrator alone") from error
            except FileNotFoundError as error:
                raise Failure(f"the system knows no congestion control {congestion}") from error
        connection.settimeout(CONNECT_S)
        try:
            connection.connect(server)
        except gaierror as error:
            raise Failure(explain(error, f"find a host named {server[0]}")) from error
        except OSError as error:
            raise Failure(explain(error, f"connect to {server[0]}, port {server[1]}")) from error
        connection.setblocking(False)
        # When the time is up nothing of this transfer is to be on its way into the next measurement.
        connection.setsockopt(SOL_SOCKET, SO_LINGER, RESET)
    except BaseException:
        connection.close()
        raise
    return connection


def send_for(connections: list[socket], seconds_: float, journal: Journal) -> None:
    """Send for so long on all connections, and write down what their kernel says of each."""
    numbers = {connection: number for number, connection in enumerate(connections, start=1)}
    begun = looked = monotonic()
    while (turn := monotonic()) < begun + seconds_:
        _, writable, _ = select([], connections, [], max(0.0, looked + SAMPLE_S - turn))
        for connection in writable:
            try:
                connection.send(PIECE)
            except BlockingIOError:
                continue
            except OSError as error:
                raise Failure(explain(error, f"go on with connection {numbers[connection]}")) from error
        if monotonic() >= looked + SAMPLE_S:
            looked = monotonic()
            for connection, number in numbers.items():
                journal.facts("info", {"connection": number} | connection_info.sample(connection))


def main() -> int:
    """Send until the time is up."""
    arguments = Parser(description="Sends as fast as TCP lets it, and notes the congestion window over time.")
    add_server(arguments)
    arguments.add_argument("--seconds", metavar="S", type=seconds, default=5.0, help="how long to send")
    arguments.add_argument(
        "--connections", metavar="N", type=whole_number(1, 32, "a number of connections"), default=1,
        help="how many at once (default: %(default)s)",
    )  # fmt: skip
    arguments.add_argument(
        "--congestion", metavar="NAME", default="", help="as reno, cubic, bbr; default: the system's own"
    )
    options = parse_with_server(arguments)
    server = (options.host, options.port)
    with kept_journal(as_json=options.log_format == "json") as journal, ExitStack() as connections:
        opened = [
            connections.enter_context(open_connection(server, options.congestion))
            for _ in range(options.connections)
        ]
        used = opened[0].getsockopt(IPPROTO_TCP, TCP_CONGESTION, NAME_ROOM).rstrip(b"\0").decode()
        size = opened[0].getsockopt(IPPROTO_TCP, TCP_MAXSEG)
        counters = host_counters.read()
        journal.facts(
            "start", {"congestion": used, "segment_bytes": size, "connections": len(opened)}
            | {"counters": counters},
        )  # fmt: skip
        send_for(opened, options.seconds, journal)
        journal.facts("end", {"counters": host_counters.read()})
    return Exit.OK


if __name__ == "__main__":
    run(main)
