"""Sequence diagrams: a column a host, time downwards, a line a message; lost ones end in ×.

What is drawn is the same as at the terminal (`socketlab.show.timeline`): legs of messages. A long run is cut
into panels, like the strips of a film: each goes on where the one before ends. Times in which nothing is on
its way are cut out, and said.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from markupsafe import Markup

from socketlab.show.page.document_types import Segment
from socketlab.show.page.svg import Drawing, room, shortened
from socketlab.show.timeline import MARKS, Kind, Leg, Picture

WIDTH = 370.0
ROW = 15.0  # units from one message to the next
STRIP = 30 * ROW
TALLEST = 120 * STRIP
HEAD, FOOT = 34.0, 8.0
TIMES, NUMBERS, MIDDLE = 34.0, 34.0, 52.0
REMARKS, SEGMENTS = 22.0, 80.0  # beside the first column: remarks; and the longer numbers of segments
SIZE = 11.0
PAUSE, PAUSE_ROWS = 34.0, 6.0  # what a cut takes, and what it takes to be one
TICK_EVERY = 48.0  # at least
LETTER = 0.6  # widths of a digit, in parts of the size
LOST_AT = 0.55  # of the way: where on it a message was lost, nobody knows
MOST = 1_500  # lines drawn


@dataclass(frozen=True)
class Look:
    """How a line is drawn: a class of picture.css, how thick, how dashed."""

    colour: str
    width: float = 1.5
    dash: str = ""


LOOKS = {
    Kind.WAITED: Look("odd", 1.6, "6 3"),
    Kind.COPY: Look("again", 1.8, "2 3"),
    Kind.LATE: Look("odd", 2.4),
    Kind.UNKNOWN: Look("faint", 1.5, "1 3"),
    Kind.LOST: Look("lost", 1.8),
}
FROM_CLIENT, FROM_SERVER = Look("tcp"), Look("ink", 1.2)
AGAIN = Look("again", 2.4, "7 3")
ACKNOWLEDGEMENT = Look("faint", 1.0)


@dataclass(frozen=True)
class Stroke:
    """One line of the diagram. Times: nanoseconds.

    Attributes:
        lane: between which columns; 0: the first two.
        leftwards: whether it goes back there.
        leaves, lands: when; `lands` None: it did not.
        look: how it is to be seen.
        before, after: what is written at its two ends.
        title: what it says to somebody who points at it.
    """

    lane: int
    leftwards: bool
    leaves: int
    lands: int | None
    look: Look
    before: str
    after: str
    title: str


@dataclass(frozen=True)
class Diagram:
    """All of it: the columns' names, the lines, and when how many segments were sent again."""

    columns: tuple[str, ...]
    strokes: Sequence[Stroke]
    remarks: Sequence[tuple[int, int]] = ()
    left_out: int = 0


def of_messages(picture: Picture, plain: str) -> Diagram:
    """Return the diagram of messages that go to the server and come back.

    Args:
        picture: their legs.
        plain: the colour of those that nothing happened to, "udp" or "tcp".
    """
    strokes = []
    for lane, legs in enumerate((picture.going, picture.back)):
        seen: set[int] = set()
        for leg in legs:
            # Of several copies that left at once the number is written once.
            strokes.append(_of_leg(lane, leg, plain, named=lane == 0 and leg.number not in seen))
            seen.add(leg.number)
    return _limited(("client", "server", "client"), strokes, picture.again)


def _of_leg(lane: int, leg: Leg, plain: str, *, named: bool) -> Stroke:
    lost = leg.kind is Kind.LOST
    way = "answer to message" if lane else "message"
    ending = f"arrived at {_ms(leg.lands)}" if leg.lands is not None else "lost" if lost else "not measured"
    return Stroke(
        lane,
        leftwards=False,
        leaves=leg.leaves,
        lands=leg.lands,
        look=LOOKS.get(leg.kind, Look(plain)),
        before=f"{'×' if lost else ''}{leg.number}" if named else "",
        after=f"{leg.number}{MARKS[leg.kind]}",
        title=f"{way} {leg.number}: left at {_ms(leg.leaves)}, {ending}",
    )


def of_segments(segments: Sequence[Segment]) -> Diagram:
    """Return the diagram of TCP segments between two hosts; numbers count from each side's first byte."""
    begun = min((segment.first_ns for segment in segments), default=0)
    first = {
        side: min(
            (each.sequence for each in segments if each.from_ == side and each.sequence is not None),
            default=0,
        )
        for side in ("client", "server")
    }
    strokes = []
    for segment in segments:
        number = None if segment.sequence is None else segment.sequence - first[segment.from_]
        what = _name(segment, number)
        leaves = segment.first_ns - begun
        lands = None if segment.arrived_ns is None else segment.arrived_ns - begun
        leaving = "not captured where it left" if segment.left_ns is None else f"left at {_ms(leaves)}"
        ending = "lost" if lands is None else f"arrived at {_ms(lands)}"
        again = "↻" if segment.again else ""
        lost = "×" if lands is None else ""
        strokes.append(
            Stroke(
                0,
                segment.from_ == "server",
                leaves,
                lands,
                _look(segment),
                f"{lost}{what}{again}" if what or lost else "",
                "",
                f"{segment.from_}: {' '.join(segment.flags)} {segment.bytes} bytes"
                f"{', sent again' if again else ''}: {leaving}, {ending}",
            )
        )
    return _limited(("client", "server"), strokes, ())


def _name(segment: Segment, number: int | None) -> str:
    for flag in ("SYN", "FIN", "RST"):
        if flag in segment.flags:
            return flag
    return str(number) if segment.bytes and number is not None else ""


def _look(segment: Segment) -> Look:
    if segment.arrived_ns is None:
        return Look("lost", 2.2, AGAIN.dash) if segment.again else LOOKS[Kind.LOST]
    if segment.left_ns is None:
        return LOOKS[Kind.UNKNOWN]
    if segment.again:
        return AGAIN
    # An acknowledgement alone is thin: there are as many of them as of segments with bytes.
    if not segment.bytes and not {"SYN", "FIN", "RST"} & set(segment.flags):
        return ACKNOWLEDGEMENT
    return FROM_CLIENT if segment.from_ == "client" else FROM_SERVER


def _limited(
    columns: tuple[str, ...], strokes: Iterable[Stroke], remarks: Sequence[tuple[int, int]]
) -> Diagram:
    ordered = sorted(strokes, key=lambda stroke: stroke.leaves)
    kept = ordered[:MOST]
    until = kept[-1].leaves if kept else 0
    return Diagram(
        columns, kept, [remark for remark in remarks if remark[0] <= until], len(ordered) - len(kept)
    )


@dataclass
class _Axis:
    """From time to place: evenly, but for the times in which nothing is on its way.

    Attributes:
        pieces: (from, to, place of `from`): times in which something is.
        pauses: (place, nanoseconds) of what is cut out.
        scale: units a nanosecond.
    """

    scale: float
    pieces: list[tuple[int, int, float]] = field(default_factory=list)
    pauses: list[tuple[float, int]] = field(default_factory=list)
    length: float = 0.0

    def place(self, time: int) -> float:
        """Return where a time is."""
        for begin, end, at in reversed(self.pieces):
            if time >= begin:
                return at + (min(time, end) - begin) * self.scale
        return 0.0

    def ticks(self, top: float, bottom: float) -> Iterator[tuple[float, int]]:
        """Yield (place, time) of round times between two places, none of them in a pause."""
        step = _round(TICK_EVERY / self.scale)
        last = -TICK_EVERY
        for begin, end, at in self.pieces:
            for time in range(-(-begin // step) * step, end + 1, step):
                place = at + (time - begin) * self.scale
                if top <= place < bottom and place >= last + SIZE:
                    last = place
                    yield place, time


def _axis(strokes: Sequence[Stroke], remarks: Sequence[tuple[int, int]], typical: float) -> _Axis:
    spans = sorted(
        [(each.leaves, int(each.leaves + typical) if each.lands is None else each.lands) for each in strokes]
        + [(time, time) for time, _segments in remarks]
    )
    leaving = sorted({stroke.leaves for stroke in strokes if not stroke.leftwards and not stroke.lane})
    gaps = sorted(later - earlier for earlier, later in pairwise(leaving)) or [1_000_000]
    usual = max(1, gaps[len(gaps) // 4])
    busy = _merged(spans, 0)
    total = max(1, sum(end - begin for begin, end in busy))
    # At most two rows a message however uneven they come, and no endless page.
    scale = min(ROW / usual, 2 * ROW * max(4, len(leaving)) / total, TALLEST / total)

    axis = _Axis(scale)
    for begin, end in _merged(spans, int(PAUSE_ROWS * ROW / scale)):
        if axis.pieces:
            axis.pauses.append((axis.length, begin - axis.pieces[-1][1]))
            axis.length += PAUSE
        axis.pieces.append((begin, end, axis.length))
        axis.length += (end - begin) * scale
    axis.length += ROW
    return axis


def _round(least: float) -> int:
    """Return the smallest of 1, 2, 5, 10, ... that is not smaller."""
    power = 10 ** max(0, math.floor(math.log10(max(1.0, least))))
    return next(int(power * digit) for digit in (1, 2, 5, 10) if power * digit >= least)


def _merged(spans: Sequence[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Return spans without overlaps, those with at most a gap between them as one."""
    merged: list[tuple[int, int]] = []
    for begin, end in spans:
        if merged and begin <= merged[-1][1] + gap:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def strips(diagram: Diagram, name: str) -> list[Markup]:
    """Return the panels of a diagram; none where nothing was sent.

    Args:
        diagram: what is to be drawn.
        name: what it is called for those who do not see it.
    """
    if not diagram.strokes:
        return []
    ways = sorted(each.lands - each.leaves for each in diagram.strokes if each.lands is not None)
    typical = ways[len(ways) // 2] if ways else 10_000_000
    axis = _axis(diagram.strokes, diagram.remarks, typical)
    number = max(1, math.ceil(axis.length / STRIP - 0.15))
    height = axis.length / number
    return [
        _Strip(diagram, axis, typical, place * height, (place + 1) * height).svg(
            name if number == 1 else f"{name}, part {place + 1} of {number}"
        )
        for place in range(number)
    ]


class _Strip:
    """One panel: what of the diagram lies between two places of its axis."""

    def __init__(self, diagram: Diagram, axis: _Axis, typical: float, top: float, bottom: float) -> None:
        self.diagram, self.axis, self.typical = diagram, axis, typical
        self.top, self.bottom = top, bottom
        columns = len(diagram.columns)
        digits = max((len(stroke.after) for stroke in diagram.strokes if not stroke.lane), default=1)
        # Room for a run of numbers: 13-19.
        self.numbers = max(NUMBERS, (2 * digits + 1) * SIZE * LETTER + 6) if columns == 3 else SEGMENTS
        right = self.numbers if columns == 3 else NUMBERS + 26
        first = TIMES + (REMARKS if diagram.remarks else 0) + self.numbers
        inner = WIDTH - first - right - MIDDLE * (columns - 2)
        lane = inner / (columns - 1)
        self.lanes = [
            (first + place * (lane + MIDDLE), first + place * (lane + MIDDLE) + lane)
            for place in range(columns - 1)
        ]
        self.drawing = Drawing(WIDTH, HEAD + bottom - top + FOOT)
        self.labels: list[list[tuple[float, str, str]]] = [[] for _column in diagram.columns]

    def svg(self, label: str) -> Markup:
        """Draw it."""
        self._frame()
        for stroke in self.diagram.strokes:
            self._stroke(stroke)
        self._remark()
        for column in range(len(self.labels)):
            self._write(column)
        return self.drawing.svg(label)

    def y(self, place: float) -> float:
        """Return where a place of the axis is in this panel."""
        return HEAD + place - self.top

    def inside(self, place: float) -> bool:
        """Tell whether a place of the axis is in this panel."""
        return self.top - 0.01 <= place < self.bottom

    def _frame(self) -> None:
        drawing, last = self.drawing, HEAD + self.bottom - self.top
        drawing.text(TIMES - 6, 14, "ms", "f-faint", SIZE, "end")
        edges = sorted({x for lane in self.lanes for x in lane})
        middles = [edges[0], *((a + b) / 2 for a, b in pairwise(edges[1:-1])), edges[-1]]
        if len(self.lanes) == 2:
            middles = [edges[0], (edges[1] + edges[2]) / 2, edges[3]]
        for x, name in zip(middles, self.diagram.columns, strict=True):
            drawing.text(x, 14, name, "f-ink strong", 12.5, "middle")
        for x in edges:
            drawing.line(x, HEAD - 12, x, last, "s-ink", 1.5)
        for place, time in self.axis.ticks(self.top, self.bottom - 4):
            drawing.text(TIMES - 6, self.y(place) + 4, _tick(time), "f-faint", SIZE, "end")
            drawing.line(TIMES - 3, self.y(place), TIMES + 1, self.y(place), "s-rule", 1)
        for place, pause in self.axis.pauses:
            if self.inside(place + PAUSE / 2):
                left, right = self.lanes[0]
                y = self.y(place + PAUSE / 2)
                text = f"⋮ {_ms(pause)} ⋮"
                drawing.box(
                    (left + right) / 2 - room(text, SIZE) / 2, y - 9, room(text, SIZE), 18, "f-panel", 4
                )
                drawing.text((left + right) / 2, y + 4, text, "f-faint", SIZE, "middle")

    def _stroke(self, stroke: Stroke) -> None:
        left, right = self.lanes[stroke.lane]
        begin = self.axis.place(stroke.leaves)
        arrived = stroke.lands is not None
        end = (
            self.axis.place(stroke.lands)
            if stroke.lands is not None
            else begin + self.typical * self.axis.scale
        )
        x1, x2, y2 = left, right, end
        if not arrived:
            x2, y2 = left + (right - left) * LOST_AT, begin + (end - begin) * LOST_AT
        if stroke.leftwards:
            x1, x2 = right, left if arrived else right - (right - left) * LOST_AT
        self._clipped(x1, begin, x2, y2, stroke)
        colour = stroke.look.colour
        if self.inside(y2):
            if arrived:
                self.drawing.arrow(x1, self.y(begin), x2, self.y(y2), f"f-{colour}")
            elif colour == "lost":
                self.drawing.cross(x2, self.y(y2), "s-lost")
            else:
                self.drawing.text(x2, self.y(y2) + 4, "?", "f-faint strong", 13, "middle")
        side = stroke.lane + (1 if stroke.leftwards else 0)
        if stroke.before:
            self._label(side, begin, stroke.before, colour if colour in {"lost", "again"} else "ink")
        if stroke.after and arrived:
            self._label(stroke.lane + 1, end, stroke.after, colour if colour in {"again", "odd"} else "ink")

    def _clipped(self, x1: float, y1: float, x2: float, y2: float, stroke: Stroke) -> None:
        """Draw the part of a line that is in this panel."""
        low, high = max(y1, self.top), min(y2, self.bottom)
        if low > high:
            return
        steep = (x2 - x1) / (y2 - y1) if y2 > y1 else 0.0
        begin, end = (x1 + (low - y1) * steep, x1 + (high - y1) * steep) if y2 > y1 else (x1, x2)
        look = stroke.look
        self.drawing.line(
            begin, self.y(low), end, self.y(high), f"s-{look.colour}", look.width, look.dash, stroke.title
        )

    def _remark(self) -> None:
        """Write how many segments were sent again, and when; those of nearly the same time together."""
        rows: list[tuple[float, int]] = []
        for time, segments in self.diagram.remarks:
            place = self.axis.place(time)
            if rows and place < rows[-1][0] + SIZE + 1:
                rows[-1] = (rows[-1][0], rows[-1][1] + segments)
            else:
                rows.append((place, segments))
        for place, segments in rows:
            if self.inside(place):
                x = self.lanes[0][0] - self.numbers
                self.drawing.text(x, self.y(place) + 4, f"↻{segments}", "f-again strong", SIZE, "end")

    def _label(self, column: int, place: float, text: str, colour: str) -> None:
        if self.inside(place):
            self.labels[column].append((place, text, colour))

    def _write(self, column: int) -> None:
        """Write a column's labels; those that would lie on each other share a row."""
        rows: list[tuple[float, list[str], str]] = []
        for place, text, colour in sorted(self.labels[column], key=lambda label: label[0]):
            if rows and place < rows[-1][0] + SIZE:
                rows[-1][1].append(text)
                rows[-1] = (rows[-1][0], rows[-1][1], colour if colour == rows[-1][2] else "ink")
            else:
                rows.append((place, [text], colour))
        first, last = column == 0, column == len(self.labels) - 1
        x = (
            self.lanes[0][0] - 4
            if first
            else self.lanes[-1][1] + 4
            if last
            else (self.lanes[0][1] + self.lanes[1][0]) / 2
        )
        width = self.numbers - 4 if first else MIDDLE - 4 if not last else WIDTH - x - 2
        anchor = "end" if first else "start" if last else "middle"
        for place, words, colour in rows:
            most = max(3, int(width / (SIZE * LETTER)))
            self.drawing.text(x, self.y(place) + 4, _run(words, most), f"f-{colour}", SIZE, anchor)


def _run(words: Sequence[str], most: int) -> str:
    """Return labels that share a row, as far as there is room: of a run of numbers the first and last."""
    text = " ".join(words)
    if len(text) <= most:
        return text
    if all(word.isdecimal() for word in words):
        text = f"{words[0]}-{words[-1]}"
    return text if len(text) <= most else shortened(text, most - 1)  # the ellipsis is a wide letter


def _ms(time_ns: int | None) -> str:
    if time_ns is None:
        return "never"
    return f"{time_ns / 1e9:,.2f} s" if time_ns >= 10**9 else f"{time_ns / 1e6:,.1f} ms"


def _tick(time_ns: int) -> str:
    return f"{time_ns / 1e6:.0f}" if time_ns < 10**11 else f"{time_ns / 1e9:.0f} s"
