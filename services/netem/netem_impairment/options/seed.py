"""The seed of all draws."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from .. import units
from ..attributes import numbers_of
from ..option import Fields, Option
from ..spec_words import Words

SEED = 14  # TCA_NETEM_PRNG_SEED
U64 = struct.Struct("=Q")


@dataclass(frozen=True)
class SeedFields:
    """The seed; None: the system chooses one."""

    seed: int | None = None


def parse(words: Words) -> Fields:
    """Read `NUMBER`."""
    text = words.needed("seed", "a number", "seed 42")
    return {"seed": units.whole_number(text, 0, units.U64_MAX, "a seed", "seed 42")}


def render(spec: SeedFields) -> str:
    """Return its words."""
    return f"seed {spec.seed}" if spec.seed is not None else ""


def to_kernel(spec: SeedFields) -> dict[int, bytes]:
    """Return the seed; without one the draws go on as they do, or begin anywhere."""
    return {} if spec.seed is None else {SEED: U64.pack(spec.seed)}


def from_kernel(values: Mapping[int, bytes]) -> Fields:
    """Return the seed, also one that the kernel has chosen; an older one shows none."""
    return {"seed": numbers_of(values, SEED, U64)[0] if SEED in values else None}


OPTION = Option(
    "seed",
    forms=(("seed N", "makes it the same again"),),
    example="loss 20% seed 42",
    fields=SeedFields,
    parse=parse,
    render=render,
    to_kernel=to_kernel,
    from_kernel=from_kernel,
    since="6.6",
)
