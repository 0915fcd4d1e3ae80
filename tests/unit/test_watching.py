"""Looking at a host until something is so."""

import pytest

from socketlab.hosts import watching
from socketlab.hosts.watching import LOOKS, WITHIN_S, until


class Clock:
    """Time that passes only while one sleeps, or looks."""

    def __init__(self, look_s: float) -> None:
        self.now_s, self.looks, self._look_s = 0.0, 0, look_s

    def monotonic(self) -> float:
        """Return the time."""
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds

    def look(self) -> float:
        """Look at something that takes its time; return when that was."""
        self.looks += 1
        self.now_s += self._look_s
        return self.now_s


def clock(monkeypatch: pytest.MonkeyPatch, look_s: float) -> Clock:
    """Have such a clock in the place of the real one."""
    made = Clock(look_s)
    monkeypatch.setattr(watching, "time", made)
    return made


def test_until_returns_the_first_that_is_wanted() -> None:
    seen = iter([0, 0, 3, 4])
    assert until(lambda: next(seen), lambda value: value > 2) == 3
    assert next(seen) == 4


def test_until_returns_what_was_seen_last_when_the_time_is_up() -> None:
    assert until(lambda: 0, lambda value: value > 2, within_s=0.01) == 0


def test_until_looks_once_at_least() -> None:
    assert until(lambda: 3, lambda value: value > 2, within_s=0) == 3


def test_until_gives_up_on_a_quick_host_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = clock(monkeypatch, look_s=0.001)
    until(quick.look, lambda _now: False)
    assert WITHIN_S <= quick.now_s < WITHIN_S * 1.1
    assert LOOKS <= quick.looks < 2 * LOOKS  # and takes little of the processor for that


def test_until_waits_longer_for_a_host_that_is_slow_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = clock(monkeypatch, look_s=0.1)
    assert until(slow.look, lambda now: now > 3 * WITHIN_S) > 3 * WITHIN_S
    until(slow.look, lambda _now: False)
    assert slow.looks >= LOOKS


@pytest.mark.parametrize("after_s", [0.01, 0.1, 1.0])
def test_until_sees_soon_what_has_come(monkeypatch: pytest.MonkeyPatch, after_s: float) -> None:
    quick = clock(monkeypatch, look_s=0.001)
    assert until(quick.look, lambda now: now >= after_s) <= after_s * 1.1 + 0.005
