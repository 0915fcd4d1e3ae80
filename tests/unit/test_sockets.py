"""The kernel's lists of sockets, read back. The lines are of a real kernel."""

import sys

import pytest

from socketlab.errors import TraceError
from socketlab.observe.socket_table import STATES, Row, parse

TCP_HEAD = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
    "                                                     \n"
)
LISTENING = (
    "   0: 00000000:2EE0 00000000:0000 0A 00000000:00000002 00:00000000 00000000 10001        0 87733149 1 "
    "0000000000000000 100 0 0 10 0                     \n"
)
CONNECTED = (
    "   1: 020012AC:2EE0 030012AC:D7C4 01 0000000A:00000FFF 01:00000018 00000000 10001        0 87733150 1 "
    "0000000000000000 20 4 30 10 -1                    \n"
)
LEFT_OVER = (
    "   2: 020012AC:2EE0 030012AC:D7C6 06 00000000:00000000 03:00000F21 00000000     0        0 0 3 "
    "0000000000000000                                  \n"
)
UDP_HEAD = (
    "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref "
    "pointer drops            \n"
)
UNCONNECTED = (
    " 3571: 00000000:2EE0 00000000:0000 07 00000000:00000300 00:00000000 00000000 10001        0 87733151 2 "
    "0000000000000000 0         \n"
)
# In addresses the order of bytes is the host's own; these lines are of a little-endian one.
little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="the lines are of a little-endian host")


@little_endian
def test_sockets_of_tcp_are_read() -> None:
    assert parse("tcp", TCP_HEAD + LISTENING + CONNECTED + LEFT_OVER) == [
        Row("tcp", "0.0.0.0:12000", "0.0.0.0:0", "LISTEN", 0, 2, 87733149),
        Row("tcp", "172.18.0.2:12000", "172.18.0.3:55236", "ESTABLISHED", 10, 4095, 87733150),
        Row("tcp", "172.18.0.2:12000", "172.18.0.3:55238", "TIME-WAIT", 0, 0, 0),
    ]


@little_endian
def test_sockets_of_udp_are_read() -> None:
    [row] = parse("udp", UDP_HEAD + UNCONNECTED)
    assert row == Row("udp", "0.0.0.0:12000", "0.0.0.0:0", "CLOSED", 0, 768, 87733151)
    assert (row.port, row.peer_port) == (12_000, 0)


def test_sockets_of_none_are_none() -> None:
    assert parse("udp", UDP_HEAD) == parse("udp", "") == []


def test_socket_that_is_listed_twice_is_one() -> None:
    assert len(parse("tcp", TCP_HEAD + LISTENING + CONNECTED + LISTENING)) == 2


def test_each_state_has_a_name() -> None:
    # One that is missing would make a claim unmeasurable on the day when a socket is in it.
    assert sorted(STATES) == [f"{number:02X}" for number in range(1, 12)]
    for number, name in STATES.items():
        assert parse("tcp", TCP_HEAD + LISTENING.replace(" 0A ", f" {number} "))[0].state == name


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(LISTENING[:60], id="cut-off"),
        pytest.param(LISTENING.replace(" 0A ", " 0C "), id="unknown-state"),
        pytest.param(LISTENING.replace("00000000:2EE0", "00000000"), id="no-port"),
        pytest.param(LISTENING.replace("00000000:2EE0", "0" * 32 + ":2EE0"), id="an-ipv6-address"),
        pytest.param(LISTENING.replace("00000000:2EE0", "nonsense:2EE0"), id="no-number"),
        pytest.param(LISTENING.replace("00000000:00000002", "00000002"), id="one-queue"),
        pytest.param(LISTENING.replace("87733149", "inode"), id="no-inode"),
        pytest.param("\n", id="an-empty-line"),
    ],
)
def test_line_that_is_no_socket_is_refused(line: str) -> None:
    with pytest.raises(TraceError, match=r"^expected a row of /proc/net/tcp, got '"):
        parse("tcp", TCP_HEAD + CONNECTED + line)
