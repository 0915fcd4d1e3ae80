"""What an impairment comes to: which shares of messages are lost, doubled, sent ahead, in the long run.

The spec names chances of packets. What happens to a message follows from them, but is not always the same
number: a doubled datagram is lost only if both copies are, correlated draws lose less than they name, loss
with states loses what its stationary distribution says, and a copy draws a number of its own, so that the
states go on faster where packets are doubled.

Each option decides by a chain: a state, and for each step the chance of yes or no together with the next
state. Without correlation there is one state. With correlation x' = (1 - rho) u + rho x, with u from 0 to 1
at random: its states are intervals of x (Ulam's method).

Source of the order of decisions: netem_enqueue(), as in `services/netem/model.py`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from netem_impairment import GilbertElliott, RandomLoss, Spec, StateLoss

from socketlab.analyse import chains
from socketlab.analyse.chains import Matrix
from socketlab.analyse.corruption import Flips

U32 = 2**32 - 1
DEVIATIONS = 6.5  # of correlated draws from their mean: beyond these there are none worth counting
FINENESS = 16  # intervals within the width of the fresh part of a draw: an error of less than 0.0002
MOST_INTERVALS = 800
BESIDE = 36  # intervals where two correlated options act on each other: an error of less than 0.005


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


def loss(spec: Spec, flips: Flips) -> Share:
    """Return the share of messages that do not arrive: lost, or corrupted and therefore thrown away."""
    fates = _fates(spec)
    once, both = _dead(spec, flips)
    expected = fates.lost + (fates.passed + fates.left + fates.copy_lost) * once + fates.doubled * both
    return Share(_asked(spec), expected, _independent(spec))


def duplication(spec: Spec, flips: Flips) -> Share:
    """Return the share of messages that arrive twice."""
    once, both = _dead(spec, flips)
    expected = _fates(spec).doubled * (1 - 2 * once + both)
    return Share(spec.duplicate / U32, expected, _independent(spec))


def packet_loss(spec: Spec, *, copies_counted: bool) -> Share:
    """Return the share of packets, copies included, that the network loses, as an engine counts.

    Of a doubled packet that is lost the copy remains: two packets, one lost, to an engine that counts its
    copies; one packet that passes to one that does not (the kernel). Where that makes trials depend on each
    other, they vary less than independent ones: an interval for these is on the safe side.
    """
    fates = _fates(spec)
    lost, packets = fates.lost + fates.copy_lost, 1 + fates.copy_lost + fates.doubled
    if copies_counted:
        lost, packets = lost + fates.left, packets + fates.left
    return Share(_asked(spec), lost / packets, not _has_memory(spec.loss))


def corruption(spec: Spec) -> Share:
    """Return the share of the packets not lost that have a bit turned over."""
    once, _twice = _again(_correlated(spec.corrupt, spec.corrupt_correlation))
    return Share(spec.corrupt / U32, once, independent=not spec.corrupt_correlation)


def death_by_corruption(spec: Spec, flips: Flips) -> Share:
    """Return the share of the packets not lost that do not arrive because of a bit turned over."""
    share = corruption(spec)
    return Share(share.asked, share.expected * flips.deadly, share.independent)


def sent_ahead(spec: Spec) -> Share:
    """Return the share of the packets not lost that go ahead of those that wait."""
    gap = max(1, spec.gap)
    share, _twice = _again(_correlated(spec.reorder, spec.reorder_correlation))
    # gap - 1 packets are delayed for certain, then each goes ahead by chance until one has.
    expected = 1 / (gap - 1 + 1 / share) if share else 0.0
    if spec.reorder_correlation == U32:
        expected = share / gap  # one draw for all: each gap-th goes ahead, or none does
    independent = gap == 1 and not spec.reorder_correlation
    return Share(spec.reorder / U32, expected, independent)


def _asked(spec: Spec) -> float | None:
    match spec.loss:
        case None:
            return 0.0
        case RandomLoss(value):
            return value / U32
        case _:
            return None


def _has_memory(loss: object) -> bool:
    return loss is not None and not (isinstance(loss, RandomLoss) and not loss.correlation)


def _independent(spec: Spec) -> bool:
    return not (
        _has_memory(spec.loss)
        or (spec.duplicate and spec.duplicate_correlation)
        or (spec.corrupt and spec.corrupt_correlation)
    )


def _dead(spec: Spec, flips: Flips) -> tuple[float, float]:
    """Return the chance that a packet dies of corruption, and that a packet and its copy both do.

    How often numbers are drawn for it depends on duplication and loss, which numbers does not.
    """
    once, twice = _again(_correlated(spec.corrupt, spec.corrupt_correlation))
    return once * flips.deadly, twice * flips.deadly**2


# --- chains


@dataclass(frozen=True)
class _Chain:
    """What decides yes or no, again and again.

    Attributes:
        yes, no: the chance of this answer and of the next state (column), in each state (row).
        start: the chance of each state in the beginning.
    """

    yes: Matrix
    no: Matrix
    start: Sequence[float]


@dataclass(frozen=True)
class _Fates:
    """What becomes of a message by duplication and loss; the chances add up to 1.

    Attributes:
        lost: not doubled, and lost.
        passed: neither.
        left: doubled and lost: the copy remains, and draws no number for its own loss.
        copy_lost: doubled and not lost, but its copy is.
        doubled: and neither of the two is lost.
    """

    lost: float
    passed: float
    left: float
    copy_lost: float
    doubled: float


def _fates(spec: Spec) -> _Fates:
    both = isinstance(spec.loss, RandomLoss) and spec.loss.correlation and spec.duplicate_correlation
    most = BESIDE if both else MOST_INTERVALS
    doubling, losing = _correlated(spec.duplicate, spec.duplicate_correlation, most), _loss(spec, most)
    lost, kept = chains.sums(losing.yes), chains.sums(losing.no)
    # A packet that is doubled and not lost is followed by its copy, which draws next.
    copy_lost, copy_kept = (chains.after(losing.no, fates) for fates in (lost, kept))
    step = chains.plus(losing.yes, losing.no)
    twice = chains.plus(losing.yes, chains.times(losing.no, step))
    usual = chains.of_two(
        ((doubling.no, step), (doubling.yes, twice)), doubling.start, losing.start, settle=bool(both)
    )
    single, double = chains.sums(doubling.no), chains.sums(doubling.yes)

    def share(answer: Sequence[float], fate: Sequence[float]) -> float:
        return sum(
            chance * answer[one] * fate[other]
            for one, row in enumerate(usual)
            for other, chance in enumerate(row)
        )

    return _Fates(
        lost=share(single, lost),
        passed=share(single, kept),
        left=share(double, lost),
        copy_lost=share(double, copy_lost),
        doubled=share(double, copy_kept),
    )


def _again(chain: _Chain) -> tuple[float, float]:
    """Return the chance of a yes, and of two in a row, in the long run."""
    usual = chains.of_one(chains.plus(chain.yes, chain.no), chain.start)
    yes = chains.sums(chain.yes)
    return chains.dot(usual, yes), chains.dot(usual, chains.after(chain.yes, yes))


def _loss(spec: Spec, most: int) -> _Chain:
    match spec.loss:
        case None:
            return _independently(0.0)
        case RandomLoss(value, correlation):
            return _correlated(value, correlation, most)
        case GilbertElliott():
            p, r, h, k1 = (value / U32 for value in (spec.loss.p, spec.loss.r, spec.loss.h, spec.loss.k1))
            # Good, bad. The state before the step decides.
            steps, lost = [[1 - p, p], [r, 1 - r]], (k1, 1 - h)
            return _Chain(
                [[chance * lost[state] for chance in row] for state, row in enumerate(steps)],
                [[chance * (1 - lost[state]) for chance in row] for state, row in enumerate(steps)],
                (1.0, 0.0),
            )
        case StateLoss():
            return _four_states(spec.loss)


def _four_states(loss: StateLoss) -> _Chain:
    """Return the chain whose states 3 and 4 lose: the state after the step decides."""
    # One number is compared with a chance and with a sum, which the kernel takes in 32 bits: beyond 1 it is
    # small again, and the second comparison is never true.
    p13 = max(0, (loss.p13 + loss.p14) % (U32 + 1) - loss.p14)
    p31 = max(0, (loss.p31 + loss.p32) % (U32 + 1) - loss.p32)
    chances = (p13, loss.p14, loss.p23, p31, loss.p32)
    p13_, p14, p23, p31_, p32 = (value / U32 for value in chances)
    lose = [[0.0, 0.0, p13_, p14], [0.0, 0.0, p23, 0.0], [0.0, 0.0, 1 - p31_ - p32, 0.0], [0.0] * 4]
    keep = [
        [1 - p13_ - p14, 0.0, 0.0, 0.0],
        [0.0, 1 - p23, 0.0, 0.0],
        [p31_, p32, 0.0, 0.0],
        [1.0, 0.0, 0.0, 0.0],
    ]
    return _Chain(lose, keep, (1.0, 0.0, 0.0, 0.0))


def _independently(chance: float) -> _Chain:
    return _Chain([[chance]], [[1 - chance]], [1.0])


def _correlated(value: int, correlation: int, most: int = MOST_INTERVALS) -> _Chain:
    """Return what draws of netem decide that are correlated: yes where a draw is at most `value`.

    Args:
        value: a share of 2**32 - 1.
        correlation: how much of the last draw goes into the next one, the same.
        most: intervals that the draws are sorted into.
    """
    p, rho = value / U32, correlation / U32
    if not 0 < p < 1 or not rho:
        return _independently(p)
    if correlation == U32:  # all draws are the one before the first
        return _Chain([[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]], [p, 1 - p])
    deviation = (1 - rho) / math.sqrt(12 * (1 - rho**2))
    low, high = max(0.0, 0.5 - DEVIATIONS * deviation), min(1.0, 0.5 + DEVIATIONS * deviation)
    count = min(most, math.ceil(FINENESS * (high - low) / (1 - rho)))
    width = (high - low) / count
    inner = {low + width * place for place in range(count + 1)}
    ends = sorted({0.0, p, 1.0} | {end for end in inner if abs(end - p) > width / 100})
    # Where in its interval x was is forgotten: that widens the distribution by a sixth of the square of the
    # interval. The fresh part gives back so much.
    fresh = math.sqrt(max((1 - rho) ** 2 - 2 * (rho * width) ** 2, width**2))
    shift = (1 - rho - fresh) / 2
    rows = []
    for first, last in pairwise(ends):
        # The sum of two that are uniform: rho x, with x in this interval, and the fresh part.
        start, stop, step = rho * first + shift, rho * last + shift, rho * (last - first) * fresh
        below = [
            (_ramp(end - start) - _ramp(end - stop) - _ramp(end - start - fresh) + _ramp(end - stop - fresh))
            / step
            for end in ends[1:-1]
        ]
        rows.append([above - under for under, above in pairwise([0.0, *below, 1.0])])
    split = ends.index(p)
    rest = len(rows) - split
    return _Chain(
        [row[:split] + [0.0] * rest for row in rows],
        [[0.0] * split + row[split:] for row in rows],
        [1 / len(rows)] * len(rows),
    )


def _ramp(x: float) -> float:
    return max(x, 0.0) ** 2 / 2
