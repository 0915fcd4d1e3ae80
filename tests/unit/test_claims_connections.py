"""How sockets, errors and data are told to people."""

from dataclasses import replace

import pytest

from socketlab.claims.connections import (
    connections,
    listed,
    numbers,
    sleeps_in_accept,
    text,
    told,
    told_error,
    told_row,
    welcoming,
)
from socketlab.observe.socket_table import Row

WELCOMING = Row("tcp", "0.0.0.0:12000", "0.0.0.0:0", "LISTEN", 0, 1, 71)
CONNECTION = Row("tcp", "172.18.0.2:12000", "172.18.0.3:41273", "ESTABLISHED", 0, 6, 72)
CLOSING = replace(CONNECTION, state="CLOSE-WAIT", inode=73)
SOCKETS = {3: WELCOMING, 4: CONNECTION, 5: CLOSING}


def test_sockets_are_told_apart_by_their_state() -> None:
    assert (welcoming(SOCKETS), connections(SOCKETS)) == ([WELCOMING], [CONNECTION])


def test_numbers_are_the_same_while_a_queue_grows() -> None:
    assert numbers({3: replace(WELCOMING, unread=2)}) == numbers({3: WELCOMING}) == {3: 71}


def test_sockets_for_people() -> None:
    assert told({3: WELCOMING, 4: CONNECTION}) == (
        "descriptor 3: LISTEN 0.0.0.0:12000\ndescriptor 4: ESTABLISHED 172.18.0.2:12000 with 172.18.0.3:41273"
    )
    assert (told({}), told_row(None)) == ("none", "none")


def test_lists_and_data_for_people() -> None:
    assert (listed([71, 72]), listed([])) == ("71, 72", "none")
    assert text(b"one\n", b"\xff") == "'one\\n', '\\xff'"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(BrokenPipeError(32, "Broken pipe"), "EPIPE (Broken pipe)", id="with-a-number"),
        pytest.param(TimeoutError("timed out"), "TimeoutError (timed out)", id="without"),
    ],
)
def test_errors_for_people(error: OSError, expected: str) -> None:
    assert told_error(error) == expected


@pytest.mark.parametrize(
    ("asleep", "expected"),
    [
        pytest.param("accept4(descriptor 3, ...)", True, id="by-the-system-call"),
        pytest.param("inet_csk_accept", True, id="by-the-kernel's-function"),
        pytest.param("poll(descriptor 140736647537512, ...)", False, id="poll"),
        pytest.param("", False, id="running"),
    ],
)
def test_asleep_in_accept(asleep: str, expected: bool) -> None:
    assert sleeps_in_accept(asleep) is expected
