"""Reordering, as RFC 4737 has it: who arrived late, and by how much."""

from bisect import bisect_right
from collections.abc import Sequence

from socketlab.errors import TraceError


def extents(arrivals: Sequence[int]) -> dict[int, int]:
    """Return the extent of each number that arrived out of order.

    A number is out of order when a larger one arrived before it. Its extent is how many places it is behind
    the first of these: so much room a receiver needs to put it back where it belongs.

    Args:
        arrivals: sequence numbers in the order of their arrival, each once (of copies, the first).

    Raises:
        TraceError: a number appears twice.

    Source: RFC 4737, sections 3.3 and 4.2.
    """
    if len(set(arrivals)) != len(arrivals):
        raise TraceError("expected each sequence number once in the order of arrival, got one twice")
    found: dict[int, int] = {}
    largest: list[int] = []  # so far, at each place: it never falls, so the first larger one can be searched
    for place, number in enumerate(arrivals):
        if largest and number < largest[-1]:
            found[number] = place - bisect_right(largest, number)
        largest.append(max(number, largest[-1]) if largest else number)
    return found
