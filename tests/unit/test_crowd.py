"""The figures of a crowd of clients."""

import pytest
from crowd import figures, percentile


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        pytest.param([5.0], 95, 5.0, id="of-one"),
        pytest.param([float(n) for n in range(1, 101)], 95, 95.0, id="of-a-hundred"),
        pytest.param([3.0, 1.0, 2.0], 50, 2.0, id="in-any-order"),
        pytest.param([3.0, 1.0], 0, 1.0, id="the-smallest"),
        pytest.param([3.0, 1.0], 100, 3.0, id="the-largest"),
    ],
)
def test_percentile(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_figures_of_a_round() -> None:
    assert figures([0.001, 0.002, 0.006], 0.1) == {
        "answered": 3,
        "median_ms": 2.0,
        "p95_ms": 6.0,
        "answers_per_s": 60.0,
    }


def test_a_round_without_answers_has_no_times() -> None:
    assert figures([], 5.0) == {"answered": 0}
