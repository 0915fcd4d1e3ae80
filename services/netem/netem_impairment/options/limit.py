"""How many packets wait at most."""

from dataclasses import dataclass

from .. import units
from ..option import Fields, Option
from ..spec_words import Words


@dataclass(frozen=True)
class LimitFields:
    """Packets that wait at most."""

    limit: int = 1000


def parse(words: Words) -> Fields:
    """Read `PACKETS`."""
    text = words.needed("limit", "a number of packets", "limit 1000")
    return {"limit": units.whole_number(text, 1, units.U32_MAX, "a number of packets", "limit 1000")}


def render(spec: LimitFields) -> str:
    """Return its words, unless it is tc's default."""
    return f"limit {spec.limit}" if spec.limit != LimitFields.limit else ""


OPTION = Option(
    "limit",
    forms=(("limit N", "so many packets wait at most (1000); more are dropped"),),
    example="limit 1 delay 10ms",
    fields=LimitFields,
    parse=parse,
    render=render,
    counted="over_limit",
)
