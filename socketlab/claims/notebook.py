"""What is written down while a claim is shown: what was done, what was seen, and whether it had to be so.

A check that does not hold refutes the claim. What breaks in between (an engine, a capture, a host) is no
check: then the claim could not be measured, and nothing is said about the lecture.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from socketlab.describe.claims import Claim
from socketlab.errors import LabError


class Outcome(StrEnum):
    """What can be said of a claim."""

    SHOWN = "shown"
    REFUTED = "refuted"
    UNMEASURED = "unmeasured"


class CannotShowError(Exception):
    """This system cannot show it, for a reason that is not the lecture's."""


@dataclass(frozen=True)
class Check:
    """Something that must be so if the lecture is right.

    Attributes:
        evidence: what the kernel or the wire said, by a label for people.
        step: after how many of the things that were done.
    """

    statement: str
    holds: bool
    evidence: Mapping[str, Any]
    step: int = 0


@dataclass
class Notebook:
    """Of one claim."""

    did: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)

    def do(self, what: str) -> None:
        """Say what is done, in a sentence for a student."""
        self.did.append(what)

    def check(self, statement: str, holds: bool, evidence: Mapping[str, Any]) -> None:
        """Write down whether something is as it must be, and the evidence."""
        self.checks.append(Check(statement, bool(holds), dict(evidence), len(self.did)))

    def answer(self, sentence: str) -> None:
        """Answer the claim's question, from what was measured."""
        self.answers.append(sentence)

    def figure(self, name: str, data: Any) -> None:
        """Keep data for a picture or a table."""
        self.figures[name] = data

    def cannot(self, reason: str) -> None:
        """Stop: this system cannot show the claim.

        Raises:
            CannotShowError: always.
        """
        raise CannotShowError(reason)


@dataclass(frozen=True)
class Finding:
    """What came of a claim."""

    claim: Claim
    outcome: Outcome
    did: tuple[str, ...]
    checks: tuple[Check, ...]
    figures: Mapping[str, Any]
    took_s: float
    reason: str = ""
    answer: str = ""


def finding(claim: Claim, note: Notebook, begun: float, reason: str = "") -> Finding:
    """Return what the notebook amounts to.

    Args:
        claim: what it is about.
        note: the notebook.
        begun: `time.monotonic()` when it was begun.
        reason: why it could not be measured to its end; a check that failed before that still refutes.
    """
    if any(not check.holds for check in note.checks):
        outcome = Outcome.REFUTED
    elif reason or not note.checks:
        outcome = Outcome.UNMEASURED
        reason = reason or "nothing was checked"
    else:
        outcome = Outcome.SHOWN
    took_s = time.monotonic() - begun
    # Of a claim that is refuted or unmeasured the sentence may rest on what was not so.
    answer = "; ".join(note.answers) if outcome is Outcome.SHOWN else ""
    return Finding(
        claim, outcome, tuple(note.did), tuple(note.checks), dict(note.figures), took_s, reason, answer
    )


# What makes a claim unmeasured: the lab, or a socket call that nobody expected to fail.
BROKEN = (CannotShowError, LabError, OSError)
