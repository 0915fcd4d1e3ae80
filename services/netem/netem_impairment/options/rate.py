"""A link of some rate: packets leave one after the other."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from .. import units
from ..attributes import numbers_of
from ..option import Fields, Option
from ..spec_words import Words
from ..units import S32_MAX, S32_MIN, U32_MAX

RATE, RATE64 = 6, 8  # TCA_NETEM_RATE, TCA_NETEM_RATE64
LAYOUT = struct.Struct("=IiIi")  # rate, packet overhead, cell size, cell overhead
U64 = struct.Struct("=Q")


@dataclass(frozen=True)
class RateFields:
    """The rate in bytes a second, and what is added to a packet's length, in bytes."""

    rate: int = 0
    packet_overhead: int = 0
    cell_size: int = 0
    cell_overhead: int = 0


def parse(words: Words) -> Fields:
    """Read `RATE [PACKETOVERHEAD [CELLSIZE [CELLOVERHEAD]]]`."""
    example = "rate 20mbit"
    fields: Fields = {"rate": units.rate(words.needed("rate", "a rate", example), "a rate", example)}
    for name, low, high in (
        ("packet_overhead", S32_MIN, S32_MAX),
        ("cell_size", 0, U32_MAX),
        ("cell_overhead", S32_MIN, S32_MAX),
    ):
        if not words.number_follows(signed=low < 0):
            break
        what = f"the {name.replace('_', ' ')} in bytes"
        fields[name] = units.whole_number(words.take(), low, high, what, "rate 20mbit 24 53 5")
    return fields


def render(spec: RateFields) -> str:
    """Return its words."""
    if not spec.rate:
        return ""
    extras = [spec.packet_overhead, spec.cell_size, spec.cell_overhead]
    while extras and not extras[-1]:
        extras.pop()
    return " ".join([f"rate {units.rate_text(spec.rate)}", *map(str, extras)])


def to_kernel(spec: RateFields) -> dict[int, bytes]:
    """Return the rate in 32 bits, and in 64 where it needs them: the kernel takes the larger of the two."""
    small = min(spec.rate, U32_MAX)
    values = {RATE: LAYOUT.pack(small, spec.packet_overhead, spec.cell_size, spec.cell_overhead)}
    return values if small == spec.rate else values | {RATE64: U64.pack(spec.rate)}


def from_kernel(values: Mapping[int, bytes]) -> Fields:
    """Return the rate and what is added."""
    rate, packet_overhead, cell_size, cell_overhead = numbers_of(values, RATE, LAYOUT)
    return {
        "rate": numbers_of(values, RATE64, U64)[0] or rate,
        "packet_overhead": packet_overhead,
        "cell_size": cell_size,
        "cell_overhead": cell_overhead,
    }


OPTION = Option(
    "rate",
    forms=(
        (
            "rate RATE [OVERHEAD [CELL [CELLOVERHEAD]]]",
            "packets go one after the other, as on a link of that rate",
        ),
    ),
    example="rate 100kbit 4 48 5",
    fields=RateFields,
    parse=parse,
    render=render,
    to_kernel=to_kernel,
    from_kernel=from_kernel,
)
