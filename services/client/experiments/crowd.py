"""Many clients at once, in one program: how long does each wait for its first answer?

    python3 crowd.py udp|tcp [HOST [PORT]] [--clients N ...] [--rounds N] [--think S] [--timeout S]

Each client is somebody who types. It comes, says the first half of a sentence and waits for the answer; then
it thinks, says the second half, and goes when that is answered. All come at once. While one thinks, a server
that serves one after the other lets all others wait; a server that serves them together does not.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from socket import AF_INET, SOCK_DGRAM, SOCK_STREAM, gaierror, gethostbyname, socket
from statistics import median
from time import monotonic

from lab.failures import Exit, Failure, explain, run
from lab.journal import Address, Journal
from lab.options import Parser, add_server, parse_with_server, seconds, whole_number

# No answer ends a line before the second half: the lecture's server closes after a line.
HALVES = (b"to be, ", b"or not to be\n")
PIECE = 4096


@dataclass
class Client:
    """One of them.

    Attributes:
        sock: connected, for TCP as soon as it can be written to.
        came_s: when it called connect().
        half: which half of its sentence it is at.
        heard: of the answer to that.
        waited_s: from its coming to the answer to its first half.
    """

    sock: socket
    came_s: float
    half: int = 0
    heard: bytes = b""
    waited_s: float = math.nan


class Crowd:
    """Clients of one server, that come all at once.

    Args:
        server: its address.
        kind: of their sockets: SOCK_DGRAM or SOCK_STREAM.
        think_s: between the first answer and the second half.
        timeout_s: for all of it; who has no answer by then goes without.
    """

    def __init__(self, server: Address, kind: int, think_s: float, timeout_s: float) -> None:
        self._server = server
        self._kind = kind
        self._think_s = think_s
        self._timeout_s = timeout_s
        self._sockets = DefaultSelector()
        self._thinking: deque[tuple[float, Client]] = deque()  # until when; all think equally long
        self._answered: list[Client] = []
        self._left = 0

    def visit(self, number: int) -> tuple[list[float], float]:
        """Let so many come, and return when all have gone.

        Returns:
            How long each waited for its first answer, in seconds, of those who got both their answers; and
            how long all of it took.

        Raises:
            Failure: this host cannot have so many sockets.
        """
        begun_s = monotonic()
        try:
            for _ in range(number):
                self._come()
            while self._left and (remaining_s := begun_s + self._timeout_s - monotonic()) > 0:
                self._turn(remaining_s)
            return [client.waited_s for client in self._answered], monotonic() - begun_s
        except OSError as error:
            raise Failure(explain(error, f"be {number} clients at once")) from error
        finally:
            for key in list(self._sockets.get_map().values()):
                key.data.sock.close()
            self._sockets.close()

    def _come(self) -> None:
        client = Client(socket(AF_INET, self._kind), monotonic())
        self._sockets.register(client.sock, EVENT_WRITE, client)
        self._left += 1
        client.sock.setblocking(False)
        # Not connected yet, but on the way; whether it got there, the first send() will say.
        client.sock.connect_ex(self._server)

    def _turn(self, longest_s: float) -> None:
        if self._thinking:
            longest_s = min(longest_s, max(self._thinking[0][0] - monotonic(), 0))
        for key, _events in self._sockets.select(longest_s):
            try:
                self._ready(key.data, writable=key.events == EVENT_WRITE)
            except OSError:  # refused, reset: this one gets no answer, the others may
                self._go(key.data)
        while self._thinking and self._thinking[0][0] <= monotonic():
            _until_s, client = self._thinking.popleft()
            self._sockets.register(client.sock, EVENT_WRITE, client)

    def _ready(self, client: Client, *, writable: bool) -> None:
        half = HALVES[client.half]
        if writable:
            client.sock.send(half)  # so little is taken whole
            self._sockets.modify(client.sock, EVENT_READ, client)
            return
        piece = client.sock.recv(PIECE)
        client.heard += piece
        if not piece or not half.upper().startswith(client.heard):
            self._go(client)
        elif client.heard == half.upper() and client.half:
            self._answered.append(client)
            self._go(client)
        elif client.heard == half.upper():
            client.waited_s = monotonic() - client.came_s
            client.half, client.heard = 1, b""
            self._sockets.unregister(client.sock)
            self._thinking.append((monotonic() + self._think_s, client))

    def _go(self, client: Client) -> None:
        self._sockets.unregister(client.sock)
        client.sock.close()
        self._left -= 1


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of the values (there are some) that so many percent of them do not exceed."""
    return sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1]


def figures(waited_s: Sequence[float], took_s: float) -> dict[str, float]:
    """Return the figures of a round.

    Args:
        waited_s: of each client that was answered.
        took_s: all of it.
    """
    if not waited_s:
        return {"answered": 0}
    return {
        "answered": len(waited_s),
        "median_ms": round(median(waited_s) * 1e3, 3),
        "p95_ms": round(percentile(waited_s, 95) * 1e3, 3),
        "answers_per_s": round(len(HALVES) * len(waited_s) / took_s, 1),
    }


def parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(description="Many clients at once: how long does each wait for its first answer?")
    parser.add_argument("protocol", choices=("udp", "tcp"), help="the service to use")
    add_server(parser)
    parser.add_argument(
        "--clients", metavar="N", nargs="+", type=whole_number(1, 5000, "a number of clients"), default=[20],
        help="how many; several numbers: one after the other (default: 20)",
    )  # fmt: skip
    parser.add_argument(
        "--rounds", metavar="N", type=whole_number(1, 100, "a number of rounds"), default=3,
        help="how often they come (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--think", metavar="S", type=seconds, default=0.02,
        help="seconds in which each of them thinks (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", metavar="S", type=seconds, default=30.0,
        help="seconds for all of them together (default: %(default)g)",
    )  # fmt: skip
    return parser


def main() -> int:
    """Let them come, in rounds; exit code 3 when one did not get its answers."""
    options = parse_with_server(parser())
    journal = Journal(as_json=options.log_format == "json", quiet=False)
    try:
        server = (gethostbyname(options.host), options.port)
    except gaierror as error:
        raise Failure(explain(error, f"find a host named {options.host}")) from error
    kind = SOCK_DGRAM if options.protocol == "udp" else SOCK_STREAM
    all_answered = True
    for clients in options.clients:
        for number in range(1, options.rounds + 1):
            waited_s, took_s = Crowd(server, kind, options.think, options.timeout).visit(clients)
            journal.facts("crowd", {"clients": clients, "round": number, **figures(waited_s, took_s)})
            all_answered &= len(waited_s) == clients
    return Exit.OK if all_answered else Exit.UNANSWERED


if __name__ == "__main__":
    run(main)
