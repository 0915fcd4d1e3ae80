"""Show: what the terminal can do."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TextIO


class Colour(Enum):
    """What colours are for, and the codes of ECMA-48 that make them."""

    PLAIN = ""
    BAD = "31"  # lost: red
    ODD = "33"  # out of order, waiting: yellow
    EXTRA = "36"  # copies, retransmissions: cyan
    GOOD = "32"  # as it was asked for: green
    STRONG = "1"
    FAINT = "2"


@dataclass(frozen=True)
class Terminal:
    """What we write to.

    Attributes:
        width: columns.
        colour: whether it shows colours, and the reader wants them.
        unicode: whether its encoding has lines, dots and arrows.
    """

    width: int = 80
    colour: bool = False
    unicode: bool = True

    def paint(self, text: str, colour: Colour) -> str:
        """Return the text in a colour, where there are colours."""
        if not self.colour or not text or colour is Colour.PLAIN:
            return text
        return f"\033[{colour.value}m{text}\033[0m"


NEEDED = "│×↻⣿▸…≤"


def terminal(stream: TextIO, environment: Mapping[str, str]) -> Terminal:
    """Return what a stream can do.

    Colour: a terminal that is not dumb, and NO_COLOR is not set (see no-color.org).
    """
    encoding = stream.encoding or "ascii"
    try:
        NEEDED.encode(encoding)
        unicode = True
    except (UnicodeEncodeError, LookupError):
        unicode = False
    colour = stream.isatty() and environment.get("TERM") != "dumb" and not environment.get("NO_COLOR")
    return Terminal(shutil.get_terminal_size((80, 24)).columns, colour, unicode)


def this_terminal() -> Terminal:
    """Return what standard output can do."""
    return terminal(sys.stdout, os.environ)
