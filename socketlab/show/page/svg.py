"""What our own drawings are made of: shapes in SVG whose colours are names.

A picture is an SVG element without a single colour in it, only classes: `s-udp` strokes, `f-udp` fills in
what palette.css calls `--udp`. On the page these follow the reader's light or dark; `standalone` puts the
light ones in. Text has no measured width here: `room` gives the most that it can take.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

FOLDER = Path(__file__).parent
# The widest letters of the fonts that a page may be shown with, in parts of the size (DejaVu Sans, and Mono).
WIDE, MONO = 0.66, 0.61
VARIABLE = re.compile(r"var\((--[a-z]+)\)")


def clean(text: object) -> str:
    """Return text without what neither XML nor a line can hold: control characters, half characters."""
    whole = str(text).encode("utf-8", "replace").decode()
    return "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in whole)


def shortened(text: object, most: int) -> str:
    """Return text with at most so many characters."""
    line = clean(text).replace("\n", " ")
    return line if len(line) <= most else f"{line[: most - 1]}…"


def room(text: str, size: float, *, mono: bool = False) -> float:
    """Return the width that a text takes at the most."""
    return len(text) * size * (MONO if mono else WIDE)


def fitting(text: object, width: float, size: float, *, mono: bool = False) -> str:
    """Return as much of a text as a width has room for."""
    return shortened(text, max(2, int(width / size / (MONO if mono else WIDE))))


@dataclass
class Drawing:
    """A picture in the making. Coordinates: x to the right, y downwards, as in SVG.

    Attributes:
        width: of the whole, in its own units: pixels where there is room.
        height: of the whole; may be set at the end.
    """

    width: float
    height: float = 0.0
    _parts: list[Markup] = field(default_factory=list)

    def shape(self, name: str, classes: str, title: str = "", **attributes: float | str) -> None:
        """Add an element; a title is shown where somebody points at it."""
        written = Markup("").join(
            Markup('{}="{}" ').format(key.replace("_", "-"), _number(value))
            for key, value in attributes.items()
        )
        inside = Markup("<title>{}</title>").format(clean(title)) if title else Markup("")
        self._parts.append(Markup('<{0} class="{1}" {2}>{3}</{0}>').format(name, classes, written, inside))

    def line(
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        classes: str,
        width: float = 1.5,
        dash: str = "",
        title: str = "",
    ) -> None:
        """Add a straight line."""
        more = {"stroke_dasharray": dash} if dash else {}
        self.shape("line", classes, title, x1=x1, y1=y1, x2=x2, y2=y2, stroke_width=width, **more)

    def box(
        self, x: float, y: float, width: float, height: float, classes: str, radius: float = 6, dash: str = ""
    ) -> None:
        """Add a rectangle with round corners."""
        more = {"stroke_dasharray": dash} if dash else {}
        self.shape("rect", classes, x=x, y=y, width=width, height=height, rx=radius, stroke_width=1.5, **more)

    def path(self, data: str, classes: str, width: float = 1.5, dash: str = "", title: str = "") -> None:
        """Add a path that is not filled."""
        more = {"stroke_dasharray": dash} if dash else {}
        self.shape("path", classes, title, d=data, fill="none", stroke_width=width, **more)

    def arrow(self, x1: float, y1: float, x2: float, y2: float, classes: str, size: float = 7) -> None:
        """Add the head of an arrow that comes from (x1, y1) and points to (x2, y2)."""
        length = max(1e-6, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
        dx, dy = (x2 - x1) / length * size, (y2 - y1) / length * size
        left, right = (x2 - dx - dy * 0.45, y2 - dy + dx * 0.45), (x2 - dx + dy * 0.45, y2 - dy - dx * 0.45)
        points = f"{x2:.1f},{y2:.1f} {left[0]:.1f},{left[1]:.1f} {right[0]:.1f},{right[1]:.1f}"
        self.shape("polygon", classes, points=points)

    def cross(self, x: float, y: float, classes: str, size: float = 4.5) -> None:
        """Add a cross: here something ended."""
        near, far, top, end = x - size, x + size, y - size, y + size
        self.path(
            f"M{near:.1f} {top:.1f}L{far:.1f} {end:.1f}M{near:.1f} {end:.1f}L{far:.1f} {top:.1f}",
            classes,
            2.4,
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        classes: str = "f-ink",
        size: float = 13,
        anchor: str = "start",
    ) -> None:
        """Add a line of text; y is its baseline."""
        self._parts.append(
            Markup('<text class="{}" x="{}" y="{}" font-size="{}" text-anchor="{}">{}</text>').format(
                classes, _number(x), _number(y), _number(size), anchor, clean(text)
            )
        )

    def svg(self, label: str, classes: str = "picture") -> Markup:
        """Return the picture; the label is what it is called for those who do not see it."""
        return Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" class="{}" viewBox="0 0 {} {}" role="img" '
            'aria-label="{}">{}</svg>'
        ).format(
            classes, _number(self.width), _number(self.height), clean(label), Markup("").join(self._parts)
        )


def _number(value: float | str) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def palette() -> dict[str, str]:
    """Return the light colours of picture.css by their names."""
    return dict(re.findall(r"(--[a-z]+):\s*(#[0-9a-f]{6})", stylesheet("palette.css").partition("@media")[0]))


def stylesheet(name: str) -> str:
    """Return one of the style sheets."""
    return (FOLDER / name).read_text(encoding="utf-8")


def standalone(picture: Markup, width: float) -> bytes:
    """Return a picture as a file of its own: light, on white, and with its own styles."""
    colours = palette()
    style = VARIABLE.sub(lambda name: colours[name[1]], stylesheet("picture.css"))
    opening, closing, rest = str(picture).partition(">")  # a Markup would escape what is added to it
    sized = opening + f' width="{width:g}"'
    background = f'<rect width="100%" height="100%" fill="{colours["--paper"]}"/>'
    return f"{sized}{closing}<style>{style}</style>{background}{rest}\n".encode()
