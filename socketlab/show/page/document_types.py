"""The shapes of the figures in a document, by the claim that makes them.

Times `t_s` are seconds from the start of that measurement. What was not measured is None, never 0.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from socketlab.show.page.document import Count, Moment, Record, Seconds

Percent = Annotated[float, Field(ge=0, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, le=1e15)]


class Subnet(Record):
    """The network that joins the hosts."""

    name: str
    subnet: str


class Host(Record):
    """A host: what runs there, and which ports are open."""

    name: str
    address: str
    mac: str
    programs: list[str]
    ports: list[str]


class Topology(Record):
    """A3."""

    network: Subnet
    hosts: Annotated[list[Host], Field(min_length=1, max_length=24)]


class Socket(Record):
    """T6: a line of a host's socket list."""

    host: str
    protocol: str
    state: str
    local: str
    peer: str
    program: str
    fd: int | None = None


class Segment(Record):
    """T11: a TCP segment on its way.

    Attributes:
        left_ns: None: it was captured at its destination alone.
        arrived_ns: None: it never arrived.
    """

    from_: Annotated[Literal["client", "server"], Field(alias="from")]
    left_ns: int | None
    arrived_ns: int | None
    sequence: int | None
    bytes: Count
    flags: Annotated[list[str], BeforeValidator(lambda told: told.split() if isinstance(told, str) else told)]
    again: bool

    @model_validator(mode="after")
    def _captured_somewhere(self) -> "Segment":
        if self.left_ns is None and self.arrived_ns is None:
            raise ValueError("expected left_ns or arrived_ns, got neither")
        return self

    @property
    def first_ns(self) -> int:
        """When it was first captured, at whichever end."""
        return next(time for time in (self.left_ns, self.arrived_ns) if time is not None)


class FlowSample(Record):
    """T12: the window that the reader advertises, and what lies in the two buffers."""

    t_s: Moment
    window_bytes: Count | None
    unread_bytes: Count | None = None
    unsent_bytes: Count | None = None


class FlowEvent(Record):
    """Something that was done."""

    t_s: Moment
    what: str


class Flow(Record):
    """T12."""

    samples: Annotated[list[FlowSample], Field(min_length=2)]
    events: Sequence[FlowEvent] = ()


class WindowSample(Record):
    """T13: TCP_INFO of the sender."""

    t_s: Moment
    cwnd_segments: Count
    ssthresh_segments: Count | None = None
    retransmitted: Count | None = None


class CongestionRun(Record):
    """T13: one algorithm."""

    algorithm: str
    samples: Annotated[list[WindowSample], Field(min_length=2)]
    goodput_bit_s: Amount | None
    mathis_bit_s: Amount | None = None


class Absent(Record):
    """An algorithm that this kernel does not have."""

    algorithm: str
    why: str


class Congestion(Record):
    """T13: congestion window over time."""

    rtt_ms: Amount
    loss_percent: Percent
    segment_bytes: Count
    runs: Annotated[list[CongestionRun], Field(min_length=1, max_length=8)]
    absent: Sequence[Absent] = ()


class MathisPoint(Record):
    """Goodput at one loss: each round, and what the formula gives."""

    loss_percent: Annotated[float, Field(gt=0, le=100)]
    rounds_bit_s: Annotated[list[Amount], Field(min_length=1)]
    median_bit_s: Amount
    mathis_bit_s: Amount


class Mathis(Record):
    """T13: goodput against loss."""

    algorithm: str
    rtt_ms: Amount
    segment_bytes: Count
    points: Annotated[list[MathisPoint], Field(min_length=1)]


class RetrySide(Record):
    """Q1: one of the two."""

    answered: Count
    sent: Count
    bytes: Count
    median_ms: Amount | None
    slowest_ms: Amount | None
    duplicates_served: Count | None = None


class Retry(Record):
    """Q1: UDP with retries beside TCP."""

    loss_percent: Percent
    messages: Annotated[int, Field(ge=1, le=10**9)]
    udp: RetrySide
    tcp: RetrySide


class ScalePoint(Record):
    """Q2: so many clients at once."""

    server: Literal["concurrent", "lecture"]
    clients: Annotated[int, Field(ge=1, le=10**6)]
    answers: Count
    median_ms: Amount | None
    p95_ms: Amount | None
    answers_per_s: Amount | None


class Scale(Record):
    """Q2: over TCP; the lecture's loop over UDP beside it; how long a client thinks in between."""

    points: Annotated[list[ScalePoint], Field(min_length=1)]
    udp_points: Sequence[ScalePoint] = ()
    think_ms: Amount | None = None


class SweepSide(Record):
    """One protocol at one loss, a value a round; None: that round was not measured, or never completed."""

    answered_share: list[Share | None]
    goodput_bit_s: list[Amount | None]
    completion_s: list[Seconds | None]
    broken: Sequence[str] = ()


class SweepPoint(Record):
    """Both protocols at one loss."""

    loss_percent: Percent
    udp: SweepSide
    tcp: SweepSide


class Sweep(Record):
    """UDP and TCP against loss."""

    message_bytes: Count
    messages: Count
    rate: Count
    delay_ms: Amount
    points: Annotated[list[SweepPoint], Field(min_length=1)]
