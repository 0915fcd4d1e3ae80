"""TCP, continued: reliability, flow control and congestion control, which UDP leaves to its programs."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from socket import IPPROTO_TCP, SHUT_WR, SO_RCVBUF, SO_SNDBUF, SOL_SOCKET
from statistics import median
from typing import Any

from impairment import Direction, Impairment, Traffic, parse

from socketlab.analyse import congestion
from socketlab.analyse.congestion import Look, Transfer, mathis_bit_s
from socketlab.analyse.journeys import Journey, Outcome, journeys
from socketlab.analyse.result import TcpResult, result
from socketlab.claims.notebook import Notebook
from socketlab.claims.registry import shows
from socketlab.describe.scenario import Experiment, Protocol, ServerProgram, Stream
from socketlab.errors import EngineError, TraceError
from socketlab.observe import evidence, tcp_info, trace
from socketlab.observe.evidence import Evidence, passed
from socketlab.observe.packets import Packet
from socketlab.observe.sockets import Row
from socketlab.run.remote import PATIENCE_S, Host, Program, RemoteSocket, expected, named
from socketlab.run.stage import JSON, PORT, Stage

# --- T11: reliable, in order

LINES = Stream(Protocol.TCP, count=200, size=500, rate=400)


@shows("T11")
def bytes_come_whole_and_in_order(stage: Stage, note: Notebook) -> None:
    """Over a network that loses and reorders, every byte comes, in its place.

    Of some 400 packets or more 5 % are lost and a quarter goes ahead of others: that none is lost happens
    once in 10^9 runs.
    """
    spec = parse(f"delay 10ms loss 5% reorder 25% duplicate 1% limit 10000 seed {stage.network_seed}")
    experiment = Experiment(LINES, Impairment(spec, traffic=Traffic("tcp")))
    note.do(
        f"{LINES.count} numbered lines of {LINES.size} bytes, over one connection, through a network that "
        f"does this to packets both ways: {spec}"
    )
    travelled: list[Journey] = []
    seen = stage.observed(experiment, watched(stage, travelled))
    found = result(experiment, seen)
    if not isinstance(found, TcpResult) or found.connection.bytes is None:
        raise TraceError(
            f"nobody compared the bytes: {'; '.join(seen.broken) or 'the client has no journal'}"
        )
    note.figure("tcp", found)
    lost, arrived = dropped(seen), found.connection.bytes
    again = {
        "by the client's system": found.connection.retransmitted_by_client,
        "by the server's system": found.connection.retransmitted_by_server,
    }
    note.check(
        "the network lost packets of this connection",
        sum(lost.values()) > 0,
        {f"dropped {way} (its own count)": count for way, count in lost.items()},
    )
    note.check(
        "every byte came all the same, each in its place",
        arrived.equal and arrived.came == arrived.expected,
        {
            "bytes": f"{arrived.came:,} of {arrived.expected:,}",
            "SHA-256 expected": arrived.sha256_expected,
            "SHA-256 of what came": arrived.sha256_came,
        },
    )
    note.check(
        "for the operating systems sent segments again",
        sum(count or 0 for count in again.values()) > 0,
        {f"segments sent again {who}": count for who, count in again.items()},
    )
    if travelled:
        note.figure("segments", segments(stage, travelled))
        gone = [journey for journey in travelled if journey.outcome is Outcome.LOST]
        note.check(
            "on the wire: segments left one host and did not arrive at the other, and were sent again",
            bool(gone) and any(journey.again for journey in travelled),
            {
                "packets that left": sum(journey.left_ns is not None for journey in travelled),
                "did not arrive": len(gone),
                "carried again what was sent before": sum(journey.again for journey in travelled),
                "were overtaken": sum(journey.overtaken for journey in travelled),
            },
        )


@contextmanager
def watched(stage: Stage, travelled: list[Journey]) -> Iterator[None]:
    """Capture at both ends, where packets can be captured; at the end the journeys are in the list."""
    if stage.taps is None:
        yield
        return
    with stage.capture(stage.client) as at_client, stage.capture(stage.server, inside=True) as at_server:
        yield
        ends = (stage.client.address, stage.server.address)
        seen = journeys(at_client.near_packets(), at_server.near_packets(), ends)
        travelled += [journey for journey in seen if journey.packet.protocol == "tcp"]


def dropped(seen: Evidence) -> dict[str, int]:
    """Return how many packets the network has lost, by its own count, each way."""
    ways = {"on the way there": Direction.INGRESS, "on the way back": Direction.EGRESS}
    return {way: counted.dropped for way, one in ways.items() if (counted := passed(seen, one))}


def segments(stage: Stage, travelled: Sequence[Journey]) -> list[dict[str, Any]]:
    """Return journeys as data. Sequence numbers count from each side's first."""
    first: dict[str, int] = {}
    for journey in travelled:
        first.setdefault(journey.sender, journey.packet.sequence or 0)
    return [
        {
            "from": "client" if journey.sender == stage.client.address else "server",
            "left_ns": journey.left_ns,
            "arrived_ns": journey.arrived_ns,
            "sequence": ((journey.packet.sequence or 0) - first[journey.sender]) % (1 << 32),
            "bytes": len(journey.packet.payload),
            "flags": " ".join(sorted(journey.packet.flags)),
            "again": journey.again,
        }
        for journey in travelled
    ]


# --- T12: flow control

PIECE = 65_536  # bytes: what the writer hands over at a time, and the reader takes
BLOCKED_S = 0.25  # a send() that has not returned by then waits for the other side
TOO_MUCH = 64 << 20  # bytes; whoever takes so many and answers none of them stops nobody
MEMORY_GROWTH = 1 << 20  # bytes that a server's memory may grow by, whatever a client sends


@dataclass
class Flow:
    """A connection between a writer and a reader, and what their kernels say of it over time."""

    writer: RemoteSocket
    reader: RemoteSocket
    begun: float = field(default_factory=time.monotonic)
    samples: list[dict[str, float | int | None]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ends = named((self.writer.host.address, self.writer.getsockname()[1]))

    def happened(self, what: str) -> None:
        """Note an event for the picture."""
        self.events.append({"t_s": time.monotonic() - self.begun, "what": what})

    def look(self) -> dict[str, float | int | None]:
        """Ask both kernels, at once, and keep what they say."""
        asked = self.writer.begin("getsockopt", IPPROTO_TCP, tcp_info.TCP_INFO, tcp_info.ROOM)
        sample = {
            "t_s": time.monotonic() - self.begun,
            "unread_bytes": row(self.reader.host, peer=self.ends).unread,
            "unsent_bytes": row(self.writer.host, local=self.ends).unsent,
            "window_bytes": tcp_info.send_window(self.writer.host.finished(asked)),
        }
        self.samples.append(sample)
        return sample


def row(host: Host, *, local: str = "", peer: str = "") -> Row:
    """Return the kernel's row of a connection, by either address.

    Raises:
        TraceError: it has none.
    """
    for one in host.sockets("tcp"):
        if one.state != "LISTEN" and (one.local == local or one.peer == peer):
            return one
    raise TraceError(f"expected a connection of {local or peer} at the {host.name}, there is none")


def write_until_blocked(
    writer: RemoteSocket, piece: bytes, look: Callable[[], object] = lambda: None
) -> tuple[bool, int]:
    """Send a piece again and again until send() blocks.

    Args:
        writer: the socket.
        piece: what the stream is made of.
        look: is called after each send().

    Returns:
        Whether it did block, or TOO_MUCH was sent; and how many bytes were.
    """
    writer.settimeout(BLOCKED_S)
    sent = 0
    with expected(TimeoutError) as blocked:
        while sent < TOO_MUCH:
            # send() may take just a part: the next one goes on where that ends.
            begin = sent % len(piece)
            sent += writer.send(piece[begin:] + piece[:begin])
            look()
    writer.settimeout(PATIENCE_S)
    return bool(blocked), sent


@shows("T12")
def reader_that_stops_stops_the_writer(stage: Stage, note: Notebook) -> None:
    """A receiver that does not read stops the sender: first two bare sockets, then through the server."""
    two_sockets(stage, note)
    through_the_server(stage, note)


def two_sockets(stage: Stage, note: Notebook) -> None:
    """Let a reader stop, and go on."""
    piece = Random(stage.seed).randbytes(PIECE)  # noqa: S311 - no secret: bytes that are not all the same
    note.do("two sockets are connected; the client sends and sends, and the server does not read")
    with (
        stage.capture(stage.client) if stage.taps else nullcontext() as wire,
        stage.server.tcp(PORT) as welcoming,
        stage.client.tcp() as writer,
    ):
        writer.connect((stage.server.address, PORT))
        reader, _client = welcoming.accept()
        with reader:
            flow = Flow(writer, reader)
            open_window = flow.look()["window_bytes"]
            if open_window is None:
                note.cannot("this kernel does not say which window the other side has advertised (Linux 5.4)")
            flow.happened("the client begins to send")
            stopped, sent = write_until_blocked(writer, piece, flow.look)
            flow.happened("send() blocks")
            still = flow.look()
            room = {
                "receive": reader.option(SOL_SOCKET, SO_RCVBUF),
                "send": writer.option(SOL_SOCKET, SO_SNDBUF),
            }
            note.check(
                "the window that the server's system advertises goes down to zero",
                still["window_bytes"] == 0,
                {
                    "window at the beginning": f"{open_window:,} bytes",
                    "window now": f"{still['window_bytes']:,} bytes",
                },
            )
            note.check("the client's send() blocks", stopped, {"handed over by then": f"{sent:,} bytes"})
            note.check(
                "memory stays bounded: what is unread fits into the reader's buffer, what is unsent into the "
                "writer's",
                0 < (still["unread_bytes"] or 0) <= room["receive"]
                and 0 < (still["unsent_bytes"] or 0) <= room["send"],
                {
                    "unread": f"{still['unread_bytes']:,} bytes, of {room['receive']:,} (SO_RCVBUF)",
                    "unsent": f"{still['unsent_bytes']:,} bytes, of {room['send']:,} (SO_SNDBUF)",
                },
            )
            note.do("now the server reads, all of it")
            flow.happened("the server begins to read")
            came, size = sha256(), 0
            writer.shutdown(SHUT_WR)
            while data := reader.recv(PIECE):
                came.update(data)
                size += len(data)
                flow.look()
            flow.happened("all is read")
            again = flow.samples[-1]["window_bytes"] or 0
            note.check("the window opens again", again > 0, {"window now": f"{again:,} bytes"})
            whole = (piece * (sent // PIECE + 1))[:sent]
            note.check(
                "and no byte was lost",
                came.digest() == sha256(whole).digest(),
                {"sent": f"{sent:,} bytes", "read": f"{size:,} bytes", "SHA-256 of it": came.hexdigest()},
            )
        if wire is not None:
            on_the_wire(note, wire.packets(), named((stage.server.address, PORT)))
    note.figure("flow", {"samples": flow.samples, "events": flow.events})


def on_the_wire(note: Notebook, packets: Sequence[Packet], server: str) -> None:
    """Check the windows that the server's segments carried, in their order."""
    windows = [packet.window for packet in packets if packet.source == server and packet.window is not None]
    closed = [number for number, window in enumerate(windows) if window == 0]
    note.check(
        "on the wire: segments of the server's system that say window 0, and later ones that open it again",
        bool(closed) and any(window > 0 for window in windows[closed[-1] + 1 :]),
        {
            "segments from the server": len(windows),
            "with window 0": len(closed),
            "its windows, from first to last": thinned(windows),
        },
    )


def thinned(windows: Sequence[int]) -> str:
    """Return some of many numbers, with the first, the smallest and the last."""
    step = max(1, len(windows) // 6)
    lowest = windows.index(min(windows)) if windows else 0
    chosen = sorted(
        {*range(0, len(windows), step), lowest, max(0, len(windows) - 1)} & {*range(len(windows))}
    )
    return ", ".join(f"{windows[number]:,}" for number in chosen)


def through_the_server(stage: Stage, note: Notebook) -> None:
    """Let a client send to the server, and never read its answers."""
    note.do("a client sends to the server program, and never reads the answers")
    with stage.serve(ServerProgram.CONCURRENT, "--quiet") as server, stage.client.tcp() as greedy:
        greedy.connect((stage.server.address, PORT))
        greedy.sendall(b"hello")
        greedy.recv(5)  # the server has made all that it makes for a client
        before = resident_bytes(server)
        stopped, sent = write_until_blocked(greedy, b"a" * PIECE * 4)
        after = resident_bytes(server)
        info = greedy.call("getsockopt", IPPROTO_TCP, tcp_info.TCP_INFO, tcp_info.ROOM)
        window = tcp_info.send_window(info)
        note.check(
            "the server stops reading him: its window goes to zero, and his send() blocks",
            stopped and window == 0,
            {
                "he has handed over": f"{sent:,} bytes",
                "the server's window now": "unknown" if window is None else f"{window:,} bytes",
            },
        )
        note.check(
            "the server's own memory does not grow",
            after - before <= MEMORY_GROWTH,
            {"VmRSS before": f"{before:,} bytes", "VmRSS after": f"{after:,} bytes"},
        )


def resident_bytes(program: Program) -> int:
    """Return how much memory a program takes."""
    for line in program.proc("status").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise TraceError(f"expected VmRSS in the status of {program.name}, there is none: it has ended")


# --- T13: congestion control

DELAY_MS = 20
# What the network carries, or bbr, which no loss slows down, would take the whole machine. For several at a
# time it is more than reno can use.
CAPACITY, WIDE = "20mbit", "100mbit"
WATCHED_PERCENT, WATCHED_S = 1, 2.5
LOSSES_PERCENT, ROUNDS, ROUND_S = (1, 2, 5), 5, 2.0
SETTLED_S = 0.5  # slow start and its end: what Mathis's formula does not speak of is left out
RENO = "reno"  # RFC 5681's own
OTHERS = ("cubic", "bbr")
SYSCTL = "/proc/sys/net/ipv4/tcp_{}_congestion_control"


@shows("T13")
def window_follows_loss(stage: Stage, note: Notebook) -> None:
    """The congestion window falls with a loss and grows again; throughput follows loss.

    Losses are those of the network in front of the receiver: at the sender's own they would be seen by its
    TCP, and not by their acknowledgements (tc-netem(8), LIMITATIONS).

    How sure the bounds are. Without a loss the watched transfer would be some 3,000 segments long, of which
    1 % is lost: that none is, happens once in 10^12 runs. The goodput of one round varies by 25 % (1 % loss)
    and 15 % (5 %), so the median of five by 14 % and 9 %. The two medians are expected 2.3 times apart: that
    they come the wrong way round is five standard deviations. The bounds around Mathis's formula are wider.
    """
    known = stage.client.read(SYSCTL.format("available")).split()
    if RENO not in known:
        note.cannot(f"this kernel has no reno, of which RFC 5681 speaks: it has {', '.join(known)}")
    runs, absent = [], []
    transfers: dict[str, tuple[Transfer, int]] = {}
    for algorithm in (RENO, *OTHERS):
        if algorithm not in known:
            absent.append({"algorithm": algorithm, "why": f"this kernel has {', '.join(known)} alone"})
            continue
        host = sender(stage, algorithm)
        if host is None:
            absent.append({"algorithm": algorithm, "why": "this system allows it to its administrator alone"})
            continue
        whose = "" if host is stage.client else ", which this system allows to its administrator alone"
        note.do(
            f"{algorithm}{whose}: one transfer, {WATCHED_S:g} s long, through a network of {CAPACITY} that "
            f"delays by {DELAY_MS} ms and loses {WATCHED_PERCENT} % of the packets to the server"
        )
        spec = f"delay {DELAY_MS}ms loss {WATCHED_PERCENT}% rate {CAPACITY}"
        moved, lost = transferred(stage, host, algorithm, spec, 1, WATCHED_S)
        transfers[algorithm] = moved, lost
        runs.append(run_data(moved))
    reno, lost = transfers[RENO]
    note.figure(
        "congestion",
        {
            "rtt_ms": DELAY_MS,
            "loss_percent": WATCHED_PERCENT,
            "segment_bytes": reno.segment_bytes,
            "runs": runs,
            "absent": absent,
        },
    )
    window_falls_and_grows(note, reno, lost)
    throughput_follows_loss(stage, note)
    if "bbr" in transfers:
        speed = {name: goodput(moved) for name, (moved, _lost) in transfers.items()}
        note.check(
            "bbr does not take a loss for a sign that it is too fast: through the same network it is faster",
            speed["bbr"] > speed[RENO],
            {f"goodput of {name}": mbit(value) for name, value in speed.items()},
        )


def sender(stage: Stage, algorithm: str) -> Host | None:
    """Return a client host on which a program may use an algorithm; None: there is none."""
    allowed = stage.client.read(SYSCTL.format("allowed")).split()
    if algorithm in allowed or stage.client.function("os", "geteuid") == 0:
        return stage.client
    return stage.administrator() if stage.administrator else None


def transferred(
    stage: Stage, host: Host, algorithm: str, spec: str, connections: int, seconds: float
) -> tuple[Transfer, int]:
    """Send for some seconds through a bad network; return what the sender's kernel said, and the losses.

    Raises:
        EngineError: the program could not do it; its own words are in the message.
    """
    with (
        stage.start(stage.server, "sink.py", "--quiet") as sink,
        stage.impaired(f"{spec} limit 10000 seed {stage.network_seed}", directions="ingress", traffic="tcp"),
    ):
        sink.wait_for("listen")
        words = (f"--seconds={seconds:g}", f"--connections={connections}", f"--congestion={algorithm}")
        with stage.start(host, "bulk.py", stage.server.address, str(PORT), *words, environment=JSON) as bulk:
            code = bulk.wait(seconds + PATIENCE_S)
            output, errors = bulk.written()
        counted = evidence.sidecar(stage.sidecar_now()).counters[Direction.INGRESS]
    if code != 0:
        raise EngineError(f"the transfer failed ({code}): {errors.strip()[-300:]}")
    return congestion.transfer(trace.parse(output.splitlines())), counted.dropped


def run_data(moved: Transfer) -> dict[str, Any]:
    """Return one watched transfer as data for the picture."""
    loss = WATCHED_PERCENT / 100
    mathis = mathis_bit_s(moved.segment_bytes, moved.rtt_s, loss) if moved.congestion == RENO else None
    return {
        "algorithm": moved.congestion,
        "samples": [sample(look) for look in moved.connections[0]],
        "goodput_bit_s": goodput(moved),
        "mathis_bit_s": mathis,
    }


def sample(look: Look) -> dict[str, float | int | None]:
    """Return a look as data for the picture."""
    return {
        "t_s": look.time_s,
        "cwnd_segments": look.cwnd,
        "ssthresh_segments": look.ssthresh,
        "retransmitted": look.retransmitted,
    }


def goodput(moved: Transfer) -> float:
    """Return what a transfer's only connection has carried, in bits a second, after slow start."""
    return congestion.goodput_bit_s(moved.connections[0], SETTLED_S)


def mbit(bit_s: float) -> str:
    """Return a rate for people."""
    return f"{bit_s / 1e6:.2f} Mbit/s"


def window_falls_and_grows(note: Notebook, reno: Transfer, lost: int) -> None:
    """Check the saw-tooth of RFC 5681."""
    looks = reno.connections[0]
    falls = congestion.falls(looks)
    halving, growth = congestion.halving(falls), congestion.growth(looks)
    windows = [look.cwnd for look in looks]
    noticed = reno.recoveries + reno.timeouts
    note.check("the network lost segments of reno's transfer", lost > 0, {"dropped, its own count": lost})
    note.check(
        "the window fell with the losses: about as often as the kernel began a recovery",
        bool(falls) and noticed / 2 <= len(falls) <= noticed * 1.5 + 1,
        {
            "times that the window fell": len(falls),
            "fast recoveries (the kernel's count)": reno.recoveries,
            "time-outs": reno.timeouts,
            "segments sent again": reno.retransmitted,
        },
    )
    note.check(
        "each time to about half of what it was (ssthresh, RFC 5681)",
        halving is not None and 0.4 <= halving <= 0.6,
        {
            "new threshold / window before, median": halving,
            "for example": ", ".join(f"{fall.before} to {fall.ssthresh}" for fall in falls[:5]),
        },
    )
    note.check(
        "and then it grew by about a segment each round trip",
        growth is not None and 0.5 <= growth <= 1.3,
        {
            "segments a round trip, in congestion avoidance": growth and round(growth, 2),
            "round trip, smoothed": f"{reno.rtt_s * 1e3:.1f} ms",
            "smallest and largest window": f"{min(windows)} and {max(windows)} segments",
        },
    )


def throughput_follows_loss(stage: Stage, note: Notebook) -> None:
    """Check that more loss is less throughput, and lay it beside Mathis's formula."""
    note.do(
        f"reno, {ROUNDS} transfers at a time through a network of {WIDE}, with a loss of "
        f"{', '.join(f'{percent} %' for percent in LOSSES_PERCENT)}; the first {SETTLED_S:g} s do not count"
    )
    points: list[dict[str, Any]] = []
    for percent in LOSSES_PERCENT:
        spec = f"delay {DELAY_MS}ms loss {percent}% rate {WIDE}"
        moved, _lost = transferred(stage, stage.client, RENO, spec, ROUNDS, SETTLED_S + ROUND_S)
        rounds = [congestion.goodput_bit_s(looks, SETTLED_S) for looks in moved.connections]
        points.append(
            {
                "loss_percent": percent,
                "rounds_bit_s": rounds,
                "median_bit_s": median(rounds),
                "mathis_bit_s": mathis_bit_s(moved.segment_bytes, moved.rtt_s, percent / 100),
            }
        )
    note.figure(
        "mathis",
        {"algorithm": RENO, "rtt_ms": DELAY_MS, "segment_bytes": moved.segment_bytes, "points": points},
    )
    medians = {point["loss_percent"]: point["median_bit_s"] for point in points}
    note.check(
        f"with {LOSSES_PERCENT[-1]} % of loss it carries less than with {LOSSES_PERCENT[0]} %",
        medians[LOSSES_PERCENT[-1]] < medians[LOSSES_PERCENT[0]],
        {f"median goodput at {percent} %": mbit(value) for percent, value in medians.items()},
    )
    shares = {point["loss_percent"]: point["median_bit_s"] / point["mathis_bit_s"] for point in points}
    note.check(
        "about as much as Mathis's formula says: segment size / round trip * sqrt(1.5 / loss)",
        all(0.4 <= share <= 1.8 for share in shares.values()),
        {
            f"at {point['loss_percent']} %": f"{mbit(point['median_bit_s'])}, by the formula "
            f"{mbit(point['mathis_bit_s'])} ({shares[point['loss_percent']]:.0%})"
            for point in points
        }
        | {
            "what the formula leaves out": "time-outs, and losses of what was sent again (more with more "
            "loss); that a window is of whole segments; chance, in rounds this short"
        },
    )
