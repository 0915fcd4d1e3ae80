"""All of the page: from the document of a run to HTML, and its pictures as files.

Nothing in the page comes from anywhere else, and the page asks nobody for anything: its policy lets a browser
run the one script and use the one style sheet that are in it, known by their digests.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from socketlab.describe.claims import BY_ID
from socketlab.show.page import page_figures, svg
from socketlab.show.page.document import Check, Claim, Document
from socketlab.show.page.figure import Figure, made
from socketlab.show.page.tables import NOTHING, Cell, Table

OUTCOMES = (
    ("shown", "✓", "shown"),
    ("refuted", "✗", "refuted"),
    ("unmeasured", "?", "could not be measured"),
)
MARKS = {
    outcome: f"{mark} {'not measured' if outcome == 'unmeasured' else words}"
    for outcome, mark, words in OUTCOMES
}

AT_ONCE = 4  # panels of a sequence diagram; those after them unfold


@dataclass(frozen=True)
class Page:
    """The page, what makes each of its pictures, by their files' names, and what it does not show."""

    html: str
    pictures: Mapping[str, Callable[[], bytes]]
    broken: Sequence["Problem"]


@dataclass(frozen=True)
class Problem:
    """Something that this run does not show; `target` is where on the page it belongs."""

    where: str
    text: str
    target: str = ""


@dataclass(frozen=True)
class Part:
    """Figures under a heading."""

    name: str
    title: str
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Section:
    """Claims of a part of the lecture."""

    title: str
    claims: Sequence[Claim]


def page(run: Document, told: Any) -> Page:
    """Return the page of a run.

    Args:
        run: its document.
        told: the same as it was read: what the page hands on.
    """
    parts = [
        Part(part.name, part.title, [made(plan, run) for plan in part.plans]) for part in page_figures.PARTS
    ]
    titles = list(dict.fromkeys(claim.section for claim in run.claims))
    sections = [Section(title, [each for each in run.claims if each.section == title]) for title in titles]
    broken = list(problems(run, parts))
    style = "".join(svg.stylesheet(name) for name in ("palette.css", "page.css", "picture.css"))
    style += _filters(len(sections))
    script = svg.stylesheet("page.js")
    html = (
        _environment()
        .get_template("page.html.j2")
        .render(
            run=run,
            parts=parts,
            sections=sections,
            broken=broken,
            outcomes=OUTCOMES,
            marks=MARKS,
            outcome_of={claim.id: claim.outcome for claim in run.claims},
            at_once=AT_ONCE,
            style=Markup(style),  # noqa: S704 - our own files
            script=Markup(script),  # noqa: S704
            style_hash=_digest(style),
            script_hash=_digest(script),
            source=embedded(told),
        )
    )
    pictures = {name: file for part in parts for each in part.figures for name, file in each.files.items()}
    return Page(html, pictures, broken)


def problems(run: Document, parts: Sequence[Part]) -> Iterator[Problem]:
    """Yield all that this run does not show, and why."""
    # What the document says of a claim that is refuted or unmeasured, the claim itself says better.
    of_claims = {f"{claim.id}: {claim.reason}" for claim in run.claims}
    of_claims |= {f"{claim.id} is refuted" for claim in run.claims}
    for text in run.problems:
        if text not in of_claims:
            yield Problem("", text)
    for claim in run.claims:
        target = f"claim-{claim.id}"
        if claim.outcome == "refuted":
            failing = [check.statement for check in claim.checks if not check.holds]
            yield Problem(claim.id, f"refuted: {failing[0] if failing else claim.says} does not hold", target)
        elif claim.outcome == "unmeasured":
            yield Problem(claim.id, f"could not be measured: {claim.reason or 'it does not say why'}", target)
    ran = {claim.id for claim in run.claims}
    if absent := [name for name in BY_ID if name not in ran]:
        yield Problem("", f"not run: {', '.join(absent)}")
    for part in parts:
        for figure in part.figures:
            if figure.missing:
                yield Problem(figure.title, f"no picture: {figure.missing}", f"figure-{figure.name}")
            for text in figure.broken:
                yield Problem(figure.title, text, f"figure-{figure.name}")


def embedded(told: Any) -> Markup:
    """Return JSON that can stand in a script element: nothing in it can end that, or begin another."""
    text = json.dumps(told, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704 - so it is safe


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _filters(sections: int) -> str:
    """Return the rules by which choices hide claims: without a script."""
    rules = [
        f"body:has(#outcome-{outcome}:checked) .claim:not(.{outcome}) {{ display: none; }}"
        for outcome, *_words in OUTCOMES
    ]
    rules += [
        f"body:has(#section-{place}:checked) .claims > section:not(.of-{place}) {{ display: none; }}"
        for place in range(1, sections + 1)
    ]
    return "@media screen {\n" + "\n".join(rules) + "\n}\n"


# --- how values are shown


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(svg.FOLDER), autoescape=True, undefined=StrictUndefined, finalize=_final
    )
    environment.filters |= {
        "steps": steps,
        "evidence": evidence,
        "exact": _exact,
        "seconds": _seconds,
        "aligned": _aligned,
        "heading": _heading,
    }
    return environment


def _final(value: object) -> object:
    """Clean all text of a document on its way into the page; escaping comes after it."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else svg.clean(value)


def steps(claim: Claim) -> list[tuple[str, list[Check]]]:
    """Return what was done, in order, each with what was seen then."""
    told = [(did, [check for check in claim.checks if check.step == step]) for step, did in _numbered(claim)]
    return [(did, checks) for did, checks in told if did or checks]


def _numbered(claim: Claim) -> Iterator[tuple[int, str]]:
    yield 0, ""
    yield from enumerate(claim.did, start=1)
    # A check of a later step than there are would be lost, and a check must not be.
    for step in sorted({check.step for check in claim.checks if check.step > len(claim.did)}):
        yield step, ""


def evidence(value: Any) -> str:
    """Return a piece of evidence as text: words as they are, lists a line each, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and not any(isinstance(each, dict | list) for each in value):
        return "\n".join(evidence(each) for each in value) if value else "none"
    if isinstance(value, dict) and not any(isinstance(each, dict | list) for each in value.values()):
        return "\n".join(f"{key}: {evidence(each)}" for key, each in value.items()) if value else "none"
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)


def _exact(value: float) -> str:
    """Return a number such that reading it gives the same number again."""
    return repr(value)


def _seconds(value: float) -> str:
    if value >= 120:
        return f"{value // 60:.0f} min {value % 60:.0f} s"
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"


NUMBERS, LONG = Markup(' class="n"'), Markup(' class="long"')
LONG_TEXT = 40


def _numeric(table: Table, column: int) -> bool:
    return any(row[column].value is not None for row in table.rows)


def _heading(table: Table, column: int) -> Markup:
    """Return how a column's name is aligned: as its numbers."""
    return NUMBERS if _numeric(table, column) else Markup()


def _aligned(cell: Cell, table: Table, column: int) -> Markup:
    """Return how a cell is aligned; what was not measured stands where the number would."""
    if cell.value is not None or (cell.text == NOTHING and _numeric(table, column)):
        return NUMBERS
    return LONG if len(cell.text) > LONG_TEXT else Markup()
