"""The arithmetic: intervals, shares that an impairment comes to, reordering, quantiles."""

import random
from collections.abc import Callable
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from impairment import Spec, parse
from model import Model

from socketlab.analyse import asked
from socketlab.analyse.delays import quantiles
from socketlab.analyse.intervals import interval
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


# --- what an impairment comes to, against the model itself: seeded, so always the same


PACKETS = 100_000
# Four standard deviations of independent draws, and twice that where draws depend on each other.
SPECS = [
    pytest.param("loss 10%", 1, id="random"),
    pytest.param("loss 10% 25%", 2, id="correlated"),
    pytest.param("loss 40% 60%", 2, id="more-correlated"),
    pytest.param("loss gemodel 5% 30%", 2, id="gilbert"),
    pytest.param("loss gemodel 1% 10% 70% 0.1%", 2, id="gilbert-elliott"),
    pytest.param("loss state 1% 10% 70% 30% 0.1%", 2, id="four-states"),
    pytest.param("loss state 20%", 2, id="two-states"),
    pytest.param("loss state 0% 100% 0% 100% 5%", 2, id="gap-losses-alone"),
    pytest.param("loss 20% duplicate 30%", 1, id="doubled"),
]


@pytest.mark.parametrize(("text", "margin"), SPECS)
def test_expected_share_of_lost_messages_is_what_the_model_does(text: str, margin: int) -> None:
    spec = parse(f"{text} seed 7")
    model: Model[int] = Model(spec)
    lost = 0
    for number in range(PACKETS):
        if not model.enqueue(0, 100, number):
            lost += 1
        while model.dequeue(10**12) is not None:
            pass
    expected = asked.loss(spec).expected
    deviation = (expected * (1 - expected) / PACKETS) ** 0.5
    assert lost / PACKETS == pytest.approx(expected, abs=4 * margin * deviation)


@pytest.mark.parametrize(
    ("text", "counter", "share"),
    [
        pytest.param("delay 10ms reorder 25%", "reordered", asked.sent_ahead, id="ahead"),
        pytest.param("delay 10ms reorder 25% gap 5", "reordered", asked.sent_ahead, id="ahead-with-gap"),
        pytest.param("delay 10ms reorder 25% 50%", "reordered", asked.sent_ahead, id="ahead-correlated"),
        pytest.param("corrupt 5%", "corrupted", asked.corruption, id="corrupted"),
    ],
)
def test_expected_share_of_packets_is_what_the_model_does(
    text: str, counter: str, share: Callable[[Spec], asked.Share]
) -> None:
    spec = parse(f"{text} seed 7")
    model: Model[int] = Model(spec)
    for number in range(PACKETS):
        model.enqueue(0, 100, number)
        while model.dequeue(10**12) is not None:
            pass
    expected = share(spec).expected
    deviation = (expected * (1 - expected) / PACKETS) ** 0.5
    assert getattr(model.counters(), counter) / PACKETS == pytest.approx(expected, abs=8 * deviation)


def test_expected_share_of_doubled_messages_is_what_the_model_does() -> None:
    spec = parse("loss 20% duplicate 30% limit 300000 seed 7")
    model: Model[int] = Model(spec)
    copies = [model.enqueue(0, 100, number) for number in range(PACKETS)]
    expected = asked.duplication(spec).expected
    deviation = (expected * (1 - expected) / PACKETS) ** 0.5
    assert copies.count(2) / PACKETS == pytest.approx(expected, abs=4 * deviation)


def test_correlated_loss_is_far_less_than_asked() -> None:
    share = asked.loss(parse("loss 10% 25%"))
    assert share.asked == pytest.approx(0.1)
    assert not share.independent
    assert share.expected == pytest.approx(0.018, abs=0.001)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", 0, id="nothing"),
        pytest.param("loss 100%", 1, id="all"),
        pytest.param("loss 100% 50%", 1, id="all-correlated"),
        pytest.param("corrupt 100%", 1, id="all-corrupted"),
        pytest.param("duplicate 100%", 0, id="all-doubled"),
        pytest.param("loss gemodel 100% 0%", 1, id="always-bad"),
        pytest.param("loss state 100% 0% 0%", 1, id="burst-without-end"),
        pytest.param("loss state 10% 10% 10% 0%", 0, id="stuck-where-nothing-is-lost"),
    ],
)
def test_expected_share_at_the_ends(text: str, expected: float) -> None:
    assert asked.loss(parse(text)).expected == pytest.approx(expected, abs=1e-9)


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
    numbers = random.Random(1).sample(range(1, 101), 100)  # noqa: S311 - an order, no secret
    found = quantiles(numbers)
    assert found is not None
    assert (found.least, found.median, found.p95, found.most) == (1, 50, 95, 100)
    assert found.variation_p95 == 94


def test_steps_are_from_one_message_to_the_next() -> None:
    found = quantiles([10, 14, 8])
    assert found is not None
    assert found.step_mean == 5


def test_quantiles_of_nothing_are_none() -> None:
    assert quantiles([]) is None
