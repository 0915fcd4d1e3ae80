"""The arithmetic: intervals, shares that an impairment comes to, reordering, quantiles."""

import random
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketlab.analyse.delays import quantiles
from socketlab.analyse.intervals import at_most, interval
from socketlab.analyse.reordering import extents
from socketlab.errors import TraceError


def at_least(k: int, n: int, p: float) -> float:
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_interval_ends_where_chance_would_be_half_in_a_thousand(trial: tuple[int, int]) -> None:
    k, n = trial
    found = interval(k, n)
    # Clopper and Pearson: at its ends, to see so many or more (fewer) has the chance 0.05 %.
    if k:
        assert at_least(k, n, found.low) == pytest.approx(0.0005, rel=1e-6)
    else:
        assert found.low == 0
    if k < n:
        assert 1 - at_least(k + 1, n, found.high) == pytest.approx(0.0005, rel=1e-6)
    else:
        assert found.high == 1
    assert k / n in found


def test_interval_of_the_documented_example() -> None:
    found = interval(970, 10_000)
    assert (round(100 * found.low, 1), round(100 * found.high, 1)) == (8.8, 10.7)


def test_interval_of_no_trial_says_nothing() -> None:
    assert (interval(0, 0).low, interval(0, 0).high) == (0, 1)


@given(st.integers(0, 40), st.floats(0, 1))
def test_more_than_at_most_happens_once_in_a_million_runs(of: int, chance: float) -> None:
    most = at_most(of, chance)
    assert at_least(most + 1, of, chance) <= 1.001e-6
    assert most == 0 or at_least(most, of, chance) > 0.999e-6


# --- reordering


@pytest.mark.parametrize(
    ("arrivals", "late"),
    [
        pytest.param([], {}, id="none"),
        pytest.param([1, 2, 5, 9], {}, id="gaps-are-no-disorder"),
        pytest.param([1, 2, 4, 5, 3], {3: 2}, id="rfc-4737-example"),
        pytest.param([2, 1, 4, 3], {1: 1, 3: 1}, id="pairs"),
        pytest.param([5, 1, 2, 3], {1: 1, 2: 2, 3: 3}, id="one-far-ahead"),
    ],
)
def test_extents_are_those_of_rfc_4737(arrivals: list[int], late: dict[int, int]) -> None:
    assert extents(arrivals) == late


@given(st.lists(st.integers(1, 40), unique=True))
def test_extent_is_the_distance_to_the_first_larger_one(arrivals: list[int]) -> None:
    found = extents(arrivals)
    for place, number in enumerate(arrivals):
        earlier = [i for i in range(place) if arrivals[i] > number]
        assert found.get(number) == (place - earlier[0] if earlier else None)


def test_extents_refuse_a_number_twice() -> None:
    with pytest.raises(TraceError, match="each sequence number once"):
        extents([1, 2, 1])


# --- delays


def test_quantiles_are_values_that_were_measured() -> None:
    numbers = random.Random(1).sample(range(1, 102), 101)  # noqa: S311 - an order, no secret
    found = quantiles(numbers)
    assert found is not None
    assert (found.least, found.median, found.p95, found.most) == (1, 51, 96, 101)
    assert found.variation_p95 == 95


def test_median_of_an_even_number_is_the_mean_of_the_two_in_the_middle() -> None:
    found = quantiles([100, 110, None, 90, 500])  # the example of RFC 7679, of those that arrived
    assert found is not None
    assert (found.count, found.median) == (4, 105)


def test_steps_are_from_one_message_to_the_next() -> None:
    found = quantiles([10, 14, 8])
    assert found is not None
    assert found.step_mean == 5


def test_no_step_leads_over_a_lost_message() -> None:
    found = quantiles([10, 14, None, 100, 101, None, 7])
    assert found is not None
    assert (found.count, found.step_mean) == (5, 2)  # 4 and 1; from 14 to 100 and from 101 to 7 there is none


@pytest.mark.parametrize("delays", [[5], [None, 5, None], [5, None, 5]])
def test_without_two_neighbours_there_is_no_step(delays: list[int | None]) -> None:
    found = quantiles(delays)
    assert found is not None
    assert found.step_mean is None


@pytest.mark.parametrize("delays", [[], [None, None]])
def test_quantiles_of_nothing_are_none(delays: list[int | None]) -> None:
    assert quantiles(delays) is None
