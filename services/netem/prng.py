"""The kernel's pseudo-random numbers: the same seed gives the same draws as in its netem.

L'Ecuyer's maximally equidistributed combined Tausworthe generator (lfsr113): four shift registers of 32 bits,
combined by exclusive or; a step of each takes a bit mask and three shifts.

Source: P. L'Ecuyer, "Tables of maximally equidistributed combined LFSR generators", Mathematics of
Computation 68 (1999); seeding and use as in the kernel's lib/random32.c, include/linux/prandom.h and
net/sched/sch_netem.c.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

U32 = 2**32 - 1
SMALLEST = (2, 8, 16, 128)  # the upper bits of a register must not all be zero

Draw: TypeAlias = Callable[[], int]  # the next number, 0 to 2**32 - 1


def generator(seed: int) -> Draw:
    """Return the draws that follow from a seed of up to 64 bits."""
    folded = (seed >> 32 ^ seed << 10 ^ seed) & U32
    return registers(*(folded + least if folded < least else folded for least in SMALLEST)).__next__


def registers(a: int, b: int, c: int, d: int) -> Iterator[int]:
    """Yield the numbers that follow from what the four registers contain."""
    # The masks take off what a 32-bit register would lose when shifted.
    while True:
        a = (a & 0x3FFE) << 18 ^ (a << 6 & U32 ^ a) >> 13
        b = (b & 0x3FFFFFF8) << 2 ^ (b << 2 & U32 ^ b) >> 27
        c = (c & 0x1FFFFF0) << 7 ^ (c << 13 & U32 ^ c) >> 21
        d = (d & 0x7FF80) << 13 ^ (d << 3 & U32 ^ d) >> 12
        yield a ^ b ^ c ^ d


def correlated(draw: Draw, correlation: int, last: int) -> Draw:
    """Return draws of which each depends on the one before.

    Args:
        draw: the independent numbers.
        correlation: how much of the last goes into the next, a share of 2**32 - 1; 0: independent numbers.
        last: the one before the first.
    """
    if not correlation:
        return draw
    old = correlation + 1
    new = 2**32 - old

    def next_one() -> int:
        nonlocal last
        last = (draw() * new + last * old) >> 32
        return last

    return next_one
