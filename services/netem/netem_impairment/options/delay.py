"""How long a packet waits, and how that varies."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from .. import units
from ..attributes import numbers_of
from ..option import Fields, Option
from ..spec_words import Words, parse_correlation, parse_distribution, with_correlation
from ..units import S32_MAX, SpecError, refusal

DELAY_NS, JITTER_NS = 10, 11  # TCA_NETEM_LATENCY64, TCA_NETEM_JITTER64
S64 = struct.Struct("=q")


@dataclass(frozen=True)
class DelayFields:
    """The correlation is that of the jitter's draws."""

    delay_ns: int = 0
    jitter_ns: int = 0
    delay_correlation: int = 0


@dataclass(frozen=True)
class DistributionFields:
    """The table of the jitter; None: the kernel's own distribution, which is uniform."""

    distribution: str | None = None


def parse_delay(words: Words) -> Fields:
    """Read `TIME [JITTER [CORRELATION]]`."""
    example = "delay 50ms 10ms 25%"
    fields: Fields = {"delay_ns": units.time_ns(words.needed("delay", "a time", example), "a time", example)}
    if words.number_follows():
        text = words.take()
        jitter_ns = units.time_ns(text, "a jitter", example)
        if jitter_ns > S32_MAX:  # the kernel would silently cut it down
            raise refusal(text, f"a jitter of at most {units.duration(S32_MAX)}", example)
        correlation = parse_correlation(words, example)
        fields |= {"jitter_ns": jitter_ns, "delay_correlation": correlation if jitter_ns else 0}
    return fields


def render_delay(spec: DelayFields) -> str:
    """Return its words."""
    if not (spec.delay_ns or spec.jitter_ns):
        return ""
    text = f"delay {units.duration(spec.delay_ns)}"
    if not spec.jitter_ns:
        return text
    return with_correlation(f"{text} {units.duration(spec.jitter_ns)}", spec.delay_correlation)


def to_kernel(spec: DelayFields) -> dict[int, bytes]:
    """Return the times in nanoseconds."""
    return {DELAY_NS: S64.pack(spec.delay_ns), JITTER_NS: S64.pack(spec.jitter_ns)}


def from_kernel(values: Mapping[int, bytes]) -> Fields:
    """Return the times; an older kernel has them in the structure alone, in ticks."""
    numbers = {"delay_ns": DELAY_NS, "jitter_ns": JITTER_NS}
    return {name: numbers_of(values, kind, S64)[0] for name, kind in numbers.items() if kind in values}


def parse_name(words: Words) -> Fields:
    """Read `NAME`."""
    return {"distribution": parse_distribution(words, "distribution", "delay 50ms 10ms distribution normal")}


def render_name(spec: DistributionFields) -> str:
    """Return its words."""
    return f"distribution {spec.distribution}" if spec.distribution else ""


def check(fields: Fields) -> None:
    """Refuse a distribution without a jitter to distribute."""
    if fields.get("distribution") and not (fields.get("delay_ns") and fields.get("jitter_ns")):
        raise SpecError(
            "'distribution': expected a delay and a jitter to distribute, as in "
            "'delay 50ms 10ms distribution normal'"
        )


DELAY = Option(
    "delay",
    forms=(("delay TIME [JITTER [CORRELATION]]", "each packet waits for TIME, more or less by JITTER"),),
    example="delay 5ms 3ms 25%",
    fields=DelayFields,
    parse=parse_delay,
    render=render_delay,
    to_kernel=to_kernel,
    from_kernel=from_kernel,
    older_words=("latency",),
)

# Its table is no number of the spec: the engines load it (distributions.py).
DISTRIBUTION = Option(
    "distribution",
    forms=(
        (
            "distribution NAME",
            "of the jitter: `uniform` (the default), `normal`, `pareto`, `paretonormal`",
        ),
    ),
    example="delay 5ms 3ms distribution normal",
    fields=DistributionFields,
    parse=parse_name,
    render=render_name,
)
