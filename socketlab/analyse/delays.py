"""Quantiles of delays, and how they vary. All in nanoseconds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Quantiles:
    """Of some delays.

    Attributes:
        count: how many there are.
        least: the shortest.
        median, p95: that 50 and 95 of 100 do not exceed.
        most: the longest.
        variation_p95: what 95 of 100 do not exceed, of the delay above the shortest (RFC 5481: PDV).
        step_mean: the mean difference of one to the next, its sign left out (RFC 3393: IPDV).
    """

    count: int
    least: int
    median: int
    p95: int
    most: int
    variation_p95: int
    step_mean: int


def quantiles(delays: Sequence[int]) -> Quantiles | None:
    """Return the quantiles of delays, given in the order of sending; None where there is none.

    Source: a quantile is one of the values (RFC 2330, section 11.3).
    """
    if not delays:
        return None
    ordered = sorted(delays)

    def quantile(share: float) -> int:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    steps = [abs(b - a) for a, b in pairwise(delays)]
    return Quantiles(
        count=len(ordered),
        least=ordered[0],
        median=quantile(0.5),
        p95=quantile(0.95),
        most=ordered[-1],
        variation_p95=quantile(0.95) - ordered[0],
        step_mean=round(sum(steps) / len(steps)) if steps else 0,
    )
