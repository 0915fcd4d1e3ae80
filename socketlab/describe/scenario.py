"""Describe: what is to happen, as data."""

import math
from dataclasses import dataclass
from enum import StrEnum

from netem_impairment import Directions, Impairment, Spec

from socketlab.errors import ScenarioError

PORT = 12_000  # of the lecture's servers
EXPERIMENT_PORT = 12_001  # of an experiment's, beside them


class Protocol(StrEnum):
    """The two services that the Internet's transport layer offers."""

    UDP = "udp"
    TCP = "tcp"


class ServerProgram(StrEnum):
    """One of the server programs: the concurrent server, or one of the lecture's own loops."""

    CONCURRENT = "server"
    LECTURE_UDP = "udp_server"
    LECTURE_TCP = "tcp_server"


class Servers(StrEnum):
    """What runs on the server host: the lecture's two servers, the concurrent one, or none yet."""

    LECTURE = "lecture"
    CONCURRENT = "concurrent"
    IDLE = "idle"

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """What they serve."""
        return () if self is Servers.IDLE else tuple(Protocol)


class Program(StrEnum):
    """What sends an experiment's messages: the numbered stream, or the lecture's own client."""

    STREAM = "stream"
    LECTURE = "lecture"


class Engine(StrEnum):
    """What impairs the packets: the kernel's netem, or the sidecar's own; auto: the kernel's where it is."""

    AUTO = "auto"
    KERNEL = "kernel"
    USERSPACE = "userspace"


@dataclass(frozen=True)
class Conversation:
    """One of the lecture's clients sends lines to the server, each when the one before is answered.

    Raises:
        ScenarioError: there is no line, or one contains a newline.
    """

    protocol: Protocol
    lines: tuple[str, ...]
    timeout_s: float = 2.0

    def __post_init__(self) -> None:
        if not self.lines:
            raise ScenarioError("expected at least one line to send, got none")
        for line in self.lines:
            if "\n" in line:
                raise ScenarioError(f"expected lines without a newline, got {line!r}: give it as two lines")


@dataclass(frozen=True)
class Stream:
    """Numbered messages from one client to the server.

    Attributes:
        protocol: UDP: each is a datagram. TCP: each is a line, all over one connection.
        count: how many; they are numbered from 1.
        size: bytes of each, number and (TCP) newline included.
        rate: how many leave in a second, whatever becomes of those before; the lecture's clients do not know
            a rate: they send when the message before is answered, or given up.
        program: what sends them.
        timeout_s: an answer that comes later is late.
        tries: how often a datagram is sent until it is answered; TCP has its own ways.
    """

    protocol: Protocol
    count: int = 100
    size: int = 64
    rate: int = 100
    program: Program = Program.STREAM
    timeout_s: float = 1.0
    tries: int = 1


@dataclass(frozen=True)
class Experiment:
    """A stream through an impairment.

    Attributes:
        stream: who sends what.
        impairment: what the network does to it; directions are those of the server's host.
        engine: what impairs.
        seed: the number that repeats it, from which netem's seeds in the impairment follow. None: what
            repeats it is the impairment's own seed.
    """

    stream: Stream
    impairment: Impairment
    engine: Engine = Engine.AUTO
    seed: int | None = None

    @property
    def longest_round_trip_s(self) -> float:
        """How long a reply can take when only the impairment delays it; at most a minute."""
        ways = 2 if self.impairment.directions is Directions.BOTH else 1
        return min(60.0, ways * longest_delay_s(self.impairment.spec, self.stream))


# The longest tail of tc's tables of distributions, in jitters: that of pareto, whose numbers are 16 bit with
# the unit 8192.
LONGEST_DEVIATION = 4
HEADERS = 66  # bytes of a frame: Ethernet, IPv4, TCP with a time stamp; UDP's is shorter


def longest_delay_s(spec: Spec, stream: Stream) -> float:
    """Return the longest time that a message can spend in one direction of an impairment."""
    delay_s = (spec.delay_ns + spec.jitter_ns * (LONGEST_DEVIATION if spec.distribution else 1)) / 1e9
    if spec.rate:
        frame = stream.size + HEADERS + spec.packet_overhead
        if spec.cell_size:
            frame = math.ceil(frame / spec.cell_size) * (spec.cell_size + spec.cell_overhead)
        delay_s += min(spec.limit, stream.count) * max(0, frame) / spec.rate
    return delay_s


def queue_needed(spec: Spec, stream: Stream) -> int:
    """Return how many packets wait in one direction at most, doubled for what chance heaps up."""
    return math.ceil(2 * stream.rate * longest_delay_s(spec, stream))
