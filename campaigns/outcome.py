"""What comes of a part of a campaign. What could not be measured says nothing about the lab."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from socketlab.errors import Exit, LabError

Data = dict[str, Any]  # as JSON has it


class Outcome(StrEnum):
    """Of a part."""

    HELD = "held"
    BROKEN = "broken"
    UNMEASURED = "could not be measured"


@dataclass(frozen=True)
class Result:
    """What came of a part.

    Attributes:
        name: of the part.
        outcome: of it.
        text: for people.
        data: as the campaign's document has it.
        why: of one that has not held.
    """

    name: str
    outcome: Outcome
    text: str
    data: Data
    why: str = ""


class Unmeasurable(LabError):
    """This machine lacks what a campaign needs, or what measures broke; the message says what."""

    exit_code = Exit.UNMEASURED


def exit_code(outcomes: Iterable[Outcome]) -> Exit:
    """Return what a campaign ends with: what is broken counts more than what could not be measured."""
    found = set(outcomes)
    if Outcome.BROKEN in found:
        return Exit.FAILED
    return Exit.UNMEASURED if Outcome.UNMEASURED in found else Exit.OK
