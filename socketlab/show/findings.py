"""Show: the claims of the lecture and what came of them, for people and as the document of a run."""

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from socketlab.claims.notebook import Check, Finding, Outcome
from socketlab.describe.claims import Claim
from socketlab.observe.words import printable
from socketlab.show.plain_data import as_data
from socketlab.show.terminal import Colour, Terminal

VERSION = 1  # of the document; changes when the meaning of a field does
KIND = "lecture"

WORDS = {
    Outcome.SHOWN: ("shown", Colour.GOOD),
    Outcome.REFUTED: ("REFUTED", Colour.BAD),
    Outcome.UNMEASURED: ("could not be measured", Colour.ODD),
}
INDENT = 5  # columns: the longest id, and space
LONGEST_LABEL = 40


# --- as data


def document(
    findings: Iterable[Finding], made: Mapping[str, Any], machine: Mapping[str, Any], network: Any
) -> dict[str, Any]:
    """Return the document of a run: all that a page, a picture or a comparison needs.

    Args:
        findings: in the order of the lecture.
        made: when, by which version, how long it took, with which seed.
        machine: what it ran on.
        network: what impaired it, or None.
    """
    told = [of_finding(finding) for finding in findings]
    problems = [f"{one['id']}: {one['reason']}" for one in told if one["outcome"] == Outcome.UNMEASURED]
    problems += [f"{one['id']} is refuted" for one in told if one["outcome"] == Outcome.REFUTED]
    return {
        "version": VERSION,
        "kind": KIND,
        "made": dict(made),
        "machine": dict(machine),
        "network": as_data(network),
        "claims": told,
        "problems": problems,
    }


def of_finding(finding: Finding) -> dict[str, Any]:
    """Return one finding as data."""
    claim = finding.claim
    return {
        "id": claim.id,
        "section": claim.section,
        "says": claim.says,
        "shown_by": claim.shown_by,
        "outcome": finding.outcome.value,
        "reason": finding.reason,
        "did": list(finding.did),
        "checks": as_data(finding.checks),
        "figures": as_data(finding.figures),
        "took_s": round(finding.took_s, 3),
        "question": claim.question,
        "answer": finding.answer,
    }


def as_json(told: Mapping[str, Any]) -> str:
    """Return the document as text."""
    return json.dumps(told, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


# --- for people


def catalogue(claims: Sequence[Claim], terminal: Terminal) -> str:
    """Return the claims, section by section, and what shows each."""
    lines: list[str] = []
    section = ""
    for claim in claims:
        if claim.section != section:
            section = claim.section
            lines += ["", terminal.paint(section, Colour.STRONG)]
        lines += _titled(claim, terminal)
        lines += _wrapped("shown by", claim.shown_by, terminal)
    return "\n".join(lines[1:])


def told(finding: Finding, terminal: Terminal) -> str:
    """Return what the lecture says, what was done, what was seen, and what that shows."""
    lines = _titled(finding.claim, terminal)
    for step, sentence in enumerate(("", *finding.did)):
        lines += _wrapped("do", sentence, terminal) if sentence else []
        for check in finding.checks:
            lines += _checked(check, terminal) if check.step == step else []
    if finding.answer:
        lines += _wrapped("Asked ", finding.claim.question, terminal)
        lines += _wrapped("Answer", finding.answer, terminal)
    words, colour = WORDS[finding.outcome]
    verdict = f"{terminal.paint(words, colour)}  {finding.took_s:.1f} s"
    lines.append(f"{'':{INDENT}}{verdict}")
    if finding.reason:
        lines += _wrapped("because", finding.reason, terminal)
    return "\n".join(lines)


def summary(findings: Sequence[Finding], took_s: float, terminal: Terminal) -> str:
    """Return how many claims were shown; those that were not by name."""
    counts = []
    for outcome, (words, colour) in WORDS.items():
        count = sum(finding.outcome is outcome for finding in findings)
        counts.append(
            terminal.paint(f"{count} {words if count else words.lower()}", colour if count else Colour.PLAIN)
        )
    lines = [f"{', '.join(counts)}, in {took_s:.0f} s"]
    for finding in findings:
        if finding.outcome is Outcome.REFUTED:
            failed = next(check for check in finding.checks if not check.holds)
            lines += _wrapped(finding.claim.id, f"does not hold: {failed.statement}", terminal)
        elif finding.outcome is Outcome.UNMEASURED:
            lines += _wrapped(finding.claim.id, finding.reason, terminal)
    return "\n".join(lines)


def _titled(claim: Claim, terminal: Terminal) -> list[str]:
    room = max(terminal.width - INDENT, 20)
    first, *more = textwrap.wrap(claim.says, room)
    return [
        f"{terminal.paint(f'{claim.id:<{INDENT}}', Colour.STRONG)}{terminal.paint(first, Colour.STRONG)}",
        *(f"{'':{INDENT}}{terminal.paint(line, Colour.STRONG)}" for line in more),
    ]


def _wrapped(head: str, text: str, terminal: Terminal) -> list[str]:
    before = f"{'':{INDENT}}{head}  "
    return textwrap.wrap(
        text, max(terminal.width, 40), initial_indent=before, subsequent_indent=" " * len(before)
    )


def _checked(check: Check, terminal: Terminal) -> list[str]:
    mark = ("✓" if check.holds else "✗") if terminal.unicode else ("ok" if check.holds else "NO")
    colour = Colour.GOOD if check.holds else Colour.BAD
    before = f"{'':{INDENT}}{mark} "
    first, *more = textwrap.wrap(
        check.statement, max(terminal.width, 40), initial_indent=before, subsequent_indent=" " * len(before)
    )
    lines = [first.replace(mark, terminal.paint(mark, colour), 1), *more]
    labels = [str(label) for label in check.evidence]
    width = min(LONGEST_LABEL, max(map(len, labels), default=0))
    for label, value in zip(labels, check.evidence.values(), strict=True):
        lines += _evidence(len(before) + 2, f"{label:<{width}}", _value(value), terminal)
    return lines


def _evidence(indent: int, label: str, value: str, terminal: Terminal) -> list[str]:
    """Return a label and its value; the value below it where both do not fit on a line."""
    pieces = value.splitlines() or [""]
    room = max(terminal.width, 40) - indent
    if len(pieces) == 1 and len(label) + 2 + len(value) <= room:
        return [f"{'':{indent}}{terminal.paint(label, Colour.FAINT)}  {value}"]
    lines = [f"{'':{indent}}{terminal.paint(label.rstrip(), Colour.FAINT)}"]
    for piece in pieces:
        lines += textwrap.wrap(
            piece, room + indent, initial_indent=" " * (indent + 2), subsequent_indent=" " * (indent + 4)
        )
    return lines


def _value(value: object) -> str:
    """Return a piece of evidence as text. It may be somebody else's: nothing in it moves the cursor."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    data = as_data(value)
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, allow_nan=False)
    return printable(text)
