"""Show: the way of each message, drawn: a column a host, time downwards, an arrow a message.

The client has two columns, one at each side: messages go from left to right, to the server and on, back to
the client. So lines cross where messages overtake each other, and nowhere else.

       ms  client                   server                   client
       0      1 │⠉⠉⠒⠒⠤⠤⣀⣀             │         │                    │
      10      2 │⠉⠉⠒⠒⠤⠤⣀⣀⠉⠉⠒⠒⠤⠤⣀⣀▸│    1    │⠉⠉⠒⠒⠤⠤⣀⣀       │

Pure: from times to lines of text.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise

from socketlab.analyse.bytestream import Connection
from socketlab.analyse.fates import Fate
from socketlab.analyse.messages import Message, Story
from socketlab.show.terminal import Colour, Terminal

SHOWN = 25  # messages, unless more are asked for
ROWS = 44  # at most, for so many messages
WIDEST = 100  # columns; wider, the lines only get flatter

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a cell of Braille: by row, by column
BRAILLE = 0x2800


class Kind(IntEnum):
    """What is to be seen of a leg; where lines meet, the larger one shows."""

    PLAIN = 0
    WAITED = 1
    COPY = 2
    LATE = 3
    UNKNOWN = 4
    LOST = 5


COLOURS = {
    Kind.PLAIN: Colour.PLAIN,
    Kind.WAITED: Colour.ODD,
    Kind.COPY: Colour.EXTRA,
    Kind.LATE: Colour.ODD,
    Kind.UNKNOWN: Colour.FAINT,
    Kind.LOST: Colour.BAD,
}
MARKS = {Kind.PLAIN: "", Kind.WAITED: "", Kind.COPY: "+", Kind.LATE: "!", Kind.UNKNOWN: "?", Kind.LOST: ""}


@dataclass(frozen=True)
class Leg:
    """A message on its way from one host to the next. Times: nanoseconds.

    Attributes:
        number: the message's.
        leaves: when it left.
        lands: when it arrived; None: it did not.
        kind: how it is to be seen.
    """

    number: int
    leaves: int
    lands: int | None
    kind: Kind = Kind.PLAIN


@dataclass(frozen=True)
class Picture:
    """What is to be drawn.

    Attributes:
        going, back: the legs of both ways.
        again: when the client's kernel sent segments again, and how many.
    """

    going: Sequence[Leg]
    back: Sequence[Leg]
    again: Sequence[tuple[int, int]] = ()


def of_datagrams(messages: Sequence[Message]) -> Picture:
    """Return the picture of some datagrams."""
    going: list[Leg] = []
    back: list[Leg] = []
    for message in messages:
        if message.sent is None:
            continue
        going += _legs(message, (message.sent,), message.arrivals, message.late_going, Fate.LOST_GOING)
        if message.replies:
            back += _legs(message, message.replies, message.answers, message.late_back, Fate.LOST_COMING_BACK)
    return Picture(going, back)


def _legs(
    message: Message, leaves: Sequence[int], lands: Sequence[int], late: int | None, lost: Fate
) -> Iterator[Leg]:
    first = Kind.PLAIN if late is None else Kind.LATE
    for copy, landed in enumerate(lands):
        left = leaves[min(copy, len(leaves) - 1)]
        yield Leg(message.number, left, landed, Kind.COPY if copy else first)
    if not lands and message.fate is Fate.ANSWERED:
        return  # it has arrived, whatever the journals say of it
    for left in leaves[len(lands) :]:
        known = lands or message.fate in {lost, Fate.LOST}
        yield Leg(message.number, left, None, Kind.LOST if known else Kind.UNKNOWN)


def of_connection(connection: Connection, numbers: Sequence[int]) -> Picture:
    """Return the picture of some lines of a connection."""
    going, back = [], []
    shown = [connection.lines[number - 1] for number in numbers]
    for line in shown:
        if line.sent is None:
            continue
        kind = Kind.WAITED if line.waited is not None else Kind.PLAIN
        going.append(
            Leg(line.number, line.sent, line.arrived, kind if line.arrived is not None else Kind.UNKNOWN)
        )
        if line.arrived is not None:
            kind = Kind.PLAIN if line.answered is not None else Kind.UNKNOWN
            back.append(Leg(line.number, line.arrived, line.answered, kind))
    begin = min((leg.leaves for leg in going), default=0)
    end = max((leg.lands if leg.lands is not None else leg.leaves for leg in (*going, *back)), default=0)
    again, before = [], 0
    for sample in connection.samples:
        so_far = sample.retransmitted or 0
        if so_far > before and begin <= sample.time <= end:
            again.append((sample.time, so_far - before))
        before = so_far
    return Picture(going, back, again)


def telling(story: Story, count: int = SHOWN) -> Sequence[Message]:
    """Return a stretch of messages with as many different fates as any other has; the first such."""
    messages = story.messages
    kinds = [_kinds(message) for message in messages]
    best, most = 0, -1
    inside: Counter[str] = Counter()
    for end, new in enumerate(kinds):
        inside.update(new)
        begin = end - count + 1
        if begin > 0:
            inside.subtract(kinds[begin - 1])
        different = sum(number > 0 for number in inside.values())
        if (begin >= 0 or end == len(kinds) - 1) and different > most:
            best, most = max(begin, 0), different
    return messages[best : best + count]


def _kinds(message: Message) -> set[str]:
    kinds = set() if message.fate is Fate.ANSWERED else {str(message.fate)}
    if message.late_going is not None:
        kinds.add("late going")
    if message.late_back is not None:
        kinds.add("late back")
    if message.duplicated:
        kinds.add("doubled")
    return kinds


@dataclass
class _Way:
    """The space between two hosts: dots, two columns and four rows in a character."""

    width: int
    dots: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    owners: dict[tuple[int, int], int] = field(default_factory=dict)  # whose a dot is
    crossed: set[tuple[int, int]] = field(default_factory=set)
    strokes: dict[tuple[int, int], list[int]] = field(default_factory=dict)  # of its last line: rows of dots
    drawn: dict[tuple[int, int], int] = field(default_factory=dict)  # which line that is
    kinds: dict[tuple[int, int], Kind] = field(default_factory=dict)
    ends: dict[tuple[int, int], str] = field(default_factory=dict)

    def draw(self, line: int, kind: Kind, begin: float, end: float, share: float = 1.0) -> None:
        """Draw a line, from time to time (in rows), over a share of the way."""
        last = round((self.width * 2 - 1) * share)
        for x in range(last + 1):
            y = (begin + (end - begin) * x / (self.width * 2 - 1)) * 4
            # A steep line has several dots in a column.
            following = (begin + (end - begin) * min(x + 1, last) / (self.width * 2 - 1)) * 4
            for dot in range(int(y), max(int(y) + 1, int(following))):
                cell = (dot // 4, x // 2)
                self.dots[cell] |= DOTS[dot % 4][x % 2]
                if self.owners.setdefault((dot, x), line) != line:
                    self.crossed.add(cell)
                if self.drawn.get(cell) != line:
                    self.drawn[cell], self.strokes[cell] = line, []
                self.strokes[cell].append(dot % 4)
                self.kinds[cell] = max(self.kinds.get(cell, Kind.PLAIN), kind)
        row = int(begin + (end - begin) * last / (self.width * 2 - 1))
        cell = (row, last // 2)
        self.ends[cell] = "" if share == 1.0 else "lost"
        self.kinds[cell] = max(self.kinds.get(cell, Kind.PLAIN), kind)

    def text(self, row: int, terminal: Terminal) -> str:
        """Return one row of it."""
        return "".join(
            terminal.paint(self._character((row, x), terminal), COLOURS[self.kinds.get((row, x), Kind.PLAIN)])
            for x in range(self.width)
        )

    def _character(self, cell: tuple[int, int], terminal: Terminal) -> str:
        if cell in self.ends:
            lost, arrow = "×▸" if terminal.unicode else "x>"
            return lost if self.ends[cell] else arrow
        dots = self.dots.get(cell, 0)
        if terminal.unicode:
            return chr(BRAILLE + dots) if dots else " "
        return self._stroke(cell) if dots else " "

    def _stroke(self, cell: tuple[int, int]) -> str:
        """Return the character of ASCII that is most like the last line drawn there."""
        if cell in self.crossed:
            return "+"
        first, last = min(self.strokes[cell]), max(self.strokes[cell])
        if last - first >= 2:
            return "\\"
        return "'--."[(first + last + 1) // 2]

    def rows(self) -> set[int]:
        """Return the rows in which something is drawn."""
        return {row for row, _x in self.dots} | {row for row, _x in self.ends}


@dataclass
class _Column:
    """The numbers beside a host's column, by row."""

    labels: dict[int, list[tuple[int, Kind]]] = field(default_factory=lambda: defaultdict(list))
    notes: dict[int, str] = field(default_factory=dict)

    def text(self, row: int, width: int, align: str, terminal: Terminal) -> str:
        """Return the numbers of one row, in colour, as wide as is wanted."""
        words: list[tuple[str, Kind]] = []
        labels = self.labels.get(row, [])
        place = 0
        while place < len(labels):
            number, kind = labels[place]
            run = place
            while run + 1 < len(labels) and _goes_on(labels[run], labels[run + 1]):
                run += 1
                kind = max(kind, labels[run][1])
            run = run if run - place >= 2 else place
            word = f"{number}-{labels[run][0]}" if run > place else str(number)
            # Before the number, so that those that stand below each other are in line.
            lost = ("×" if terminal.unicode else "x") if kind is Kind.LOST else ""
            words.append((f"{lost}{word}{MARKS[kind]}", kind))
            place = run + 1
        if row in self.notes:
            words.append((self.notes[row], Kind.COPY))
        return _fitted(words, width, align, terminal)


def _goes_on(one: tuple[int, Kind], other: tuple[int, Kind]) -> bool:
    alike = MARKS[other[1]] == MARKS[one[1]] and (other[1] is Kind.LOST) == (one[1] is Kind.LOST)
    return other[0] == one[0] + 1 and alike


def _fitted(words: list[tuple[str, Kind]], width: int, align: str, terminal: Terminal) -> str:
    more = "…" if terminal.unicode else ".."
    while words and len(" ".join(word for word, _kind in words)) > width:
        words = (
            [*words[:-2], (more, Kind.PLAIN)] if words[-1][0] == more else [*words[:-1], (more, Kind.PLAIN)]
        )
    plain = " ".join(word for word, _kind in words)
    painted = " ".join(terminal.paint(word, COLOURS[kind]) for word, kind in words)
    room = max(0, width - len(plain))
    before = {"<": 0, "^": room // 2, ">": room}[align]
    return " " * before + painted + " " * (room - before)


class _Drawing:
    """All of the picture, laid out for a terminal."""

    def __init__(self, picture: Picture, terminal: Terminal) -> None:
        legs = [*picture.going, *picture.back]
        self.first = min(leg.leaves for leg in legs)
        end = max(leg.leaves if leg.lands is None else leg.lands for leg in legs)
        self.row_ns = _row_ns(picture, legs)
        # A message that leaves a little before its time is still to be in its own row.
        self.begin = self.first - self.row_ns // 8
        self.terminal = terminal
        self.bar = terminal.paint("│" if terminal.unicode else "|", Colour.FAINT)

        self.time_width = max(5, len(_ms(end, self.row_ns)))
        self.sends = 9 if picture.again else 5
        self.hosts = max(7, min(13, (terminal.width - 60) // 3))
        others = self.time_width + self.sends + 2 * self.hosts + 10
        width = max(8, (min(terminal.width, WIDEST) - others) // 2)
        self.ways = (_Way(width), _Way(width))
        self.columns = (_Column(), _Column(), _Column())
        for way, its_legs in zip(self.ways, (picture.going, picture.back), strict=True):
            self._draw_way(way, its_legs)
        self._number(picture)

    def row(self, time: int) -> float:
        """Return where a time is, in rows."""
        return (time - self.begin) / self.row_ns

    def _draw_way(self, way: _Way, legs: Sequence[Leg]) -> None:
        typical = _typical_rows(legs, self.row_ns)
        for line, leg in enumerate(sorted(legs, key=lambda leg: leg.kind)):
            left = self.row(leg.leaves)
            if leg.lands is not None:
                way.draw(line, leg.kind, left, self.row(leg.lands))
            else:
                way.draw(line, leg.kind, left, left + typical, share=0.55)

    def _number(self, picture: Picture) -> None:
        """Put the numbers beside the columns, in the order in which they left or arrived."""
        sends = {leg.number: (leg.leaves, leg.kind) for leg in reversed(picture.going)}
        for number, (left, kind) in sorted(sends.items()):
            shown = Kind.LOST if kind is Kind.LOST else Kind.PLAIN
            self.columns[0].labels[int(self.row(left))].append((number, shown))
        for column, legs in zip(self.columns[1:], (picture.going, picture.back), strict=True):
            landed = [(leg.lands, leg) for leg in legs if leg.lands is not None]
            for lands, leg in sorted(landed, key=lambda pair: pair[0]):
                column.labels[int(self.row(lands))].append((leg.number, leg.kind))
        for time, segments in picture.again:
            sign = "↻" if self.terminal.unicode else "r"
            self.columns[0].notes[int(self.row(time))] = f"{sign}{segments}"

    def lines(self) -> list[str]:
        """Return it from top to bottom; where nothing happens for long, the time is cut out."""
        room = " " * self.ways[0].width
        head = (
            f"{'ms':>{self.time_width}}  {'client':>{self.sends}}  {room}{'server':^{self.hosts + 4}}{room}"
        )
        lines = [self.terminal.paint(f"{head}  client", Colour.STRONG)]
        used = set().union(*(way.rows() for way in self.ways))
        for column in self.columns:
            used |= {*column.labels, *column.notes}
        last = -1
        for number in sorted(used):
            if number - last > 3:
                lines.append(f"{'⋮' if self.terminal.unicode else ':':>{self.time_width}}")
            else:
                lines += [self._line(empty, "") for empty in range(last + 1, number)]
            last = number
            lines.append(self._line(number, _ms(self.first + number * self.row_ns, self.row_ns)))
        return lines

    def _line(self, row: int, time: str) -> str:
        terminal = self.terminal
        left, middle, right = self.columns
        going, back = (f"{self.bar}{way.text(row, terminal)}{self.bar}" for way in self.ways)
        parts = [
            terminal.paint(f"{time:>{self.time_width}}", Colour.FAINT) + " ",
            left.text(row, self.sends, ">", terminal),
            going,
            middle.text(row, self.hosts, "^", terminal),
            back,
            right.text(row, self.hosts, "<", terminal),
        ]
        return " ".join(parts).rstrip()


def draw(picture: Picture, terminal: Terminal) -> list[str]:
    """Return the picture as lines of text; none where nothing was sent."""
    if not picture.going:
        return []
    return [*_Drawing(picture, terminal).lines(), *_legend(picture, terminal)]


def _row_ns(picture: Picture, legs: Sequence[Leg]) -> int:
    """Return what time a row stands for: from one message to the next, or more to have fewer rows.

    Long times in which nothing is on its way do not count: they will be cut out.
    """
    sent = sorted({leg.leaves for leg in picture.going})
    gaps = sorted(b - a for a, b in pairwise(sent))
    busy = _busy(legs)
    wanted = gaps[len(gaps) // 4] if gaps else busy // 8
    rows = ROWS * max(1.0, len(sent) / SHOWN)
    least = max(wanted * 0.9, busy / rows, 1000)
    scale = 1
    while True:
        for step in (1, 2, 2.5, 5):
            if step * scale >= least:
                return int(step * scale)
        scale *= 10


def _busy(legs: Sequence[Leg]) -> int:
    """Return for how long anything was on its way."""
    total, until = 0, 0
    for begin, end in sorted((leg.leaves, leg.leaves if leg.lands is None else leg.lands) for leg in legs):
        total += max(0, end - max(begin, until))
        until = max(until, end)
    return total


def _typical_rows(legs: Sequence[Leg], row_ns: int) -> float:
    """Return how long one of these legs takes, in rows: so steep is the line of one that never arrived."""
    times = sorted(leg.lands - leg.leaves for leg in legs if leg.lands is not None)
    return times[len(times) // 2] / row_ns if times else 1.0


def _ms(time_ns: float, row_ns: int) -> str:
    digits = 0 if row_ns >= 10**6 else 1 if row_ns >= 10**5 else 2
    return f"{time_ns / 1e6:.{digits}f}"


def _legend(picture: Picture, terminal: Terminal) -> list[str]:
    kinds = {leg.kind for leg in (*picture.going, *picture.back)}
    words = []
    if Kind.LOST in kinds:
        words.append(terminal.paint("×" if terminal.unicode else "x", Colour.BAD) + " lost")
    if Kind.LATE in kinds:
        words.append(terminal.paint("3!", Colour.ODD) + " 3 out of order")
    if Kind.WAITED in kinds:
        words.append("2-5: handed over at once, 3 to 5 waited for 2")
    if Kind.COPY in kinds:
        words.append(terminal.paint("3+", Colour.EXTRA) + " one more copy of 3")
    if Kind.UNKNOWN in kinds:
        words.append("? not measured")
    if picture.again:
        words.append(
            terminal.paint("↻1" if terminal.unicode else "r1", Colour.EXTRA) + " segments sent again"
        )
    return ["   " + "    ".join(words)] if words else []
