"""A numbered stream, for experiments: messages leave at a rate, whatever becomes of those before them.

    python3 stream.py udp|tcp [HOST [PORT]] [--count N] [--size BYTES] [--rate N] [--wait S] [--tries N]

The lecture's clients wait for each answer before they ask again: so they never see two messages in the wrong
order, and one loss costs them a time-out. Here the messages are numbered and sent at their time, and the
journal says of each when it was sent and when its answer came. With --tries a datagram that is not answered
is sent again: then an unreliable service is enough for a program that wants every answer.

With LOG_FORMAT=json the journal is kept in memory and written when all is over: writing delays no message,
and none of it is left out because nobody reads.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import host_counters
from lab.failures import Exit, Failure, explain, run
from lab.journal import Journal
from lab.options import Parser, add_server, parse_with_server, seconds, whole_number
from numbered import MOST, SMALLEST
from stream_progress import Progress
from stream_tcp import TcpStream
from stream_udp import MAX_DATAGRAM, UdpStream


def parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(description="Sends numbered messages at a rate and notes when each is answered.")
    parser.add_argument("protocol", choices=("udp", "tcp"), help="the service to use")
    add_server(parser)
    parser.add_argument(
        "--count", metavar="N", type=whole_number(1, MOST, "a number of messages"), default=100
    )
    parser.add_argument(
        "--size", metavar="BYTES", type=whole_number(SMALLEST, MAX_DATAGRAM, "a size in bytes"), default=64
    )
    parser.add_argument(
        "--rate", metavar="N", type=whole_number(1, 100_000, "messages a second"), default=100,
        help="messages a second (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--wait", metavar="S", type=seconds, default=1.0, help="UDP: for replies, after the last message"
    )
    parser.add_argument(
        "--tries", metavar="N", type=whole_number(1, 100, "a number of tries"), default=1,
        help="UDP: send each up to N times, until it is answered (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--connect", metavar="S", type=seconds, default=10.0, help="TCP: wait so long for the connection"
    )
    parser.add_argument(
        "--patience", metavar="S", type=seconds, default=60.0, help="TCP: wait so long while no byte comes"
    )
    return parser


def memory() -> int:
    """Return the descriptor of a file that is in memory where the system can, else on the disk."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("journal")
    descriptor, name = tempfile.mkstemp()
    os.unlink(name)  # noqa: PTH108 - a name that only this function has known
    return descriptor


def hand_over(descriptor: int) -> None:
    """Write to standard output what was kept, all of it: the reader waits for it."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        while piece := os.read(descriptor, 1 << 16):
            while piece:
                piece = piece[os.write(1, piece) :]
    except OSError as error:
        raise Failure(explain(error, "write to standard output")) from error


@contextmanager
def kept_journal(*, as_json: bool) -> Iterator[Journal]:
    """Yield a journal; as JSON it is written when all is over, or has failed.

    It is not written after a signal: that ends the program also where nobody reads on.
    """
    if not as_json:
        yield Journal(as_json=False, quiet=False)
        return
    kept = memory()
    try:
        yield Journal(as_json=True, quiet=False, fd=kept)
    except Exception:  # a signal's SystemExit is none
        hand_over(kept)
        raise
    hand_over(kept)


def counters(wanted: bool) -> dict[str, object]:
    """Return what the kernel of this host has counted, where somebody wants it."""
    return {"counters": host_counters.read()} if wanted else {}


def main() -> int:
    """Run the stream; exit code 3 when a message got no answer."""
    options = parse_with_server(parser())
    server = (options.host, options.port)
    as_json = options.log_format == "json"
    with kept_journal(as_json=as_json) as journal:
        progress = Progress(options.count, shown=as_json)
        stream: UdpStream | TcpStream
        common = {"count": options.count, "size": options.size, "rate": options.rate}
        if options.protocol == "udp":
            stream = UdpStream(
                server,
                **common,
                wait_s=options.wait,
                tries=options.tries,
                journal=journal,
                progress=progress,
            )
        else:
            stream = TcpStream(
                server,
                **common,
                connect_s=options.connect,
                patience_s=options.patience,
                journal=journal,
                progress=progress,
            )
        journal.facts("start", common | counters(as_json))
        answered = stream.run()
        # The last line: a journal without it was cut off.
        journal.facts("end", {"answered": answered} | counters(as_json))
    return Exit.OK if answered == options.count else Exit.UNANSWERED


if __name__ == "__main__":
    run(main)
