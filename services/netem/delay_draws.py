"""How long packets wait: the kernel's distributions, draw by draw.

Source: tabledist() of the kernel's net/sched/sch_netem.c.
"""

from collections.abc import Callable, Sequence

from netem_impairment import Spec
from prng import Draw

TABLE_SCALE = 8192  # NETEM_DIST_SCALE: the unit of a distribution's table is the jitter / 8192


def delays(spec: Spec, draw: Draw, table: Sequence[int] | None) -> Callable[[], int]:
    """Return the delays, in nanoseconds; with a large jitter one may be negative: then it is due at once."""
    mean, jitter = spec.delay_ns, spec.jitter_ns
    if not jitter:
        return lambda: mean
    if not spec.distribution or table is None:
        return lambda: draw() % (2 * jitter) + mean - jitter

    size = len(table)
    whole, rest = divmod(jitter, TABLE_SCALE)
    half = TABLE_SCALE // 2

    def delay() -> int:
        deviation = table[draw() % size]
        product = rest * deviation
        # Rounded, halves away from zero: C divides towards zero.
        rounded = (product + half) // TABLE_SCALE if product >= 0 else -((half - product) // TABLE_SCALE)
        return rounded + whole * deviation + mean

    return delay
