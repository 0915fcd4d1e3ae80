"""Curves, by matplotlib: drawn in the light colours, and handed to the page with the colours' names instead.

Each plot is made twice, for a wide page and for a narrow one: a picture that is only scaled down cannot be
read on a telephone. What is a line of its own differs in dash and marker too, never in colour alone.
"""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

from socketlab.show.page.svg import clean, palette, shortened

WIDE, NARROW = 900, 370  # pixels
DOTS = 72  # an inch: so matplotlib's points are our pixels
COLOURS = palette()
XLINK = "{http://www.w3.org/1999/xlink}href"
SVG = "{http://www.w3.org/2000/svg}"
KEPT = {
    "stroke-width",
    "stroke-dasharray",
    "stroke-dashoffset",
    "stroke-linejoin",
    "stroke-linecap",
    "opacity",
    "fill-opacity",
    "stroke-opacity",
    "font-size",
    "font-weight",
    "text-anchor",
    "fill",
    "stroke",
}


@dataclass(frozen=True)
class Plot:
    """A picture that was plotted.

    Attributes:
        wide, narrow: for the page, in SVG whose colours are names.
        text: the wide one as a file of its own, in SVG.
        figure: the same, to be made into pixels.
    """

    wide: Markup
    narrow: Markup
    text: str
    figure: Figure

    def svg(self) -> bytes:
        """Return it as an SVG file."""
        return self.text.encode()

    def png(self) -> bytes:
        """Return it as a PNG file."""
        pixels = io.BytesIO()
        self.figure.savefig(pixels, format="png", dpi=2 * DOTS, metadata={"Software": None})
        return pixels.getvalue()


def _style(*, narrow: bool) -> dict[Any, Any]:
    ink, faint, rule = COLOURS["--ink"], COLOURS["--faint"], COLOURS["--rule"]
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "socketlab",
        "text.parse_math": False,
        "font.family": "DejaVu Sans",
        "font.size": 11.5 if narrow else 14,
        "axes.titlesize": 12 if narrow else 15,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "text.color": ink,
        "axes.labelcolor": ink,
        "xtick.color": rule,
        "ytick.color": rule,
        "xtick.labelcolor": faint,
        "ytick.labelcolor": faint,
        "axes.edgecolor": rule,
        "figure.facecolor": COLOURS["--paper"],
        "axes.facecolor": "none",
        "grid.color": COLOURS["--grid"],
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "lines.linewidth": 2.2,
        "lines.markersize": 7,
        "legend.frameon": False,
        "legend.handlelength": 3.2,
        "axes.linewidth": 1.0,
        "figure.dpi": DOTS,
        "savefig.dpi": DOTS,
        "path.simplify": True,
    }


@contextmanager
def _styled(*, narrow: bool) -> Iterator[None]:
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_style(narrow=narrow))
        yield


def plot(name: str, label: str, height: int, draw: Callable[[Figure, bool], None]) -> Plot:
    """Return a plot.

    Args:
        name: of the figure; ids in the picture begin with it.
        label: what it is called for those who do not see it.
        height: of the wide one, in pixels.
        draw: puts the axes on a figure; told whether it is the narrow one, twice as high for its width.
    """
    written: list[str] = []
    figures: list[Figure] = []
    for narrow in (False, True):
        with _styled(narrow=narrow):
            width = NARROW if narrow else WIDE
            figures.append(Figure(figsize=(width / DOTS, height / DOTS), layout="constrained"))
            draw(figures[-1], narrow)
            file = io.StringIO()
            figures[-1].savefig(file, format="svg", metadata={"Date": None, "Creator": None})
            written.append(file.getvalue())
    wide, narrow_one = (
        themed(text, f"{name}-{size}", label) for text, size in zip(written, "wn", strict=True)
    )
    return Plot(wide, narrow_one, written[0], figures[0])


# --- from matplotlib's SVG to the page's


def themed(text: str, prefix: str, label: str) -> Markup:
    """Return matplotlib's SVG with names for colours, without styles, and with ids of its own."""
    root = ElementTree.fromstring(text)  # noqa: S314 - matplotlib has just written it
    named = {value: key.removeprefix("--") for key, value in COLOURS.items()}
    used = {value.removeprefix("#") for each in root.iter() if (value := each.get(XLINK))}
    used |= set(re.findall(r"url\(#([^)]+)\)", text))
    for parent in root.iter():
        for child in [each for each in parent if each.tag in {f"{SVG}style", f"{SVG}metadata"}]:
            parent.remove(child)
    for element in root.iter():
        _plain(element, named)
        identity = element.attrib.pop("id", None)
        if identity in used:
            element.set("id", f"{prefix}-{identity}")
        if target := element.attrib.pop(XLINK, None):
            element.set("href", f"#{prefix}-{target.removeprefix('#')}")
        for key, value in element.attrib.items():
            if "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{prefix}-"))
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"class": "picture", "role": "img", "aria-label": clean(label), "stroke-linejoin": "round"}
    ElementTree.register_namespace("", SVG.strip("{}"))
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 - serialised, so escaped


def _plain(element: ElementTree.Element, named: dict[str, str]) -> None:
    """Turn an element's style into attributes, and its colours into classes."""
    classes = []
    style = element.attrib.pop("style", "")
    for declaration in style.split(";"):
        key, _colon, value = (part.strip() for part in declaration.partition(":"))
        if key in {"fill", "stroke"}:
            name = named.get(value)
            if name is not None:
                classes.append(f"{key[0]}-{name}")
                continue
        if key in KEPT:
            element.set(key, value.removesuffix("px"))
    if element.get("fill") is None and not classes and element.tag == f"{SVG}text":
        classes.append("f-ink")
    # The background is the page's.
    if "f-paper" in classes and element.tag == f"{SVG}path":
        classes.remove("f-paper")
        element.set("fill", "none")
    if classes:
        element.set("class", " ".join(classes))


def higher(draw: Callable[[Figure, bool], None], factor: float = 2.2) -> Callable[[Figure, bool], None]:
    """Let the narrow figure be higher: its axes stand below each other."""

    def drawn(figure: Figure, narrow: bool) -> None:
        if narrow:
            figure.set_figheight(figure.get_figheight() * factor)
        draw(figure, narrow)

    return drawn


# --- how values are written


def word(text: str, most: int = 20) -> str:
    """Return a document's word as the plotting font has it: of other letters there may be no glyph."""
    return shortened("".join(letter if " " <= letter <= "~" else "?" for letter in clean(text)), most)


def numbers_written(value: float, _place: int = 0) -> str:
    """Return a number for a tick."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def bits_written(value: float, _place: int = 0) -> str:
    """Return bits a second as people say them."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:g}"


def said(value: float) -> str:
    """Return bits a second for a title, with three digits."""
    for limit, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.3g} bit/s"


def bytes_written(value: float, _place: int = 0) -> str:
    """Return bytes for a tick."""
    for limit, unit in ((2**20, "MiB"), (2**10, "KiB")):
        if value >= limit:
            return f"{value / limit:g} {unit}"
    return f"{value:g} B"
