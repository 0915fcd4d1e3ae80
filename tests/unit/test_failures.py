"""Failures: one line, the right exit code, no traceback."""

import errno
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from lab.failures import REMEDIES, Exit, Failure, Unanswered, complain, explain, run


@pytest.fixture(autouse=True)
def signal_handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put back the handlers that `run` replaces; until it has, a signal fails the test, not pytest."""

    def not_handled(signum: int, _frame: object) -> None:
        raise AssertionError(f"nobody handles {signal.Signals(signum).name}")

    monkeypatch.setattr(sys, "argv", ["/some/where/tcp_client.py"])
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = {signum: signal.signal(signum, not_handled) for signum in (signal.SIGINT, signal.SIGTERM)}
    threads = set(threading.enumerate())
    yield
    if (pipe := signal.set_wakeup_fd(-1)) >= 0:
        os.close(pipe)  # the end of the thread that waits for signals
    for thread in set(threading.enumerate()) - threads:
        thread.join()
    for signum, handler in before.items():
        signal.signal(signum, handler)


def ends_with(main: Callable[[], int]) -> object:
    with pytest.raises(SystemExit) as ended:
        run(main)
    return ended.value.code


def test_a_system_call_that_the_program_has_no_words_for_is_one_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def main() -> int:
        raise OSError(errno.ENOBUFS, "No buffer space available")

    assert ends_with(main) == Exit.FAILED
    assert capfd.readouterr().err == "tcp_client: cannot go on: No buffer space available\n"


def test_explain_says_what_was_tried_what_came_and_what_to_do() -> None:
    error = OSError(errno.EADDRINUSE, "Address already in use")
    assert explain(error, "bind to 0.0.0.0:12000") == (
        "cannot bind to 0.0.0.0:12000: Address already in use "
        "(another program has this port: stop it, or choose another port)"
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(OSError(errno.EBADF, "Bad file descriptor"), "Bad file descriptor", id="no-remedy"),
        pytest.param(TimeoutError("timed out"), "timed out", id="time-out-of-a-socket"),
        pytest.param(
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "Name or service not known",
            id="no-such-name",
        ),
        pytest.param(OSError(), "OSError", id="nothing-said"),
    ],
)
def test_explain_without_a_remedy(error: OSError, reason: str) -> None:
    assert explain(error, "do it") == f"cannot do it: {reason}"


@pytest.mark.parametrize("number", [pytest.param(n, id=errno.errorcode[n]) for n in REMEDIES])
def test_explain_is_one_line_with_the_remedy(number: int) -> None:
    line = explain(OSError(number, os.strerror(number)), "do it")
    assert line == f"cannot do it: {os.strerror(number)} ({REMEDIES[number]})"
    assert "\n" not in line


def test_exit_codes_are_the_documented_ones() -> None:
    assert [(code.name, code.value) for code in Exit] == [
        ("OK", 0),
        ("FAILED", 1),
        ("USAGE", 2),
        ("UNANSWERED", 3),
        ("INTERRUPTED", 128 + signal.SIGINT),
        ("TERMINATED", 128 + signal.SIGTERM),
    ]
    assert issubclass(Unanswered, Failure)


@pytest.mark.parametrize("code", [Exit.OK, Exit.UNANSWERED])
def test_run_ends_with_the_programs_code(capfd: pytest.CaptureFixture[str], code: Exit) -> None:
    assert ends_with(lambda: code) == code
    assert capfd.readouterr() == ("", "")


def test_run_tells_a_failure_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise Failure("cannot go on") from ValueError("the cause")

    assert ends_with(main) == 1
    assert capfd.readouterr() == ("", "tcp_client: cannot go on\n")


@pytest.mark.parametrize(
    ("signum", "code"),
    [pytest.param(signal.SIGINT, 130, id="SIGINT"), pytest.param(signal.SIGTERM, 143, id="SIGTERM")],
)
def test_run_ends_with_the_signals_code(
    capfd: pytest.CaptureFixture[str], signum: signal.Signals, code: int
) -> None:
    def main() -> int:
        signal.raise_signal(signum)
        raise AssertionError("the signal was not heard")

    assert ends_with(main) == code
    assert capfd.readouterr() == ("", "")


def test_run_shows_what_is_no_failure_but_a_mistake_of_ours() -> None:
    def main() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(main)


def test_complain_writes_what_is_no_unicode(capfd: pytest.CaptureFixture[str]) -> None:
    complain("ß \udcff")
    assert capfd.readouterr().err == "ß \\xff\n"


def test_complain_needs_no_reader(capfd: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    before = os.dup(2)
    try:
        os.dup2(writer, 2)
        complain("nobody reads this")
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(writer)
    assert capfd.readouterr().err == ""
