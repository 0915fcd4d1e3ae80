"""Packets with a bit turned over."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from ..attributes import numbers_of
from ..option import Fields, Option
from ..spec_words import Words, parse_chance, render_chance

CORRUPT = 4  # TCA_NETEM_CORRUPT
PAIR = struct.Struct("=2I")


@dataclass(frozen=True)
class CorruptFields:
    """The chance that a bit of a packet is turned over."""

    corrupt: int = 0
    corrupt_correlation: int = 0


def parse(words: Words) -> Fields:
    """Read `PERCENT [CORRELATION]`."""
    chance, correlation = parse_chance(words, "corrupt")
    return {"corrupt": chance, "corrupt_correlation": correlation}


def render(spec: CorruptFields) -> str:
    """Return its words."""
    return render_chance("corrupt", spec.corrupt, spec.corrupt_correlation)


def to_kernel(spec: CorruptFields) -> dict[int, bytes]:
    """Return the chance and the correlation."""
    return {CORRUPT: PAIR.pack(spec.corrupt, spec.corrupt_correlation)}


def from_kernel(values: Mapping[int, bytes]) -> Fields:
    """Return the chance and the correlation."""
    chance, correlation = numbers_of(values, CORRUPT, PAIR)
    return {"corrupt": chance, "corrupt_correlation": correlation}


OPTION = Option(
    "corrupt",
    forms=(("corrupt PERCENT [CORRELATION]", "one bit is flipped"),),
    example="corrupt 20%",
    fields=CorruptFields,
    parse=parse,
    render=render,
    to_kernel=to_kernel,
    from_kernel=from_kernel,
    counted="corrupted",
)
