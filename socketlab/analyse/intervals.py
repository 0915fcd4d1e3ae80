"""How far a share may be from the chance behind it: the interval of Clopper and Pearson, which is exact."""

from dataclasses import dataclass

CONFIDENCE = 0.999


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`, as shares from 0 to 1."""

    low: float
    high: float

    def __contains__(self, share: float) -> bool:
        # The limits are computed: they may miss a share of exactly 0 or 1 by the last bit.
        return self.low - 1e-12 <= share <= self.high + 1e-12


def interval(happened: int, of: int, confidence: float = CONFIDENCE) -> Interval:
    """Return which chances explain that something happened so many times.

    Whatever the chance is, in `confidence` of all runs (or more of them) the interval holds it, if each trial
    is independent of the others.

    Args:
        happened: how often it did, from 0 to `of`.
        of: trials; of none, nothing can be said: 0 to 1.
        confidence: share of the runs in which the interval is right.

    Source: Clopper and Pearson, Biometrika 26 (1934), by the quantiles of the beta distribution.
    """
    # Here, not above: it takes a quarter of a second, which a command without a figure does not need.
    from scipy.special import betaincinv  # noqa: PLC0415

    tail = (1 - confidence) / 2
    low = float(betaincinv(happened, of - happened + 1, tail)) if happened else 0.0
    high = float(betaincinv(happened + 1, of - happened, 1 - tail)) if happened < of else 1.0
    return Interval(low, high)


def at_most(of: int, chance: float, odds: float = 1e-6) -> int:
    """Return how often something happens at most: more often in fewer than `odds` of all runs.

    Args:
        of: independent trials.
        chance: of each, from 0 to 1.
        odds: share of the runs in which it happens more often.

    Source: the upper tail of the binomial distribution, by the incomplete beta function.
    """
    from scipy.special import betainc  # noqa: PLC0415

    low, high = 0, of
    while low < high:
        middle = (low + high) // 2
        if betainc(middle + 1, of - middle, chance) <= odds:
            high = middle
        else:
            low = middle + 1
    return low
