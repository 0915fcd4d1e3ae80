"""Markov chains: in which state, and how often, in the long run.

A chain goes from state to state; a row of its matrix has the chances of the next states. The share of time in
each state is Abel's mean, x = (1 - f) x P + f s with a small f: it exists for all chains, also for those that
never leave a state or go round in a circle, and depends on the beginning s only where the chain does.

The chains of correlated draws have hundreds of states, of which each leads to a few that are near: the system
of equations is solved by elimination, which leaves such a band a band.
"""

from collections.abc import Sequence
from operator import add, mul, sub

FORGETS = 1e-9  # f: the mean over some 1 / f steps
SETTLED = 1e-7  # of all chances together: what a step may still change

Matrix = Sequence[Sequence[float]]
Vector = Sequence[float]


def dot(one: Vector, other: Vector) -> float:
    """Return the sum of the products."""
    return float(sum(map(mul, one, other)))


def sums(matrix: Matrix) -> list[float]:
    """Return the sum of each row."""
    return [sum(row) for row in matrix]


def after(matrix: Matrix, values: Vector) -> list[float]:
    """Return for each state the mean of the values that its next states have."""
    return [dot(row, values) for row in matrix]


def plus(one: Matrix, other: Matrix) -> list[list[float]]:
    """Return the sum of two matrices."""
    return [list(map(add, *rows)) for rows in zip(one, other, strict=True)]


def times(one: Matrix, other: Matrix) -> list[list[float]]:
    """Return the product of two matrices."""
    near = [_leads(row) for row in other]
    product = []
    for row in one:
        total = [0.0] * len(other[0])
        for at, chance in _leads(row):
            for to, more in near[at]:
                total[to] += chance * more
        product.append(total)
    return product


def _leads(row: Vector) -> list[tuple[int, float]]:
    """Return to which states a row leads, and with which chance."""
    return [(to, chance) for to, chance in enumerate(row) if chance]


def of_one(step: Matrix, start: Vector) -> list[float]:
    """Return the share of time that a chain spends in each state.

    Args:
        step: its matrix, whose rows add up to 1.
        start: the chance of each state in the beginning.
    """
    return [row[0] for row in of_two(((step, [[1.0]]),), start, [1.0])]


def of_two(
    terms: Sequence[tuple[Matrix, Matrix]], start: Vector, other: Vector, *, settle: bool = False
) -> list[list[float]]:
    """Return the share of time that two chains spend in each pair of states.

    Args:
        terms: the step of both is the sum of these products: of a matrix of the first and one of the other.
        start: the chance of each state of the first in the beginning.
        other: of each state of the other.
        settle: by going on until nothing changes, and not by elimination: for two with many states each, of
            which each soon forgets its beginning.
    """
    if settle:
        return _settled(terms, [[one * two for two in other] for one in start])
    width = len(other)
    # The equations, a row for each pair of states: what comes to it from others.
    rows: list[dict[int, float]] = [{at: 1.0} for at in range(len(start) * width)]
    for first, second in terms:
        near = [_leads(row) for row in second]
        for one, leads in enumerate(first):
            for to, chance in _leads(leads):
                for two, others in enumerate(near):
                    at = one * width + two
                    for then, more in others:
                        row = rows[to * width + then]
                        row[at] = row.get(at, 0.0) - (1 - FORGETS) * chance * more
    usual = _solved(rows, [FORGETS * one * two for one in start for two in other])
    whole = sum(usual)
    return [[share / whole for share in usual[at : at + width]] for at in range(0, len(usual), width)]


def _solved(rows: list[dict[int, float]], right: list[float]) -> list[float]:
    """Solve equations by elimination. No pivot is looked for: in each column the diagonal is the largest."""
    below: list[set[int]] = [set() for _row in rows]
    for number, row in enumerate(rows):
        for column in row:
            if column < number:
                below[column].add(number)
    for column, pivot in enumerate(rows):
        for number in below[column]:
            row = rows[number]
            factor = row.pop(column) / pivot[column]
            right[number] -= factor * right[column]
            for place, value in pivot.items():
                if place > column:
                    if place not in row and place < number:
                        below[place].add(number)
                    row[place] = row.get(place, 0.0) - factor * value
    for column in range(len(rows) - 1, -1, -1):
        known = sum(value * right[place] for place, value in rows[column].items() if place > column)
        right[column] = (right[column] - known) / rows[column][column]
    return right


def _settled(terms: Sequence[tuple[Matrix, Matrix]], shares: list[list[float]]) -> list[list[float]]:
    """Go on from some shares of pairs of states until a step changes nothing."""
    turned = [(list(zip(*first, strict=True)), list(zip(*second, strict=True))) for first, second in terms]
    while True:
        then = [[0.0] * len(shares[0]) for _row in shares]
        for first, second in turned:
            across = [[dot(row, column) for column in second] for row in shares]
            columns = list(zip(*across, strict=True))
            for into, leads in zip(then, first, strict=True):
                for place, column in enumerate(columns):
                    into[place] += dot(leads, column)
        change = sum(sum(map(abs, map(sub, *rows))) for rows in zip(then, shares, strict=True))
        shares = then
        if change < SETTLED:
            return shares
