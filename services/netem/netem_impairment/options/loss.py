"""Which packets are lost: by chance, or by one of two Markov chains."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from .. import units
from ..attributes import NESTED, attribute, attributes, numbers_of
from ..option import Fields, Option
from ..spec_words import Words, parse_correlation, with_correlation
from ..units import U32_MAX, refusal

LOSS, STATE, GILBERT_ELLIOTT = 5, 1, 2  # TCA_NETEM_LOSS, and in it NETEM_LOSS_GI, NETEM_LOSS_GE
FOUR, FIVE = struct.Struct("=4I"), struct.Struct("=5I")


@dataclass(frozen=True)
class RandomLoss:
    """Each packet is lost with the same probability; correlation: how far a draw counts for the next."""

    probability: int
    correlation: int = 0

    def __str__(self) -> str:
        """Return it in tc's language."""
        return with_correlation(f"loss {units.percent(self.probability)}", self.correlation)


@dataclass(frozen=True)
class StateLoss:
    """The four-state Markov chain; names as in tc-netem(8): p13 leads from state 1 to state 3."""

    p13: int
    p31: int
    p32: int
    p23: int
    p14: int

    def __str__(self) -> str:
        """Return it in tc's language."""
        return "loss state " + " ".join(
            map(units.percent, (self.p13, self.p31, self.p32, self.p23, self.p14))
        )


@dataclass(frozen=True)
class GilbertElliott:
    """The Gilbert-Elliott model, as the kernel has it.

    Attributes:
        p: from good to bad.
        r: from bad to good.
        h: that a packet passes in the bad state (the user gives 1-h).
        k1: 1-k, that a packet is lost in the good state.
    """

    p: int
    r: int
    h: int
    k1: int

    def __str__(self) -> str:
        """Return it in tc's language."""
        return "loss gemodel " + " ".join(map(units.percent, (self.p, self.r, U32_MAX - self.h, self.k1)))


Loss: TypeAlias = RandomLoss | StateLoss | GilbertElliott


@dataclass(frozen=True)
class LossFields:
    """The model of loss; None: nothing is lost."""

    loss: Loss | None = None


def parse(words: Words) -> Fields:
    """Read `[random] PERCENT [CORRELATION]`, `state P13 ...` or `gemodel P ...`."""
    kind = words.needed("loss", "a probability or a model", "loss 10%")
    if kind == "state":
        # As tc has them where they are left out: a chain of two states.
        example = "loss state 1% 10% 70% 30% 0.1%"
        values = _parse_chain(words, kind, ("P13", "P31", "P32", "P23", "P14"), (0, U32_MAX, 0), example)
        return {"loss": StateLoss(*values)}
    if kind == "gemodel":
        example = "loss gemodel 1% 10% 70% 0.1%"
        p, r, not_h, k1 = _parse_chain(words, kind, ("P", "R", "1-H", "1-K"), (U32_MAX, 0), example)
        return {"loss": GilbertElliott(p, r, U32_MAX - not_h, k1)}
    text = words.needed("loss random", "a probability", "loss random 10%") if kind == "random" else kind
    if not units.is_number(text):
        raise refusal(text, "a probability, random, state or gemodel", "loss 10%")
    probability = units.probability(text, "a probability", "loss 10%")
    correlation = parse_correlation(words, "loss 10% 25%")
    return {"loss": RandomLoss(probability, correlation) if probability else None}


def _parse_chain(
    words: Words, kind: str, names: tuple[str, ...], others: tuple[int, ...], example: str
) -> list[int]:
    """Read the probabilities of a chain.

    Args:
        words: behind the name of the chain.
        kind: its name.
        names: of the probabilities.
        others: what they are where they are left out: the third and those behind it. The second one, the
            way back, is then the opposite of the first.
        example: of a whole one.
    """
    text = words.needed(f"loss {kind}", names[0], example)
    first = units.probability(text, names[0], example)
    values = [first, units.share_of_u32(1.0 - float(text.removesuffix("%")) / 100.0), *others]
    for index, name in enumerate(names[1:], 1):
        if not words.number_follows():
            break
        values[index] = units.probability(words.take(), name, example)
    return values


def render(spec: LossFields) -> str:
    """Return its words."""
    return str(spec.loss) if spec.loss else ""


def to_kernel(spec: LossFields) -> dict[int, bytes]:
    """Return the chain; without this attribute the model is the random one, which is in the structure."""
    match spec.loss:
        case StateLoss(p13, p31, p32, p23, p14):
            return {LOSS | NESTED: attribute(STATE, FIVE.pack(p13, p31, p32, p14, p23))}
        case GilbertElliott(p, r, h, k1):
            return {LOSS | NESTED: attribute(GILBERT_ELLIOTT, FOUR.pack(p, r, h, k1))}
    return {}


def from_kernel(values: Mapping[int, bytes]) -> Fields:
    """Return the chain, if it is one."""
    chains = attributes(values.get(LOSS, b""))
    if STATE in chains:
        p13, p31, p32, p14, p23 = numbers_of(chains, STATE, FIVE)
        return {"loss": StateLoss(p13, p31, p32, p23, p14)}
    if GILBERT_ELLIOTT in chains:
        return {"loss": GilbertElliott(*numbers_of(chains, GILBERT_ELLIOTT, FOUR))}
    return {}


OPTION = Option(
    "loss",
    forms=(
        (
            "loss PERCENT [CORRELATION]",
            "each packet is lost with this probability (`loss random` is the same)",
        ),
        (
            "loss state P13 [P31 [P32 [P23 [P14]]]]",
            "four-state Markov chain: gaps, bursts, isolated losses",
        ),
        (
            "loss gemodel P [R [1-H [1-K]]]",
            "Gilbert-Elliott: P to the bad state, R back; there 1-H are lost, in the good one 1-K",
        ),
    ),
    example="loss 20%",
    fields=LossFields,
    parse=parse,
    render=render,
    to_kernel=to_kernel,
    from_kernel=from_kernel,
    counted="dropped",
    older_words=("drop",),
)
