"""What is known about one thing the lab needs, and how to mend it.

A check returns a fact and changes nothing. `ensure` acts on facts, `doctor` prints them. A check that broke
proves nothing: its fact is unknown, and nobody acts on that.
"""

from dataclasses import dataclass
from enum import StrEnum

from setup.shell import SetupError


class State(StrEnum):
    """Whether the thing is there."""

    OK = "ok"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Fact:
    """One line of the doctor's report.

    Attributes:
        name: the thing.
        state: whether it is there.
        found: what was found, in words.
        remedy: what to do on this system when it is not there.
        automatic: `make up` mends it without help.
        needed: the lab cannot run without it.
    """

    name: str
    state: State
    found: str
    remedy: str = ""
    automatic: bool = False
    needed: bool = True

    def problem(self) -> SetupError:
        """Return what to raise when nothing can be done about it here."""
        remedy = f"\n  -> {self.remedy}" if self.remedy else ""
        return SetupError(f"{self.name}: {self.found}{remedy}")
