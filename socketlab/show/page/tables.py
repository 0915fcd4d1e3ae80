"""The numbers behind each picture, as tables: nothing is only to be seen."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NOTHING = "-"  # not measured
LONGEST = 400  # rows; all of them are in the document


@dataclass(frozen=True)
class Cell:
    """What stands in a table, and the value that it is of, where it is a number."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Table:
    """A table of numbers.

    Attributes:
        caption: what it holds.
        head: names of its columns, with their units.
        rows: as long as the head.
        note: what was left out.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


def cell(value: object, unit: str = "") -> Cell:
    """Return a value as it is shown; None: not measured."""
    if value is None:
        return Cell(NOTHING)
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    if isinstance(value, int | float):
        text = number(value)
        return Cell(f"{text} {unit}" if unit else text, value)
    if isinstance(value, list | tuple):
        return Cell(", ".join(cell(each, unit).text for each in value))
    if isinstance(value, Mapping):
        return Cell(", ".join(f"{key}: {cell(each).text}" for key, each in value.items()))
    return Cell(str(value))


def number(value: float) -> str:
    """Return a number with as many digits as say something: at least four, and all of a whole number."""
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e15):
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 1e-4 else f"{value:.2e}"


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table; of a very long one every second, third, ... row."""
    everything = [[cell(value) for value in row] for row in rows]
    step = -(-len(everything) // LONGEST)
    if step <= 1:
        return Table(caption, head, everything)
    note = f"One row in {step:,} of {len(everything):,}; all of them are in the document of this run."
    return Table(caption, head, everything[::step], note)


def flat(told: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return (name, value) of all that is in nested data, in its order; names are words."""
    if isinstance(told, Mapping):
        return [pair for key, value in told.items() for pair in flat(value, f"{prefix}{worded(key)}, ")]
    if isinstance(told, list) and any(isinstance(each, Mapping) for each in told):
        return [pair for place, each in enumerate(told, 1) for pair in flat(each, f"{prefix}{place}, ")]
    return [(prefix.removesuffix(", "), told)]


UNITS = {
    "_ms": "ms",
    "_s": "s",
    "_ns": "ns",
    "_us": "µs",
    "_bytes": "bytes",
    "_percent": "%",
    "_bit_s": "bit/s",
}


def worded(name: object) -> str:
    """Return the name of a field as people say it: `median_ms` is `median (ms)`."""
    text = str(name)
    for ending in sorted(UNITS, key=len, reverse=True):
        if text.endswith(ending) and len(text) > len(ending):
            return f"{text.removesuffix(ending).replace('_', ' ')} ({UNITS[ending]})"
    return text.replace("_", " ")


def beside(caption: str, sides: Mapping[str, Any]) -> Table:
    """Return a table of the same fields of several things, a column each."""
    named = {name: dict(flat(told)) for name, told in sides.items()}
    fields = list(dict.fromkeys(key for told in named.values() for key in told))
    rows = [[field, *(told.get(field) for told in named.values())] for field in fields]
    return table(caption, ["", *(worded(name) for name in named)], rows)
