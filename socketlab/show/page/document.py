"""The document of a run: what `make lecture JSON=...` and `make report` write, and a page is made from.

It may come from anybody. So nothing in it is believed: shapes are checked here, text is escaped where it is
shown, and a document that is none is refused in one line.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from socketlab import hints
from socketlab.errors import ScenarioError

LARGEST = 24 * 2**20  # bytes; a run makes less than one
T = TypeVar("T")

# No measurement comes near these limits, and a picture of larger numbers would be none.
Count = Annotated[int, Field(ge=0, le=2**53)]
Seconds = Annotated[float, Field(ge=0, le=1e6)]
Moment = Annotated[float, Field(ge=-1e6, le=1e6)]  # seconds from a start
Outcome = Literal["shown", "refuted", "unmeasured"]


class Record(BaseModel):
    """A record as it is in the document. Fields that a later version adds are let be."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class Made(Record):
    """When, by what, and how long it took."""

    at: str
    socketlab: str
    took_s: Seconds
    seed: int | None = None


class Machine(Record):
    """Where."""

    system: str
    kernel: str
    engine: str
    cpus: Count


class Network(Record):
    """What impaired it."""

    engine: str
    reason: str


class Check(Record):
    """A statement, whether it holds, and what the kernel or the wire says.

    Attributes:
        step: after how many of the things that were done it was noted.
    """

    statement: str
    holds: bool
    evidence: Mapping[str, Any] = Field(default_factory=dict)
    step: Count = 0


class Claim(Record):
    """What the lecture says, and whether it was shown."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,16}$")]
    section: str
    says: str
    shown_by: str
    outcome: Outcome
    reason: str = ""
    did: Sequence[str] = ()
    checks: Sequence[Check] = ()
    figures: Mapping[str, Any] = Field(default_factory=dict)
    took_s: Seconds = 0.0


class Document(Record):
    """A run of the lecture."""

    version: Literal[1]
    kind: Literal["lecture"]
    made: Made
    machine: Machine
    network: Network | None = None
    claims: list[Claim]
    sweep: Any = None
    problems: Sequence[str] = ()

    def count(self, outcome: Outcome) -> int:
        """Return how many claims have this outcome."""
        return sum(claim.outcome == outcome for claim in self.claims)

    def claim(self, name: str) -> Claim | None:
        """Return the claim of this id; None: it was not run."""
        return next((claim for claim in self.claims if claim.id == name), None)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number in JSON")


def _whole(digits: str) -> int:
    """Read a whole number; larger ones than a seed's 64 bits would break the arithmetic of pictures."""
    if len(digits) > 20 or abs(int(digits)) >= 2**64:
        raise ValueError(f"{digits[:24]}… is larger than any number in a run")
    return int(digits)


def _real(digits: str) -> float:
    if abs(value := float(digits)) >= 2**64:
        raise ValueError(f"{digits[:24]} is larger than any number in a run")
    return value


def parsed(text: str, name: str) -> Any:
    """Return what a JSON text says.

    Args:
        text: of the document.
        name: what to call it in a refusal.

    Raises:
        ScenarioError: it is no JSON, or says what JSON cannot.
    """
    try:
        told = json.loads(text, parse_constant=_no_number, parse_int=_whole, parse_float=_real)
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"{name}: expected JSON, {_brief(str(error))}") from error
    return told


def read(path: Path) -> Any:
    """Return what the JSON file of a run says.

    Raises:
        ScenarioError: it cannot be read, is too large to be one, or is no JSON.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ScenarioError(f"{path}: expected a run, at most {LARGEST >> 20} MiB, it is larger")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: expected JSON in UTF-8, byte {error.start:,} is none") from error
    return parsed(text, str(path))


def document(told: Any, name: str) -> Document:
    """Return the document that was told.

    Raises:
        ScenarioError: it is none that this version understands.
    """
    if not isinstance(told, dict) or told.get("kind") != "lecture":
        written_by = hints.command("lecture", json="lecture.json")
        raise ScenarioError(
            f"{name}: expected the run of a lecture ('kind': 'lecture'), as {written_by} writes it"
        )
    if told.get("version") != 1 or isinstance(told.get("version"), bool):
        version = _brief(repr(told.get("version")))
        raise ScenarioError(f"{name}: expected version 1 of the document, got {version}: make a new run")
    try:
        found = Document.model_validate(told)
    except (ValidationError, RecursionError) as error:
        raise ScenarioError(f"{name}: expected the run of a lecture, {complaint(error)}") from error
    names = [claim.id for claim in found.claims]
    if twice := sorted({each for each in names if names.count(each) > 1}):
        raise ScenarioError(f"{name}: expected each claim once, got {', '.join(twice)} twice")
    return found


def shaped(kind: type[T], told: Any) -> T:
    """Return a figure's data in its shape.

    Raises:
        ValueError: it has another; one line says where.
    """
    try:
        return TypeAdapter(kind).validate_python(told)
    except (ValidationError, RecursionError) as error:
        raise ValueError(complaint(error)) from error


def complaint(error: Exception) -> str:
    """Return in one line where a document is not as it should be."""
    if not isinstance(error, ValidationError):
        return "it is nested too deeply"
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "all of it"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return _brief(f"{place}: {first['msg']}") + more


def _brief(text: str) -> str:
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= 160 else f"{line[:159]}…"
