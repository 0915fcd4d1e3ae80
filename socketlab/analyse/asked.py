"""What an impairment comes to: which shares of messages are lost, doubled, sent ahead, in the long run.

The spec names chances a packet; what happens to a message follows from them, but is not always the same
number. A doubled datagram is lost only if both copies are; correlated draws lose less than they are asked
for; the models with states lose what their stationary distribution says.
"""

import math
from dataclasses import dataclass

from impairment import GilbertElliott, RandomLoss, Spec, StateLoss

U32 = 2**32 - 1
GRID = 4000  # steps from 0 to 1 for the distribution of correlated draws


@dataclass(frozen=True)
class Share:
    """A chance.

    Attributes:
        asked: as the spec names it, from 0 to 1; None: it names none (the models of loss with states).
        expected: what it comes to for a message, in the long run.
        independent: one message's fate says nothing about the next one's.
    """

    asked: float | None
    expected: float
    independent: bool = True


def loss(spec: Spec) -> Share:
    """Return the share of messages that do not arrive: lost, or corrupted and therefore thrown away."""
    dropped = drop(spec)
    doubled = probability(spec.duplicate, spec.duplicate_correlation)
    corrupted = probability(spec.corrupt, spec.corrupt_correlation)
    p, d, c = dropped.expected, doubled, corrupted
    # Of a doubled packet that is lost the copy remains. The copy of one that is not goes the same way again:
    # it may be lost. Whoever gets through may be corrupted.
    expected = p * (1 - d) + c * ((1 - d) * (1 - p) + d * p) + d * (1 - p) * c * (p + (1 - p) * c)
    correlated = (spec.duplicate and spec.duplicate_correlation) or (
        spec.corrupt and spec.corrupt_correlation
    )
    return Share(dropped.asked, expected, dropped.independent and not correlated)


def duplication(spec: Spec) -> Share:
    """Return the share of messages that arrive twice."""
    d = probability(spec.duplicate, spec.duplicate_correlation)
    p = drop(spec).expected
    c = probability(spec.corrupt, spec.corrupt_correlation)
    independent = not (spec.duplicate_correlation or spec.corrupt_correlation) and drop(spec).independent
    return Share(spec.duplicate / U32, d * ((1 - p) * (1 - c)) ** 2, independent)


def sent_ahead(spec: Spec) -> Share:
    """Return the share of the packets not lost that go ahead of those that wait."""
    share = probability(spec.reorder, spec.reorder_correlation)
    if spec.gap > 1 and share:
        # gap - 1 packets are delayed for certain, then each goes ahead by chance until one has.
        share = 1 / (spec.gap - 1 + 1 / share)
    return Share(spec.reorder / U32, share, independent=spec.gap <= 1 and not spec.reorder_correlation)


def corruption(spec: Spec) -> Share:
    """Return the share of the packets not lost that have a bit turned over."""
    share = probability(spec.corrupt, spec.corrupt_correlation)
    return Share(spec.corrupt / U32, share, independent=not spec.corrupt_correlation)


def probability(value: int, correlation: int) -> float:
    """Return how often a draw of netem is at most `value`; both are shares of 2**32 - 1.

    A correlated draw is the mean of the last one and a fresh one, so draws gather in the middle: 10 % with a
    correlation of 25 % is 1.8 % in truth. (This is how every kernel does it.)
    """
    p, rho = value / U32, correlation / U32
    if not 0 < p < 1 or not rho:
        return p
    if rho >= 1:
        return math.nan  # all draws are the one before the first
    # Each draw is x' = (1 - rho) u + rho x, u from 0 to 1. Its distribution F is the fixed point of
    # F(y) = mean over u of F((y - (1 - rho) u) / rho), reached by repeating that: a mean over a window, which
    # is a difference of the integral of F.
    distribution = [i / GRID for i in range(GRID + 1)]
    for _ in range(min(200, math.ceil(math.log(1e-6) / math.log(rho)) + 1)):
        integral = [0.0]
        for i in range(GRID):
            integral.append(integral[-1] + (distribution[i] + distribution[i + 1]) / 2 / GRID)

        def up_to(x: float, integral: list[float] = integral) -> float:
            if x <= 0:
                return 0.0
            if x >= 1:
                return integral[-1] + (x - 1)  # above 1 the distribution is 1
            place, rest = divmod(x * GRID, 1)
            return integral[int(place)] + rest * (integral[int(place) + 1] - integral[int(place)])

        width = (1 - rho) / rho
        distribution = [
            (up_to(i / GRID / rho) - up_to(i / GRID / rho - width)) / width for i in range(GRID + 1)
        ]
    place, rest = divmod(p * GRID, 1)
    return distribution[int(place)] + rest * (distribution[int(place) + 1] - distribution[int(place)])


def drop(spec: Spec) -> Share:
    """Return the share of packets that the network loses, copies and all."""
    match spec.loss:
        case None:
            return Share(0.0, 0.0)
        case RandomLoss(value, correlation):
            return Share(value / U32, probability(value, correlation), independent=not correlation)
        case GilbertElliott(p, r, h, k1):
            bad = p / (p + r) if p + r else 0.0
            return Share(None, bad * (1 - h / U32) + (1 - bad) * k1 / U32, independent=False)
        case StateLoss():
            return Share(None, _state_loss(spec.loss), independent=False)


def _state_loss(chain: StateLoss) -> float:
    """Return the stationary share of the states 3 and 4, reached from state 1."""
    p13, p31, p32, p23, p14 = (
        value / U32 for value in (chain.p13, chain.p31, chain.p32, chain.p23, chain.p14)
    )
    # Of overlapping chances the kernel takes the first: p14 before p13, p32 before p31.
    p13, p31 = min(p13, 1 - p14), min(p31, 1 - p32)
    if not p13:
        return p14 / (1 + p14)  # the burst is never reached
    if p32 and not p23:
        return 0.0  # state 2, which loses nothing, is never left
    in_burst = 1 + (p32 / p23 if p23 else 0.0)  # states 3 and 2, as multiples of state 3
    if not p31:
        return 1 / in_burst  # the burst is never left
    three_to_one = p13 / p31
    total = 1 + p14 + three_to_one * in_burst
    return (three_to_one + p14) / total
