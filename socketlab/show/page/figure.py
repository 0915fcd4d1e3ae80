"""A figure of the page: its caption, its pictures, its numbers; or why there is none.

A figure is made from the document alone. Where the claim behind it was not run, could not be measured, or
left something that is no such figure, its place says so: an empty plot would look like a result.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from markupsafe import Markup

from socketlab.show.page import plotting, sequence, svg
from socketlab.show.page.document import Document, shaped
from socketlab.show.page.tables import Table

DRAWN = {"wide": 900, "narrow": 370}


class NotMeasured(Exception):
    """There is nothing to be shown, and this is why."""


@dataclass(frozen=True)
class Sample:
    """A line of a legend: how it is drawn, and what it means."""

    picture: Markup
    text: str


@dataclass(frozen=True)
class Figure:
    """What a figure of the page has.

    Attributes:
        name: of its place on the page, and of its files.
        title, caption: what it is; what to see in it, in one sentence.
        claims: that it belongs to.
        missing: why it was not measured; else empty.
        broken: what of it was not measured, where there is something to be seen.
        done: what was done for it, a line each.
        wide, narrow: the picture, for either width of the page.
        strips: or the panels of a picture that goes on from one to the next.
        legend: of the picture, where it needs one.
        facts: tables with the numbers that are to be seen at once.
        tables: those that unfold.
        notes: what else is to be said.
        files: what makes each picture a file of its own, for slides, by its name.
    """

    name: str
    title: str
    caption: str
    claims: tuple[str, ...] = ()
    missing: str = ""
    broken: Sequence[str] = ()
    done: Sequence[str] = ()
    wide: Markup | None = None
    narrow: Markup | None = None
    strips: Sequence[Markup] = ()
    legend: Sequence[Sample] = ()
    facts: Sequence[Table] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    files: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A figure that every page has a place for."""

    name: str
    title: str
    caption: str
    claims: tuple[str, ...]
    make: Callable[["Plan", Document], Figure]

    def figure(self, **parts: Any) -> Figure:
        """Return the figure with its parts."""
        return Figure(self.name, self.title, self.caption, self.claims, **parts)


def made(plan: Plan, document: Document) -> Figure:
    """Return a figure, or its place with the reason why it was not measured."""
    try:
        return plan.make(plan, document)
    except NotMeasured as reason:
        return plan.figure(missing=str(reason))


def told(document: Document, claims: Sequence[str], name: str) -> Any:
    """Return what the first of these claims left under this name.

    Raises:
        NotMeasured: none did.
    """
    ran = [claim for each in claims if (claim := document.claim(each)) is not None]
    for claim in ran:
        if name in claim.figures:
            return claim.figures[name]
    if not ran:
        raise NotMeasured(f"{' and '.join(claims)} {'was' if len(claims) == 1 else 'were'} not run")
    first = ran[0]
    if first.outcome == "unmeasured":
        raise NotMeasured(f"{first.id} could not be measured: {first.reason or 'it does not say why'}")
    if first.outcome == "refuted":
        raise NotMeasured(f"{first.id} was refuted before it came to that")
    raise NotMeasured(f"{first.id} was shown, but left no figures for this picture")


def shaped_figure(kind: type[Any], document: Document, claims: Sequence[str], name: str) -> Any:
    """Return what these claims left, in its shape.

    Raises:
        NotMeasured: they left nothing, or something else.
    """
    return read_figure(lambda data: shaped(kind, data), document, claims, name)


def read_figure(read: Callable[[Any], Any], document: Document, claims: Sequence[str], name: str) -> Any:
    """Return what these claims left, as it is read by a function that raises ValueError where it cannot.

    Raises:
        NotMeasured: they left nothing, or something else.
    """
    data = told(document, claims, name)
    try:
        return read(data)
    except ValueError as error:
        raise NotMeasured(f"the figures of {claims[0]} are not as they should be: {name}: {error}") from error


def drawn(name: str, pictures: Mapping[str, Markup]) -> dict[str, Any]:
    """Return the parts of a figure that our own drawings fill."""
    return {
        "wide": pictures["wide"],
        "narrow": pictures["narrow"],
        "files": {f"{name}.svg": partial(svg.standalone, pictures["wide"], DRAWN["wide"])},
    }


def plotted(name: str, plot: plotting.Plot) -> dict[str, Any]:
    """Return the parts of a figure that a plot fills."""
    return {
        "wide": plot.wide,
        "narrow": plot.narrow,
        "files": {f"{name}.svg": plot.svg, f"{name}.png": plot.png},
    }


def panels(name: str, diagram: sequence.Diagram, title: str) -> dict[str, Any]:
    """Return the parts of a figure that a sequence diagram fills."""
    strips = sequence.strips(diagram, title)
    several = len(strips) > 1
    files = {
        f"{name}-{place}.svg" if several else f"{name}.svg": partial(
            svg.standalone, strip, sequence.WIDTH * 2
        )
        for place, strip in enumerate(strips, 1)
    }
    return {"strips": strips, "files": files}


def line_of_legend(look: sequence.Look, *, lost: bool = False, text: str = "") -> Markup:
    """Return a line as a sequence diagram draws it, for its legend."""
    drawing = svg.Drawing(46, 16)
    end = 24.0 if lost else 38.0
    drawing.line(2, 8, end, 8, f"s-{look.colour}", look.width, look.dash)
    if lost:
        drawing.cross(end, 8, "s-lost")
    elif text:
        drawing.text(41, 13, text, f"f-{look.colour} strong", 14, "middle")
    else:
        drawing.arrow(2, 8, 44, 8, f"f-{look.colour}")
    return drawing.svg("drawn like this", "picture sample")


def left_out(diagram: sequence.Diagram) -> list[str]:
    """Return what a diagram does not show, for the notes below it."""
    if not diagram.left_out:
        return []
    return [
        f"The picture has the first {len(diagram.strokes):,} lines; {diagram.left_out:,} more are left out."
    ]


def ms(time_ns: int | None) -> float | None:
    """Return a time in milliseconds."""
    return None if time_ns is None else time_ns / 1e6
