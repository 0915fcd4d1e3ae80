"""Looking at a host until something is so."""

from socketlab.run.watching import until


def test_until_returns_the_first_that_is_wanted() -> None:
    seen = iter([0, 0, 3, 4])
    assert until(lambda: next(seen), lambda value: value > 2) == 3
    assert next(seen) == 4


def test_until_returns_what_was_seen_last_when_the_time_is_up() -> None:
    assert until(lambda: 0, lambda value: value > 2, within_s=0.01) == 0


def test_until_looks_once_at_least() -> None:
    assert until(lambda: 3, lambda value: value > 2, within_s=0) == 3
