"""Marking instead of losing (RFC 3168)."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from ..attributes import numbers_of
from ..option import Fields, Option
from ..spec_words import Words
from ..units import SpecError

ECN = 7  # TCA_NETEM_ECN
U32 = struct.Struct("=I")


@dataclass(frozen=True)
class EcnFields:
    """Whether packets that allow it are marked, and not lost."""

    ecn: bool = False


def parse(_words: Words) -> Fields:
    """Read nothing: the word is all."""
    return {"ecn": True}


def render(spec: EcnFields) -> str:
    """Return its word."""
    return "ecn" if spec.ecn else ""


def check(fields: Fields) -> None:
    """Refuse it where nothing is lost."""
    if fields.get("ecn") and not fields.get("loss"):
        raise SpecError("'ecn': expected a loss to mark instead, as in 'loss 10% ecn'")


def to_kernel(spec: EcnFields) -> dict[int, bytes]:
    """Return 0 or 1."""
    return {ECN: U32.pack(spec.ecn)}


def from_kernel(values: Mapping[int, bytes]) -> Fields:
    """Return whether it is on."""
    return {"ecn": bool(numbers_of(values, ECN, U32)[0])}


OPTION = Option(
    "ecn",
    forms=(("ecn", "marks instead of losing, where the packet allows it (kernel's engine)"),),
    example="loss 20% ecn",
    fields=EcnFields,
    parse=parse,
    render=render,
    to_kernel=to_kernel,
    from_kernel=from_kernel,
    kernel_alone="not in the user-space engine: use the kernel's, or leave it out",
)
