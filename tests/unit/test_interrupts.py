"""What must not be left half done: a signal waits for its end, a second one does not."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import pytest

from socketlab.cli.shared_options import terminated_like_interrupted
from socketlab.errors import Exit
from socketlab.hosts.interrupts import undisturbed


@pytest.fixture(autouse=True)
def at_a_terminal() -> Iterator[None]:
    """A command in the background of a script is started with Ctrl-C ignored; these tests are, too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def done() -> list[str]:
    """What has been done."""
    return []


def work(done: list[str], *signals: signal.Signals) -> None:
    """Be interrupted at work, so often."""
    with undisturbed():
        for number in signals:
            signal.raise_signal(number)
            done.append("went on")


def test_interrupt_waits_until_the_body_is_over(done: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        work(done, signal.SIGINT)
    assert done == ["went on"]


def test_termination_waits_too_and_ends_as_it_would_have(done: list[str]) -> None:
    with pytest.raises(SystemExit) as ended, terminated_like_interrupted():
        work(done, signal.SIGTERM)
    assert (done, ended.value.code) == (["went on"], Exit.TERMINATED)


def test_who_presses_twice_does_not_wait(done: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        work(done, signal.SIGINT, signal.SIGINT)
    assert done == ["went on"]


def test_what_is_inside_waits_for_what_is_around_it(done: list[str]) -> None:
    def around() -> None:
        with undisturbed():
            work(done, signal.SIGINT)
            done.append("around")

    with pytest.raises(KeyboardInterrupt):
        around()
    assert done == ["went on", "around"]


def test_handlers_are_as_before_whatever_happens() -> None:
    def mine(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError

    def fail() -> None:
        with undisturbed():
            raise ValueError("why")

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with pytest.raises(ValueError, match="why"):
            fail()
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_ignored_stays_so(done: list[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work(done, signal.SIGINT, signal.SIGINT)
    assert done == ["went on", "went on"]


def test_another_thread_gets_no_signals_anyway(done: list[str]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work, done).result()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
