"""Packets that go twice."""

from dataclasses import dataclass

from ..option import Fields, Option
from ..spec_words import Words, parse_chance, render_chance


@dataclass(frozen=True)
class DuplicateFields:
    """The chance that a packet is doubled."""

    duplicate: int = 0
    duplicate_correlation: int = 0


def parse(words: Words) -> Fields:
    """Read `PERCENT [CORRELATION]`."""
    chance, correlation = parse_chance(words, "duplicate")
    return {"duplicate": chance, "duplicate_correlation": correlation}


def render(spec: DuplicateFields) -> str:
    """Return its words."""
    return render_chance("duplicate", spec.duplicate, spec.duplicate_correlation)


OPTION = Option(
    "duplicate",
    forms=(("duplicate PERCENT [CORRELATION]", "the packet goes twice; the copy has a fate of its own"),),
    example="duplicate 20%",
    fields=DuplicateFields,
    parse=parse,
    render=render,
    counted="duplicated",
)
