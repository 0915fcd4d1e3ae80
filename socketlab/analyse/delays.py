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
        step_mean: the mean difference of one to the next, its sign left out (RFC 3393: IPDV); None: no two
            neighbours arrived.
    """

    count: int
    least: int
    median: int
    p95: int
    most: int
    variation_p95: int
    step_mean: int | None


def quantiles(delays: Sequence[int | None]) -> Quantiles | None:
    """Return the quantiles of delays; None where there is none.

    Args:
        delays: of all packets of the stream, in the order of sending; None: this one has none, it was lost.

    Source: a quantile is one of the values, the median of an even number the mean of the two in the middle
    (RFC 7679, sections 5.1 and 5.2), here of those that arrived (RFC 6703, section 5). A step is from one
    packet of the stream to the next: where one of the two was lost there is none (RFC 3393, section 2).
    """
    ordered = sorted(delay for delay in delays if delay is not None)
    if not ordered:
        return None

    def quantile(share: float) -> int:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    steps = [abs(b - a) for a, b in pairwise(delays) if a is not None and b is not None]
    return Quantiles(
        count=len(ordered),
        least=ordered[0],
        median=(quantile(0.5) + ordered[len(ordered) // 2]) // 2,
        p95=quantile(0.95),
        most=ordered[-1],
        variation_p95=quantile(0.95) - ordered[0],
        step_mean=round(sum(steps) / len(steps)) if steps else None,
    )
