"""Analyse: what became of a byte stream, by the journals of both hosts. No clock, no I/O.

TCP loses nothing and turns nothing round, or it ends the connection. So what an unreliable network does to
it is seen in time alone: in retransmissions, in the congestion window, and in messages that wait for others.

Head-of-line waiting, as it is counted here: where one recv() of the server brought several messages, all of
them but the first have waited, at the longest, for the first one: TCP hands over in order, so what had
arrived lay in the kernel until the gap before it was filled. How long a message waited is its time from
write to recv, less the shortest such time of the run: at the most, for it may have been lost itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from socketlab.analyse.clocks import not_shared
from socketlab.analyse.fates import Fate
from socketlab.describe.scenario import Program, Stream
from socketlab.observe.evidence import Evidence, client_host, faults, host_difference
from socketlab.observe.trace import Event


@dataclass(frozen=True)
class Line:
    """One numbered line. Times: nanoseconds since the first was written.

    Attributes:
        number: from 1.
        fate: answered, unanswered (the connection ended or stood still), or unmeasured.
        sent: when the client wrote it.
        arrived: when the server's program had all of it. Where the hosts do not share a clock: since its
            first arrival.
        answered: when the client's program had all of its answer.
        waited: how long it lay behind an earlier one at the most, at the server; None: it came alone, or
        first.
    """

    number: int
    fate: Fate
    sent: int | None = None
    arrived: int | None = None
    answered: int | None = None
    waited: int | None = None

    @property
    def round_trip(self) -> int | None:
        """From writing it until its answer was there, in nanoseconds."""
        return self.answered - self.sent if self.answered is not None and self.sent is not None else None


@dataclass(frozen=True)
class Sample:
    """TCP_INFO of the client's connection at one time (nanoseconds since the first message was written).

    `cwnd` is in segments, times in microseconds; `retransmitted` counts segments since the connection began.
    What the kernel does not say is None.
    """

    time: int
    cwnd: int | None = None
    rtt_us: int | None = None
    rto_us: int | None = None
    unacked: int | None = None
    retransmitted: int | None = None
    ssthresh: int | None = None


@dataclass(frozen=True)
class Bytes:
    """The bytes that were to come back, and those that came."""

    expected: int
    came: int
    sha256_expected: str
    sha256_came: str

    @property
    def equal(self) -> bool:
        """Whether the same bytes came, all of them and in order."""
        return self.sha256_expected == self.sha256_came


@dataclass(frozen=True)
class Connection:
    """What became of a stream of lines over one connection.

    Attributes:
        lines: by their number.
        faults: why lines without an answer are unmeasured; none: the measurement holds.
        gave_up: why the client ended before all was answered, in its own words.
        bytes: compared; None: the client that was used does not.
        handshake: nanoseconds from connect() until it returned; None: it did not, or nobody measured.
        retransmitted_by_client, retransmitted_by_server: segments that each host's kernel sent again.
        timeouts: how often the client's kernel waited until a retransmission timer ran out.
        samples: TCP_INFO over time.
        clocks: why times of the two hosts cannot be compared; nothing: as far as is known, they can.
    """

    lines: tuple[Line, ...]
    faults: tuple[str, ...] = ()
    begun_ns: int = 0
    gave_up: str | None = None
    bytes: Bytes | None = None
    handshake: int | None = None
    retransmitted_by_client: int | None = None
    retransmitted_by_server: int | None = None
    timeouts: int | None = None
    samples: tuple[Sample, ...] = ()
    clocks: str = ""

    @property
    def completion(self) -> int | None:
        """From the first write until the last answer, in nanoseconds; None: it never came."""
        answers = [line.answered for line in self.lines]
        return max(answer for answer in answers if answer is not None) if all(answers) else None

    @property
    def waiting(self) -> list[int]:
        """How long each line that lay behind another one waited, at the most."""
        return [line.waited for line in self.lines if line.waited is not None]

    def count(self, fate: Fate) -> int:
        """Return how many lines have this fate."""
        return sum(line.fate is fate for line in self.lines)


def connection(stream: Stream, evidence: Evidence) -> Connection:
    """Return what became of a stream over TCP."""
    wrong = faults(stream, evidence)
    client = evidence.client or ()
    if stream.program is Program.LECTURE:
        sent, answered = _stop_and_wait(client)
    else:
        sent = {
            event.facts["message"]: event.time_ns
            for event in client
            if event.event == "write" and "message" in event.facts
        }
        answered = _complete(_pieces(client, "recv"), stream)
    ours = {event.local for event in client if event.event == "connect"}
    arrived = _complete(
        _pieces([event for event in evidence.server or () if event.peer in ours], "recv"), stream
    )
    if missing := [number for number in answered if number not in arrived and evidence.server is not None]:
        wrong.append(f"the server's journal lacks {len(missing)} messages that were answered")
    base = min(sent.values(), default=0)
    waited = _waiting(sent, arrived)
    ways = [
        (one[number], other[number])
        for one, other in ((sent, arrived), (arrived, answered))
        for number in one.keys() & other.keys()
    ]
    clocks = not_shared(client, evidence.server or (), ways)
    server_base = min(arrived.values(), default=0) if clocks else base

    def since(times: dict[int, int], number: int, base: int = base) -> int | None:
        return times[number] - base if number in times else None

    lines = tuple(
        Line(
            number,
            _fate(number, answered, measured=not wrong),
            since(sent, number),
            since(arrived, number, server_base),
            since(answered, number),
            waited.get(number),
        )
        for number in range(1, stream.count + 1)
    )
    client_before, client_after = client_host(client)
    connects = {event.event: event for event in client if event.event in {"connect", "handshake"}}
    begun = connects["handshake"].facts.get("begun_ns") if "handshake" in connects else None
    reasons = [event.reason for event in client if event.event == "gave_up"]
    return Connection(
        lines,
        tuple(wrong),
        base,
        gave_up=reasons[0] if reasons else None,
        bytes=_bytes(client),
        handshake=connects["connect"].time_ns - begun
        if begun is not None and "connect" in connects
        else None,
        retransmitted_by_client=host_difference(client_before, client_after, "Tcp", "RetransSegs")
        if client_after
        else None,
        retransmitted_by_server=host_difference(
            evidence.before.host, evidence.after.host, "Tcp", "RetransSegs"
        )
        if evidence.before and evidence.after
        else None,
        timeouts=host_difference(client_before, client_after, "TcpExt", "TCPTimeouts")
        if client_after
        else None,
        samples=tuple(_samples(client, base)),
        clocks=clocks,
    )


def _fate(number: int, answered: dict[int, int], *, measured: bool) -> Fate:
    if number in answered:
        return Fate.ANSWERED
    return Fate.UNANSWERED if measured else Fate.UNMEASURED


def _pieces(events: Sequence[Event], call: str) -> list[tuple[int, int]]:
    """Return (time, bytes) of each piece of the stream."""
    return [(event.time_ns, event.bytes or 0) for event in events if event.event == call]


def _complete(pieces: Sequence[tuple[int, int]], stream: Stream) -> dict[int, int]:
    """Return when each message was complete: with the piece that brought its last byte."""
    times: dict[int, int] = {}
    received = 0
    for time_ns, size in pieces:
        received += size
        while len(times) < min(received // stream.size, stream.count):
            times[len(times) + 1] = time_ns
    return times


def _stop_and_wait(events: Sequence[Event]) -> tuple[dict[int, int], dict[int, int]]:
    """Return when the lecture's client sent each line, and when it showed the answer."""
    sent: dict[int, int] = {}
    answered: dict[int, int] = {}
    for event in events:
        if event.event == "send":
            # Sent again over a new connection it is the same line: what counts is the first time.
            sent.setdefault(len(answered) + 1, event.time_ns)
        elif event.event == "answer" and event.line:
            answered[event.line] = event.time_ns
    return sent, answered


def _waiting(sent: dict[int, int], arrived: dict[int, int]) -> dict[int, int]:
    transits = {number: arrived[number] - sent[number] for number in arrived if number in sent}
    fastest = min(transits.values(), default=0)
    return {
        number: transits[number] - fastest
        for number in transits
        if number - 1 in arrived and arrived[number - 1] == arrived[number]
    }


def _bytes(events: Sequence[Event]) -> Bytes | None:
    for event in events:
        if event.event == "bytes":
            values = {field.name: event.facts.get(field.name) for field in fields(Bytes)}
            if all(value is not None for value in values.values()):
                return Bytes(**values)  # type: ignore[arg-type]  # checked by name, and written by our own client
    return None


NAMES = {"retransmitted": "total_retrans"}  # where the kernel's word is another


def _samples(events: Sequence[Event], base_ns: int) -> list[Sample]:
    wanted = [field.name for field in fields(Sample) if field.name != "time"]
    return [
        Sample(
            event.time_ns - base_ns,
            **{name: event.facts[key] for name in wanted if (key := NAMES.get(name, name)) in event.facts},
        )
        for event in events
        if event.event == "info"
    ]
