"""How far a share may be from the chance behind it: the interval of Clopper and Pearson, which is exact."""

import math
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

    Source: Clopper and Pearson, Biometrika 26 (1934).
    """
    tail = (1 - confidence) / 2
    return Interval(_least_chance(happened, of, tail), 1 - _least_chance(of - happened, of, tail))


def at_most(of: int, chance: float, odds: float = 1e-6) -> int:
    """Return how often something happens at most: more often in fewer than `odds` of all runs.

    Args:
        of: independent trials.
        chance: of each, from 0 to 1.
        odds: share of the runs in which it happens more often.

    Source: the upper tail of the binomial distribution.
    """
    if chance in {0, 1}:
        return round(of * chance)
    low, high = 0, of
    while low < high:
        middle = (low + high) // 2
        if _at_least(middle + 1, of, chance) <= odds:
            high = middle
        else:
            low = middle + 1
    return low


def _least_chance(happened: int, of: int, tail: float) -> float:
    """Return the chance with which at least so many of some trials happen in just a tail's share of runs."""
    low, high = 0.0, happened / of if of else 0.0
    while low < (middle := (low + high) / 2) < high:
        if _at_least(happened, of, middle) < tail:
            low = middle
        else:
            high = middle
    return high


def _at_least(happened: int, of: int, chance: float) -> float:
    """Return the probability of at least so many, for a chance between 0 and 1."""
    if happened <= of * chance:  # the other tail is the short one
        return 1 - _at_least(of - happened + 1, of, 1 - chance) if happened else 1.0
    ways = math.lgamma(of + 1) - math.lgamma(happened + 1) - math.lgamma(of - happened + 1)
    term = total = math.exp(ways + happened * math.log(chance) + (of - happened) * math.log1p(-chance))
    for number in range(happened, of):
        term *= (of - number) / (number + 1) * chance / (1 - chance)
        total += term
        if term < total * 1e-17:  # each is a smaller part of the one before
            break
    return total
