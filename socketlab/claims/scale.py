"""Two of the lecture's open questions: how does one serve many, and what does it cost to be stateful?"""

import json
import re
import signal
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from errno import EADDRINUSE, ECONNRESET, EPIPE
from itertools import groupby
from statistics import median
from typing import Any

from socketlab.claims.connections import (
    PIECE,
    TROUBLE,
    address_of,
    answer_to,
    connect,
    listed,
    numbers,
    require,
    row_at,
    text,
    told,
    told_error,
    told_row,
)
from socketlab.claims.notebook import Notebook
from socketlab.claims.registry import shows
from socketlab.describe.scenario import PORT, ServerProgram
from socketlab.errors import TraceError
from socketlab.hosts.lab import JSON, READY, Lab
from socketlab.hosts.operated import SO_REUSEADDR, SOL_SOCKET, Program, RemoteSocket, expected, named
from socketlab.hosts.watching import WITHIN_S, until

CLIENTS = (1, 3, 10, 30, 100)
ROUNDS = 3
THINK_S = 0.008
ROUND_S = 20.0  # far more than the largest crowd needs, served one after the other: a second
ALL_S = 60.0  # for all rounds at one server, which take 4 s at most


def crowds(lab: Lab, program: ServerProgram, protocol: str) -> list[dict[str, Any]]:
    """Let ever more clients come to a server at once.

    Returns:
        For each number of clients: how many were answered, in all rounds together, and the medians of the
        rounds: median and 95th percentile of the time to the first answer, and answers a second; and the
        median of the best round, which is the one that other work of the machine has held up least.

    Raises:
        TraceError: what the clients wrote cannot be used.
    """
    options = ["--rounds", str(ROUNDS), "--think", str(THINK_S), "--timeout", str(ROUND_S)]
    with (
        lab.serve(program, "--quiet"),
        lab.start(
            lab.client, "experiments/crowd.py", protocol, lab.server.name, *options,
            "--clients", *map(str, CLIENTS),
            environment=JSON,
        ) as clients,
    ):  # fmt: skip
        code = clients.wait(ALL_S)
        output, errors = clients.written()
    if code not in {0, 3, None}:  # 3: some were not answered
        raise TraceError(f"the clients failed ({code}): {errors.strip()[-300:]}")
    try:
        rounds = [json.loads(line) for line in output.splitlines()]
        if code is None and all(one["answered"] == one["clients"] for one in rounds):
            # All of them, so far: this says something of the machine, and nothing of the server.
            raise TraceError(f"the clients had {len(rounds)} rounds in {ALL_S:g} s: is this machine so busy?")
        return points(rounds)
    except (ValueError, KeyError) as error:
        raise TraceError(f"expected rounds of clients, got {output[-300:]!r}") from error


def points(rounds: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a point of the curve for each number of clients, of what crowd.py said of each round."""
    return [
        {"clients": number, "answers": sum(one["answered"] for one in some)}
        | {name: _median(one.get(name) for one in some) for name in ("median_ms", "p95_ms", "answers_per_s")}
        | {"best_ms": min((one["median_ms"] for one in some if "median_ms" in one), default=None)}
        for number, group in groupby(rounds, lambda one: one["clients"])
        for some in [list(group)]
    ]


def _median(values: Iterable[float | None]) -> float | None:
    """Return the median of what was measured; None: it was not each time."""
    known = [value for value in values if value is not None]
    return median(known) if len(known) == ROUNDS else None


@shows("Q2")
def serving_many(lab: Lab, note: Notebook) -> None:
    """Number of clients against the time to an answer."""
    note.do(
        "each client says half a sentence, waits for the answer, thinks for "
        f"{THINK_S * 1e3:g} ms, says the rest, and goes; {', '.join(map(str, CLIENTS))} come at once, "
        f"{ROUNDS} times each: to the lecture's loops, TCP and UDP, and to the concurrent server, over TCP"
    )
    names = {"concurrent": "the concurrent server", "udp": "UDP's loop", "lecture": "the lecture's loop"}
    curves = {}
    for server, program, protocol in (
        ("concurrent", ServerProgram.CONCURRENT, "tcp"),
        ("udp", ServerProgram.LECTURE_UDP, "udp"),
        ("lecture", ServerProgram.LECTURE_TCP, "tcp"),
    ):
        curve = curves[server] = crowds(lab, program, protocol)
        require(
            note,
            f"{names[server]} has answered all",
            [point["answers"] for point in curve] == [number * ROUNDS for number in CLIENTS],
            {f"{point['clients']} clients": f"{point['answers']} answered" for point in curve},
        )
    note.figure(
        "scale",
        {
            "think_ms": THINK_S * 1e3,
            "rounds": ROUNDS,
            "points": [
                {"server": server} | point for server in ("lecture", "concurrent") for point in curves[server]
            ],
            "udp_points": [{"server": "lecture"} | point for point in curves["udp"]],
        },
    )
    best_ms = {server: curve[-1]["best_ms"] for server, curve in curves.items()}

    def told(server: str) -> dict[str, str]:
        return {
            f"{names[server]}, {point['clients']} clients": f"{point['median_ms']:.1f} ms, "
            f"in the best round {point['best_ms']:.1f} ms"
            for point in curves[server]
        }

    # Who comes to the loop waits while each one before thinks, and that takes no less than it takes. Half of
    # that, for the crowd does not come all in one instant. Other work of the machine makes any wait longer,
    # none shorter: so it is the best rounds that are judged.
    adds_up_ms = THINK_S * 1e3 * (CLIENTS[-1] - 1) / 2
    limit = {f"half of what {CLIENTS[-1]} clients' thinking adds up to, for each": f"{adds_up_ms / 2:.0f} ms"}
    note.check(
        "in the lecture's loop the time to an answer grows with the number of clients: the others' thinking "
        "adds up",
        best_ms["lecture"] >= adds_up_ms / 2,
        told("lecture") | limit,
    )
    for server, statement in (
        ("concurrent", "with the concurrent server it does not: nobody waits for the thinking of another"),
        ("udp", "nor with UDP, in a loop as simple: there is no connection to be held"),
    ):
        note.check(statement, best_ms[server] < adds_up_ms / 2, told(server) | limit)
    waits = (f"{names[server]} {best_ms[server]:.0f} ms" for server in ("lecture", "udp", "concurrent"))
    note.answer(f"where {CLIENTS[-1]} come at once, in the best round: {', '.join(waits)}")


@dataclass
class Costs:
    """What became of one client's messages.

    Attributes:
        asked, answered: messages.
        connected_again: times that it had to connect anew.
        saw: what told it about a restart.
    """

    asked: int = 0
    answered: int = 0
    connected_again: int = 0
    saw: list[str] = field(default_factory=list)

    def count(self, answer: bytes, line: bytes) -> bool:
        """Count a message and its answer; return whether it is that."""
        self.asked += 1
        self.answered += answer == line.upper()
        return answer == line.upper()

    def figures(self) -> dict[str, Any]:
        """Return them, for people."""
        return {
            "asked": self.asked,
            "answered": self.answered,
            "lost": self.asked - self.answered,
            "connected again": self.connected_again,
            "saw": listed(dict.fromkeys(self.saw)),
        }


def start_server(lab: Lab, note: Notebook) -> Program:
    """Start the concurrent server, as the next program on that host."""
    server = lab.start(lab.server, f"{ServerProgram.CONCURRENT}.py")
    output, errors = server.written(READY[ServerProgram.CONCURRENT])
    require(
        note,
        f"a server starts on port {PORT}",
        READY[ServerProgram.CONCURRENT] in output,
        {"process": server.pid, "its complaint": errors.strip() or "none"},
    )
    return server


def drop_one(lab: Lab, client_socket: RemoteSocket, line: bytes) -> int:
    """Send a datagram to a port that nobody has, and return how many the server's kernel dropped for that."""

    def dropped() -> int:
        names, values = re.findall(r"^Udp: (.*)$", lab.server.read("/proc/net/snmp"), re.MULTILINE)
        return int(dict(zip(names.split(), values.split(), strict=True))["NoPorts"])

    before = dropped()
    client_socket.sendto(line, (lab.server.name, PORT))
    return until(dropped, lambda now: now > before) - before


def ask_nobody(note: Notebook, ending: str, client: Program, number: int) -> None:
    """Type a line, the one of this number, at the lecture's UDP client while no server runs."""
    client.written("Sentence: ")
    client.type("is anybody there?\n")
    complains = f"udp_client: line {number}: "
    output, _errors = client.written(complains, WITHIN_S)
    complaint = output.partition(complains)[2].partition("\r")[0]
    note.check(
        f"{ending}: our UDP client learns it, for it asks its system for ICMP's messages (IP_RECVERR)",
        "Connection refused" in complaint,
        {"udp_client.py says": complaint or "nothing"},
    )


def check_silence(note: Notebook, ending: str, client_socket: RemoteSocket, dropped: int) -> None:
    """Check that a plain UDP socket has learnt nothing, though an ICMP message has come for it by now."""
    client_socket.settimeout(0)
    with expected(BlockingIOError, *TROUBLE) as silence:
        client_socket.recvfrom(PIECE)
    client_socket.settimeout(WITHIN_S)
    note.check(
        f"{ending}: a plain UDP socket learns nothing: its datagram is dropped, and no call fails",
        dropped >= 1 and bool(silence) and isinstance(silence[0], BlockingIOError),
        {
            "datagrams that the server's kernel dropped for want of a port": dropped,
            "recvfrom() at the client": told_error(silence[0]) if silence else "a datagram",
        },
    )


def answer_over_udp(client_socket: RemoteSocket, lab: Lab, line: bytes) -> bytes:
    """Send a datagram to the server, and return the answer, if one comes."""
    answer = b""
    with expected(*TROUBLE):
        client_socket.sendto(line, (lab.server.name, PORT))
        answer, _server = client_socket.recvfrom(PIECE)
    return answer


@shows("Q3")
def restarting(lab: Lab, note: Notebook) -> None:
    """What a restart of the server costs a UDP client, and a TCP client."""
    udp, tcp = Costs(), Costs()
    with ExitStack() as todo:
        server = start_server(lab, note)
        note.do(
            "a UDP client and a TCP client talk with it, and somebody types at each of the lecture's clients"
        )
        udp_socket = todo.enter_context(lab.client.udp())
        udp_socket.settimeout(WITHIN_S)
        tcp_socket = todo.enter_context(lab.client.tcp())
        connect(note, tcp_socket, lab)
        typed_at = {
            protocol: todo.enter_context(
                lab.start(lab.client, f"{protocol}_client.py", lab.server.name, terminal=True)
            )
            for protocol in ("udp", "tcp")
        }
        line = b"hello\n"
        answers = [
            udp.count(answer_over_udp(udp_socket, lab, line), line),
            tcp.count(answer_to(tcp_socket, line), line),
            *(typed(program, "hello") for program in typed_at.values()),
        ]
        require(note, "all are answered", all(answers), {"answered": f"{sum(answers)} of {len(answers)}"})
        for round_, ending in enumerate((signal.SIGTERM, signal.SIGKILL), start=1):
            own = udp_socket.getsockname()
            before = typed_at["tcp"].sockets("tcp")

            note.do(f"the server is ended, by {ending.name}")
            server.signal(ending)
            code = server.wait()
            with expected(*TROUBLE) as failed:
                end = tcp_socket.recv(PIECE)
            tcp.saw.append("recv() returns nothing")
            require(
                note,
                f"{ending.name}: the TCP client is told that its connection has ended",
                not failed and end == b"",
                {
                    "exit code of the server": code,
                    "recv() at the client": told_error(failed[0]) if failed else text(end),
                },
            )
            line = f"is anybody there, after {ending.name}?\n".encode()
            udp.count(b"", line)
            udp.saw.append("nothing; with IP_RECVERR: Connection refused")
            dropped = drop_one(lab, udp_socket, line)
            ask_nobody(note, ending.name, typed_at["udp"], number=2 * round_)
            check_silence(note, ending.name, udp_socket, dropped)
            check_port_is_held(lab, note, named(address_of(tcp_socket)))

            note.do("the server is started again, on the same port")
            server = start_server(lab, note)
            answer = answer_over_udp(udp_socket, lab, line)
            require(
                note,
                f"{ending.name}: the UDP client asks again and is answered: of it there was nothing to lose",
                udp.count(answer, line) and udp_socket.getsockname() == own,
                {"answer": text(answer), "the client's socket, the same": named(address_of(udp_socket))},
            )
            error = use_dead_connection(lab, tcp_socket, line)
            tcp.count(b"", line)
            tcp.saw.append(f"send() fails: {told_error(error) if error else 'no'}")
            note.check(
                f"{ending.name}: the TCP connection is of no use: for the new server it has never been",
                error is not None and error.errno in {EPIPE, ECONNRESET},
                {"send() at the client": told_error(error) if error else "done"},
            )
            tcp_socket = todo.enter_context(lab.client.tcp())
            connect(note, tcp_socket, lab)
            tcp.connected_again += 1
            answer = answer_to(tcp_socket, line)
            note.check(
                f"{ending.name}: the TCP client must connect again, and say again what was lost",
                tcp.count(answer, line),
                {"answer on a new connection": text(answer), "it is from": named(address_of(tcp_socket))},
            )
            again = [typed(program, f"hello after {ending.name}") for program in typed_at.values()]
            after = typed_at["tcp"].sockets("tcp")
            note.check(
                f"{ending.name}: who types is answered: the TCP client has connected again by itself",
                all(again) and len(after) == 1 and numbers(after) != numbers(before),
                {
                    "answered": f"{sum(again)} of {len(again)}",
                    "the TCP client's socket before": told(before),
                    "and after": told(after),
                },
            )
    note.figure("restart", {"udp": udp.figures(), "tcp": tcp.figures()})
    note.answer(
        "UDP: nothing of the restart; while no server runs, a plain socket gets no answer, and one that asks "
        f"for ICMP's messages 'Connection refused' ({udp.answered} of {udp.asked} answered). TCP: its "
        f"connection is gone, it must connect again ({tcp.connected_again} times) and repeat what it had said"
    )


def typed(client: Program, line: str) -> bool:
    """Type a line at one of the lecture's clients; return whether the answer is shown."""
    client.written("Sentence: ")
    client.type(f"{line}\n")
    output, _errors = client.written(f"{line.upper()}\r\n", WITHIN_S)
    return f"{line.upper()}\r\n" in output


def check_port_is_held(lab: Lab, note: Notebook, client: str) -> None:
    """Show what the server's host still knows of connections whose program has gone."""
    left = [row for row in lab.server.sockets("tcp") if row.peer == client]
    errors = []
    for reuse in (0, 1):
        with lab.server.tcp() as welcoming_socket, expected(OSError) as refused:
            welcoming_socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, reuse)
            welcoming_socket.bind(("", PORT))
        errors.append(refused[0] if refused else None)
    note.check(
        "the system still has the end of the connection: the port is to be had by SO_REUSEADDR only",
        errors[0] is not None and errors[0].errno == EADDRINUSE and errors[1] is None,
        {
            "left at the server, of no program": listed(map(told_row, left)),
            "bind() without SO_REUSEADDR": told_error(errors[0]) if errors[0] else "done",
            "bind() with it": told_error(errors[1]) if errors[1] else "done",
        },
    )


def use_dead_connection(lab: Lab, client_socket: RemoteSocket, line: bytes) -> OSError | None:
    """Send on a connection whose other end has gone, and return what the client is told."""
    mine = named(address_of(client_socket))
    with expected(*TROUBLE) as failed:
        client_socket.send(line)  # this one leaves; a reset is what comes back
        until(lambda: row_at(lab.client, mine), lambda row: row is None)
        client_socket.send(line)
    return failed[0] if failed else None
