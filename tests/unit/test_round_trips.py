"""How long the stream waits before it asks again: RFC 6298."""

import pytest
from round_trips import FIRST_S, LEAST_S, MOST_S, RoundTrips


def measured(*round_trips_s: float) -> RoundTrips:
    found = RoundTrips()
    for one in round_trips_s:
        found.measured(one)
    return found


def test_before_anything_is_measured_it_is_a_second() -> None:
    assert RoundTrips().wait_s(1) == FIRST_S


def test_the_first_round_trip_counts_three_times() -> None:
    # SRTT = R, RTTVAR = R / 2, RTO = SRTT + 4 * RTTVAR: RFC 6298, (2.2).
    assert measured(0.1).wait_s(1) == pytest.approx(0.3)


def test_later_ones_count_an_eighth() -> None:
    # RTTVAR = 3/4 * 0.05 + 1/4 * |0.1 - 0.2| = 0.0625, SRTT = 7/8 * 0.1 + 1/8 * 0.2 = 0.1125: (2.3).
    assert measured(0.1, 0.2).wait_s(1) == pytest.approx(0.1125 + 4 * 0.0625)


def test_wait_is_bounded() -> None:
    assert measured(*[0.001] * 50).wait_s(1) == LEAST_S
    assert measured(30.0).wait_s(1) == MOST_S


def test_each_try_waits_twice_as_long() -> None:
    found = measured(*[0.001] * 50)
    assert [found.wait_s(tries) for tries in (1, 2, 3, 4)] == pytest.approx([0.2, 0.4, 0.8, MOST_S])
