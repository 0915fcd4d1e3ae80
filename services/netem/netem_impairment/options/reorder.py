"""Packets that go ahead of those that wait."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from .. import units
from ..attributes import numbers_of
from ..option import Fields, Option
from ..spec_words import Words, parse_chance, render_chance
from ..units import SpecError

REORDER = 3  # TCA_NETEM_REORDER
PAIR = struct.Struct("=2I")


@dataclass(frozen=True)
class ReorderFields:
    """The chance that a packet does not wait."""

    reorder: int = 0
    reorder_correlation: int = 0


@dataclass(frozen=True)
class GapFields:
    """Each so many-th packet may go ahead; 0: none does."""

    gap: int = 0


def parse_reorder(words: Words) -> Fields:
    """Read `PERCENT [CORRELATION]`."""
    chance, correlation = parse_chance(words, "reorder")
    return {"reorder": chance, "reorder_correlation": correlation}


def render_reorder(spec: ReorderFields) -> str:
    """Return its words."""
    return render_chance("reorder", spec.reorder, spec.reorder_correlation)


def parse_gap(words: Words) -> Fields:
    """Read `DISTANCE`."""
    example = "delay 10ms reorder 25% gap 5"
    text = words.needed("gap", "a distance", example)
    return {"gap": units.whole_number(text, 1, units.U32_MAX, "a distance", example)}


def render_gap(spec: GapFields) -> str:
    """Return its words, unless it is what reorder alone means."""
    return f"gap {spec.gap}" if spec.gap > 1 else ""


def check(fields: Fields) -> None:
    """Refuse one without what it needs; reorder alone means that each packet may go ahead."""
    if fields.get("reorder"):
        if not fields.get("delay_ns"):
            raise SpecError(
                "'reorder': expected a delay for the others to wait, as in 'delay 10ms reorder 25%': "
                "without one there is nothing to overtake"
            )
        fields.setdefault("gap", 1)
    elif "gap" in fields:
        raise SpecError("'gap': expected a probability to send ahead, as in 'delay 10ms reorder 25% gap 5'")


def to_kernel(spec: ReorderFields) -> dict[int, bytes]:
    """Return the chance and the correlation."""
    return {REORDER: PAIR.pack(spec.reorder, spec.reorder_correlation)}


def from_kernel(values: Mapping[int, bytes]) -> Fields:
    """Return the chance and the correlation."""
    chance, correlation = numbers_of(values, REORDER, PAIR)
    return {"reorder": chance, "reorder_correlation": correlation}


OPTION = Option(
    "reorder",
    forms=(
        (
            "reorder PERCENT [CORRELATION] [gap N]",
            "these packets do not wait, and overtake those that do; with a gap, each Nth may",
        ),
    ),
    example="delay 10ms reorder 20%",
    fields=ReorderFields,
    parse=parse_reorder,
    render=render_reorder,
    to_kernel=to_kernel,
    from_kernel=from_kernel,
    counted="reordered",
)
GAP = Option(
    "gap",
    forms=(),  # in the row of reorder
    example="delay 10ms reorder 100% gap 5",
    fields=GapFields,
    parse=parse_gap,
    render=render_gap,
    counted="reordered",
)
