"""docs/reliability.md: a campaign's part stands between two lines of its own, and is made of its figures."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "reliability.md"


@dataclass(frozen=True)
class Part:
    """A part of the page.

    Attributes:
        name: of the part, of its document in docs/data, and of what `make` records it with.
        section: makes its text of the document. Raises ValueError: that is of another version, or not whole.
    """

    name: str
    section: Callable[[Mapping[str, Any]], str]

    @property
    def figures(self) -> Path:
        """The document that it is made of."""
        return DOCS / "data" / f"{self.name}.json"

    def page(self, before: str) -> str:
        """Return the whole page with this part made anew.

        Raises:
            ValueError: the page has no place for it; or as `section`.
        """
        begin = f"<!-- {self.name}: what follows is written by `make {self.name} RECORD=1` -->"
        end = f"<!-- {self.name}: up to here -->"
        head, begun, rest = before.partition(begin)
        _old, ended, tail = rest.partition(end)
        if not (begun and ended):
            raise ValueError(f"expected the lines {begin!r} and {end!r} in {PAGE.name}")
        text = self.section(json.loads(self.figures.read_text(encoding="utf-8")))
        return f"{head}{begin}\n\n{text}\n\n{end}{tail}"

    def write(self, page: Path = PAGE) -> None:
        """Write it into the page."""
        page.write_text(self.page(page.read_text(encoding="utf-8")), encoding="utf-8")
