"""What is compared: which servers, under which load, shown how, and against which target."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from bench.samples import HONEST, THREADED_CONNECTIONS, Bench, measure_idle, measure_rate, measure_slow
from bench.servers import Server
from bench.stats import AheadOf, AtMost, Sample, ShareOf, Target

WINDOW = 64  # datagrams outstanding
KEPT_CONNECTIONS = 64
WORKERS = 8


@dataclass(frozen=True)
class Column:
    """A column of an experiment's table: the median of a metric."""

    heading: str
    metric: str
    form: str = "{:,.0f}"


B = TypeVar("B")  # what every measurement needs
S = TypeVar("S")  # what is measured: a server, ...


@dataclass(frozen=True)
class Experiment(Generic[B, S]):
    """One comparison.

    Attributes:
        key: what `--only` calls it.
        servers: keys of the catalogue, in the table's order.
        reference: the server whose `rate` is 1, or none.
        subject: what is compared, as the first column's heading.
        share: the heading of the ratios to the reference.
        rounds_at_most: fewer than asked for where a round is long.
        remark: what must be said in words of a row with such medians, if anything.
    """

    key: str
    title: str
    servers: tuple[str, ...]
    columns: tuple[Column, ...]
    targets: tuple[Target, ...]
    measure: Callable[[B, S], Sample]
    reference: str = ""
    subject: str = "server"
    share: str = "of C"
    rounds_at_most: int = 100
    notes: tuple[str, ...] = ()
    remark: Callable[[Sample], str] = lambda _medians: ""


def _blocked(medians: Sample) -> str:
    """Say how many honest clients one slow client has brought to a stop."""
    unanswered = medians.get("beside_unanswered", 0)
    return f"blocked: {unanswered:.0f} of {HONEST} honest clients got no answer" if unanswered else ""


_TCP = (
    "c-tcp",
    "ours",
    "asyncio-tcp",
    "streams-tcp",
    "uvloop-tcp",
    "socketserver-tcp",
    "threads-tcp",
)
_CORE_COLUMNS = (
    Column("CPU us each", "cpu_us", "{:.2f}"),
    Column("busy %", "busy_percent"),
    Column("held up %", "held_up_percent"),
)
_RATE_NOTES = (
    "CPU us each: time of the server on its core, for an answer. busy: of that core; where the C reference",
    "is far from 100, the load limits it, and the ratios are too kind. held up: the server, or the load,",
    "waited for its core, which another program had; such a sample is repeated, but not for ever.",
)
_SLOW = ("c-tcp", "ours", "asyncio-tcp", "lecture-tcp")
_SLOW_COLUMNS = (
    Column("median us", "alone_median_us"),
    Column("beside", "beside_median_us"),
    Column("p99 us", "alone_p99_us"),
    Column("beside", "beside_p99_us"),
    Column("longest us", "alone_longest_us"),
    Column("beside", "beside_longest_us"),
    Column("extra us", "extra_us"),
    Column("unanswered", "beside_unanswered"),
    Column("memory KiB", "grown_kib", "{:+,.0f}"),
)
_SLOW_NOTES = (
    f"{HONEST} honest clients, each a line every 10 ms; `beside`: with the bad client. extra: the longest",
    "wait beside it less the longest without. unanswered: clients without one answer in all that time.",
    "The lecture's server closes after a line, so its clients connect again for each.",
)

EXPERIMENTS: tuple[Experiment[Bench, Server], ...] = (
    Experiment(
        key="udp",
        title=f"UDP, 64-byte datagrams, {WINDOW} outstanding",
        servers=("c-udp", "ours", "lecture-udp", "asyncio-udp", "uvloop-udp", "socketserver-udp"),
        columns=(Column("replies/s", "rate"), *_CORE_COLUMNS, Column("lost", "lost")),
        targets=(
            ShareOf("at least 0.72 of C", "c-udp", "rate", 0.72),
            AheadOf(
                "ahead of every other in Python",
                ("lecture-udp", "asyncio-udp", "uvloop-udp", "socketserver-udp"),
                "rate",
            ),
        ),
        measure=partial(measure_rate, kind="udp", count=WINDOW),
        reference="c-udp",
        notes=_RATE_NOTES,
    ),
    Experiment(
        key="tcp-kept",
        title=f"TCP, {KEPT_CONNECTIONS} connections kept open, each ping-pong of a 64-byte line",
        servers=_TCP,
        columns=(Column("answers/s", "rate"), *_CORE_COLUMNS),
        targets=(
            ShareOf("at least 0.80 of C", "c-tcp", "rate", 0.80),
            AheadOf("ahead of uvloop", ("uvloop-tcp",), "rate"),
        ),
        measure=partial(measure_rate, kind="kept", count=KEPT_CONNECTIONS),
        reference="c-tcp",
        notes=_RATE_NOTES,
    ),
    Experiment(
        key="tcp-line",
        title=f"TCP, a connection for each 64-byte line, {WORKERS} at a time",
        servers=(*_TCP, "lecture-tcp"),
        columns=(Column("answers/s", "rate"), *_CORE_COLUMNS),
        targets=(ShareOf("at least 1.00 of C", "c-tcp", "rate", 1.00),),
        measure=partial(measure_rate, kind="line", count=WORKERS),
        reference="c-tcp",
        notes=_RATE_NOTES,
    ),
    Experiment(
        key="idle",
        title="TCP, many connections open and one of them active",
        servers=("c-tcp", "ours", "asyncio-tcp", "uvloop-tcp", "threads-tcp"),
        columns=(
            Column("connections", "connections"),
            Column("RSS B each", "rss_bytes"),
            Column("PSS", "pss_bytes"),
            Column("private", "private_bytes"),
            Column("alone us", "alone_us", "{:.1f}"),
            Column("among idle us", "crowded_us", "{:.1f}"),
            Column("ratio", "latency_ratio", "{:.2f}"),
        ),
        targets=(
            AtMost("at most 8192 bytes a connection", "bytes", 8192, "{:,.0f}"),
            AtMost("latency at most 1.5 times that alone", "latency_ratio", 1.5, "{:.2f}"),
        ),
        measure=measure_idle,
        rounds_at_most=3,
        notes=(
            "Memory of the server's process, not of the kernel; each connection was answered once before.",
            f"A thread a connection: measured with {THREADED_CONNECTIONS:,} at the most.",
        ),
    ),
    Experiment(
        key="slow-flood",
        title="TCP, one client that sends and never reads, beside honest ones",
        servers=_SLOW,
        columns=_SLOW_COLUMNS,
        targets=(),
        measure=partial(measure_slow, kind="flood"),
        rounds_at_most=3,
        notes=_SLOW_NOTES,
        remark=_blocked,
    ),
    Experiment(
        key="slow-drip",
        title="TCP, one client that sends a byte every 10 ms and never a newline, beside honest ones",
        servers=_SLOW,
        columns=_SLOW_COLUMNS,
        targets=(),
        measure=partial(measure_slow, kind="drip"),
        rounds_at_most=3,
        notes=_SLOW_NOTES,
        remark=_blocked,
    ),
)
