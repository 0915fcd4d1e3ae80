"""The client's keyboard and screen, without a network."""

import argparse
import io
import json
import os
import sys
from collections.abc import Callable

import pytest
from console import Console
from hypothesis import given
from hypothesis import strategies as st
from lab.failures import Failure

LONGEST = 8
TOO_LONG = f"at most {LONGEST} bytes can be sent at once, this line is longer: not sent"

MakeConsole = Callable[..., Console]


def make_console(text: bytes, *, once: bool = False, log_format: str = "text") -> Console:
    """Return a console with this text for its keyboard."""
    sys.stdin = io.TextIOWrapper(io.BytesIO(text))
    options = argparse.Namespace(host="server", port=12_000, timeout=1, once=once, log_format=log_format)
    return Console("a_client", options, longest=LONGEST)


@pytest.fixture(autouse=True)
def own_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what `make_console` replaces."""
    monkeypatch.setattr(sys, "stdin", None)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"a\nb\n", [b"a", b"b"], id="two"),
        pytest.param(b"a\nb", [b"a", b"b"], id="no-newline-at-the-end"),
        pytest.param(b"\n\n", [b"", b""], id="empty-lines"),
        pytest.param(b"a\r\n\r\n", [b"a\r", b"\r"], id="carriage-returns-are-kept"),
        pytest.param(b"\xff\0\xc3\n", [b"\xff\0\xc3"], id="any-bytes"),
        pytest.param(b"12345678\n", [b"12345678"], id="longest"),
        pytest.param(b"12345678", [b"12345678"], id="longest-without-newline"),
    ],
)
def test_lines_are_those_of_the_input(text: bytes, lines: list[bytes]) -> None:
    console = make_console(text)
    assert list(console.lines()) == lines
    assert console.exit_code == 0


@pytest.mark.parametrize("length", [9, 10, 11, 17, 18, 19, 100])
@pytest.mark.parametrize("end", [b"\nnext\n", b"\nnext", b"\n", b""], ids=repr)
def test_line_that_is_too_long_is_refused_whole(
    capfd: pytest.CaptureFixture[str], length: int, end: bytes
) -> None:
    console = make_console(b"x" * length + end)
    assert list(console.lines()) == ([b"next"] if b"next" in end else [])
    assert capfd.readouterr() == ("", f"a_client: line 1: {TOO_LONG}\n")
    assert console.exit_code == 3


@given(st.lists(st.binary(max_size=3 * LONGEST).map(lambda line: line.replace(b"\n", b"")), max_size=6))
def test_lines_of_any_input(lines: list[bytes]) -> None:
    console = make_console(b"".join(line + b"\n" for line in lines))
    assert list(console.lines()) == [line for line in lines if len(line) <= LONGEST]
    assert console.exit_code == (3 if any(len(line) > LONGEST for line in lines) else 0)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(b"a\nb\n", [b"a"], id="first-alone"),
        pytest.param(b"123456789\nb\n", [], id="refused"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_once_is_one_line(text: bytes, lines: list[bytes]) -> None:
    assert list(make_console(text, once=True).lines()) == lines


def test_line_is_yielded_before_the_next_is_read() -> None:
    console = make_console(b"a\nb\n")
    lines = console.lines()
    assert next(lines) == b"a"
    assert sys.stdin.buffer.read() == b"b\n"


def test_closed_standard_input_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    console = make_console(b"")
    monkeypatch.setattr(sys, "stdin", None)  # what Python makes of a closed descriptor 0
    assert list(console.lines()) == []


def test_standard_input_that_cannot_be_read_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    console = make_console(b"")
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "rb", closefd=True) as not_readable:  # noqa: PTH123 - a descriptor, not a path
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(not_readable))
        with pytest.raises(Failure, match="cannot read a line from standard input: Bad file descriptor"):
            next(console.lines())


def test_answer_is_shown_unchanged(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    console = make_console(b"")
    for answer in (b"HELLO", b"", b"A\r", b"\xff\0", b"ERROR: NONE", b"a\nb"):
        console.answer(answer)
    assert capfdbinary.readouterr() == (b"HELLO\n\nA\r\n\xff\0\nERROR: NONE\na\nb\n", b"")
    assert console.exit_code == 0


def test_complaint_of_the_server_is_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    console = make_console(b"a\n")
    next(console.lines())
    console.answer(b"error: the server is full \xff")
    console.answer(b"A")
    assert capfd.readouterr() == (
        "A\n",
        "a_client: line 1: the server says: error: the server is full \\xff\n",
    )
    assert console.exit_code == 3


def test_json_tells_answers_and_what_got_none(capfd: pytest.CaptureFixture[str]) -> None:
    console = make_console(b"a\nb\n123456789\n", log_format="json")
    for line in console.lines():
        if line == b"a":
            console.answer(b"A\xff")
        else:
            console.unanswered("no reply")
    out, err = capfd.readouterr()
    records = [json.loads(line) for line in out.splitlines()]
    times = [record.pop("time_ns") for record in records]
    assert times == sorted(times)
    assert records == [
        {"program": "a_client", "event": "answer", "line": 1, "bytes": 2, "text": "A\\xff"},
        {"program": "a_client", "event": "unanswered", "line": 2, "reason": "no reply"},
        {"program": "a_client", "event": "unanswered", "line": 3, "reason": TOO_LONG},
    ]
    assert err == f"a_client: line 2: no reply\na_client: line 3: {TOO_LONG}\n"


def test_answer_goes_out_whole_though_a_write_takes_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    written = bytearray()

    def write(fd: int, data: bytes) -> int:
        assert fd == 1
        written.extend(data[:3])
        return len(data[:3])

    console = make_console(b"")
    monkeypatch.setattr(os, "write", write)
    console.answer(b"1234567")
    monkeypatch.undo()
    assert written == b"1234567\n"


def test_answer_that_cannot_be_written_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(_fd: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    console = make_console(b"")
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(Failure, match="cannot write to standard output: No space left on device"):
        console.answer(b"A")


def test_answer_tells_a_terminal_nothing(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A title, a colour, a cursor that goes up: what a malicious server would answer.
    monkeypatch.setattr(os, "isatty", lambda descriptor: descriptor == 1)
    console = make_console(b"")
    console.answer("\x1b]0;OWNED\x07\x9b31mELL \xff".encode("latin-1") + "ÄÖ".encode())
    console.answer(b"error: \x1b[2J")
    shown, complained = capfdbinary.readouterr()
    assert shown.decode() == r"\x1b]0;OWNED\x07\x9b31mELL \xffÄÖ" + "\n"
    assert rb"error: \x1b[2J" in complained
