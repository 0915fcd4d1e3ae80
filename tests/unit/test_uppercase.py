"""The application: the rules in the text of `uppercase.py`, for all of Unicode and for any bytes."""

import itertools
import re
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from uppercase import MAX_DATAGRAM, TOO_LARGE, UpperStream, answer_to_datagram, upper

UNICODE = "".join(map(chr, (*range(0xD800), *range(0xE000, sys.maxunicode + 1))))  # all but surrogates

# Bytes among which cuts and errors are likely: whole characters, their parts, and what UTF-8 forbids.
PARTS = [
    b"a",
    b"\n",
    "ß".encode(),
    "ŉ".encode(),
    "ΐ".encode(),
    "€".encode(),
    "𐐨".encode(),
    b"\xc3",
    b"\xe2\x82",
    b"\xf0\x90\x90",
    b"\x80",
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
]
messages = st.binary(max_size=40) | st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join)


def in_pieces(message: bytes, cuts: list[int]) -> bytes:
    """Return what a stream answers to a message that is cut at these places."""
    stream = UpperStream()
    places = [0, *sorted(cut % (len(message) + 1) for cut in cuts), len(message)]
    pieces = [message[begin:end] for begin, end in itertools.pairwise(places)]
    return b"".join(map(stream.feed, pieces)) + stream.end()


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        pytest.param("hello, server", "HELLO, SERVER", id="letters"),
        pytest.param("", "", id="nothing"),
        pytest.param("123 !?\n", "123 !?\n", id="no-letters"),
        pytest.param("straße", "STRASSE", id="sharp-s"),
        pytest.param("ŉ", "\u02bcN", id="n-with-apostrophe"),
        pytest.param("ΐ", "\u0399\u0308\u0301", id="iota-with-two-marks"),  # two bytes become six
        pytest.param("\u0131 i", "I I", id="dotless-i"),
        pytest.param("ﬃ", "FFI", id="ligature"),
        pytest.param("ελλάς", "ΕΛΛΆΣ", id="greek"),
        pytest.param("𐐨", "𐐀", id="beyond-16-bits"),
        pytest.param("\0a\0", "\0A\0", id="nul"),
    ],
)
def test_upper_of_text(message: str, answer: str) -> None:
    assert upper(message.encode()) == answer.encode()
    assert upper(bytearray(message.encode())) == answer.encode()


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        pytest.param(b"caf\xe9 latin-1", b"CAF\xe9 LATIN-1", id="latin-1"),
        pytest.param(b"a\xc3", b"A\xc3", id="cut-character"),
        pytest.param(b"a\x80b", b"A\x80B", id="lone-continuation"),
        pytest.param(b"a\xc1\xa1b", b"A\xc1\xa1B", id="overlong-a"),
        pytest.param(b"x\xed\xa0\x80y", b"X\xed\xa0\x80Y", id="surrogate"),
        pytest.param(b"x\xed\xb2\x80y", b"X\xed\xb2\x80Y", id="surrogate-that-stands-for-a-byte"),
        pytest.param(b"x\xf4\x90\x80\x80y", b"X\xf4\x90\x80\x80Y", id="beyond-unicode"),
        pytest.param(bytes(range(0x80, 0x100)), bytes(range(0x80, 0x100)), id="every-byte-beyond-ascii"),
        pytest.param("\xe9".encode() + b"\xe9z", "\xc9".encode() + b"\xe9Z", id="both-encodings"),
    ],
)
def test_upper_leaves_other_bytes_alone(message: bytes, answer: bytes) -> None:
    assert upper(message) == answer


def test_upper_of_all_unicode() -> None:
    capitals = upper(UNICODE.encode())
    assert capitals == UNICODE.upper().encode()
    assert upper(capitals) == capitals
    # Hence no answer begins with "error: ", as complaints do.
    assert re.search(rb"[a-z]", capitals) is None


def test_upper_is_at_most_three_times_as_long() -> None:
    lengths = {c: (len(c.encode()), len(upper(c.encode()))) for c in UNICODE if c.upper() != c}
    assert max(after / before for before, after in lengths.values()) == 3
    assert lengths["ΐ"] == (2, 6)


@given(messages)
def test_upper_of_any_bytes(message: bytes) -> None:
    answer = upper(message)
    assert len(answer) <= 3 * len(message)
    assert upper(answer) == answer
    assert re.search(rb"[a-z]", answer) is None
    # What was not UTF-8 is all still there, in order.
    kept = message.decode("utf-8", "surrogateescape")
    unharmed = [c for c in kept if "\udc80" <= c <= "\udcff"]
    assert [c for c in answer.decode("utf-8", "surrogateescape") if "\udc80" <= c <= "\udcff"] == unharmed


@given(messages, st.lists(st.integers(min_value=0), max_size=8))
@example("naïve straße €𐐨".encode(), list(range(30)))
@example(b"\xed\xa0\x80\xed", [1, 2, 3])
def test_stream_answers_the_same_however_it_is_cut(message: bytes, cuts: list[int]) -> None:
    assert in_pieces(message, cuts) == upper(message)


def test_stream_answers_the_same_at_every_single_cut() -> None:
    message = b"".join(PARTS) * 2
    for cut in range(len(message) + 1):
        assert in_pieces(message, [cut]) == upper(message)
    assert in_pieces(message, list(range(len(message)))) == upper(message)


@given(messages)
def test_stream_holds_back_three_bytes_at_most(message: bytes) -> None:
    stream = UpperStream()
    answered = stream.feed(message)
    waiting = stream.end()
    assert len(waiting) <= 3
    assert answered + waiting == upper(message)


def test_stream_answers_what_is_complete_at_once() -> None:
    stream = UpperStream()
    assert stream.feed(b"stra\xc3") == b"STRA"
    assert stream.feed(b"\x9f") == b"SS"
    assert stream.feed(b"e") == b"E"
    assert stream.end() == b""


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(b"\xc3", id="one-of-two"),
        pytest.param(b"\xe2\x82", id="two-of-three"),
        pytest.param(b"\xf0\x9f\x98", id="three-of-four"),
    ],
)
def test_stream_returns_a_cut_character_at_its_end(cut: bytes) -> None:
    stream = UpperStream()
    assert stream.feed(b"a" + cut) == b"A"
    assert stream.end() == cut
    assert stream.end() == b""  # once


@pytest.mark.parametrize("forbidden", [b"\xed\xa0\x80", b"\x80", b"\xff", b"\xf5"])
def test_stream_does_not_wait_for_the_rest_of_what_cannot_become_a_character(forbidden: bytes) -> None:
    assert UpperStream().feed(b"a" + forbidden) == b"A" + forbidden


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        pytest.param(b"", b"", id="empty"),
        pytest.param(b"a" * MAX_DATAGRAM, b"A" * MAX_DATAGRAM, id="largest"),
        pytest.param(b"\xff" * MAX_DATAGRAM, b"\xff" * MAX_DATAGRAM, id="largest-that-is-no-text"),
        pytest.param(b"a" * 65_506 + b"\xff", b"A" * 65_506 + b"\xff", id="largest-with-a-byte-that-is-not"),
        pytest.param("ß".encode() + b"a" * 65_505, b"SS" + b"A" * 65_505, id="as-long-in-other-letters"),
        pytest.param("ŉ".encode() + b"a" * 65_505, TOO_LARGE, id="one-byte-more"),
        pytest.param("ΐ".encode() * 10_917, "ΐ".upper().encode() * 10_917, id="grows-and-fits"),
        pytest.param("ΐ".encode() * 10_918, TOO_LARGE, id="grows-too-large"),
    ],
)
def test_answer_to_a_datagram_fits_into_one(message: bytes, answer: bytes) -> None:
    assert answer_to_datagram(message) == answer
    assert answer_to_datagram(bytearray(message)) == answer


def test_complaint_can_be_told_from_an_answer() -> None:
    assert MAX_DATAGRAM == 65_535 - 20 - 8
    assert TOO_LARGE.startswith(b"error: ")
    assert upper(TOO_LARGE) != TOO_LARGE
