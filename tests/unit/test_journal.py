"""The journal: what a line says, and that nobody who does not read it can stop the program."""

import errno
import fcntl
import json
import os
import re
import select
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, SOCK_STREAM, socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab.journal import HEALTHCHECK_HOST, LONGEST_PREVIEW, Journal, clock, now, preview

from tests.unit.blocking import must_not_block

PEER = ("192.0.2.7", 41273)
NOON = (0, 12 * 3600 * 10**9 + 250_613_999)  # an instant: 12:00:00.250613 on the first day


# Bytes, and characters that move the cursor, change the direction, join, or have long escapes.
SPECIAL = [
    "\0",
    "\x1b[2J",
    "\r\n",
    "\x9b",
    "\u200d",
    "\u202e",
    "\u2028",
    "\ufeff",
    "\U000e0001",
    "\U0010ffff",
    "ß",
]
messages = st.binary(max_size=100) | st.lists(st.sampled_from(SPECIAL), max_size=40).map(
    lambda characters: "".join(characters).encode()
)


class Pipe:
    """A pipe, and the journal lines that came through."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)  # the writer stays blocking, as it is for the programs

    def lines(self) -> list[str]:
        """Return the lines that wait in the pipe."""
        received = b""
        try:
            while piece := os.read(self.reader, 1 << 16):
                received += piece
        except BlockingIOError:
            pass
        assert received.endswith(b"\n") or not received
        return received.decode().split("\n")[:-1]

    def records(self) -> list[dict[str, str | int]]:
        """Return the JSON lines that wait in the pipe."""
        return [json.loads(line) for line in self.lines()]

    def close(self) -> None:
        """Close both ends."""
        os.close(self.reader)
        os.close(self.writer)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    with closing(Pipe()) as pipe:
        yield pipe


@pytest.fixture
def udp() -> Iterator[socket]:
    with socket(AF_INET, SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


def local(sock: socket) -> str:
    return f"127.0.0.1:{sock.getsockname()[1]}"


def test_json_line_has_the_documented_fields(
    pipe: Pipe, udp: socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/some/where/udp_server.py"])
    journal = Journal(as_json=True, quiet=False, fd=pipe.writer)
    begun = now()
    journal.event("recvfrom", udp, peer=PEER, data=b"hello")
    journal.event("error", udp, note="a few words")
    journal.event("stop")
    ended = now()
    first, second, third = pipe.records()
    fields = {"program": "udp_server", "event": "recvfrom", "protocol": "udp", "local": local(udp)}
    times = [int(first.pop("time_ns")), int(second.pop("time_ns")), int(third.pop("time_ns"))]
    assert begun[0] <= times[0] <= times[1] <= times[2] <= ended[0]
    assert begun[1] <= int(first.pop("unix_ns")) <= ended[1]  # and in no other of this second
    assert first == fields | {"peer": "192.0.2.7:41273", "bytes": 5}
    assert second == fields | {"event": "error", "note": "a few words"}
    assert third == {"program": "udp_server", "event": "stop"}


def test_a_line_a_second_has_the_time_of_day_beside_the_monotonic_clock(pipe: Pipe) -> None:
    journal = Journal(as_json=True, quiet=False, fd=pipe.writer)
    second = 10**9
    times = [5 * second, 5 * second + 1, 6 * second - 1, 6 * second, 6 * second + 1, 9 * second]
    for time_ns in times:
        journal.event("stop", at=(time_ns, 100 * second + time_ns))
    both = [int(record["time_ns"]) for record in pipe.records() if "unix_ns" in record]
    assert both == [5 * second, 6 * second, 9 * second]


def test_facts_have_both_clocks_too(pipe: Pipe) -> None:
    journal = Journal(as_json=True, quiet=False, fd=pipe.writer)
    journal.facts("start", {"count": 1})
    [start] = pipe.records()
    assert abs(int(start["unix_ns"]) - int(start["time_ns"]) - (now()[1] - now()[0])) < 10**9


class Reset(socket):
    """A connection that was reset, as macOS has it."""

    def getsockname(self) -> tuple[str, int]:
        """Refuse."""
        raise OSError(errno.EINVAL, "Invalid argument")


@pytest.mark.parametrize(
    ("as_json", "line"),
    [
        pytest.param(False, r"\S+ TCP close +\? -> 192.0.2.7:41273", id="text"),
        pytest.param(True, r'.*"close", .*"protocol": "tcp", "peer": "192.0.2.7:41273"}', id="json"),
    ],
)
def test_socket_whose_address_is_not_known_has_a_line(pipe: Pipe, as_json: bool, line: str) -> None:
    with Reset(AF_INET, SOCK_STREAM) as connection:
        Journal(as_json=as_json, quiet=False, fd=pipe.writer).event("close", connection, peer=PEER)
    [written] = pipe.lines()
    assert re.fullmatch(line, written)


@pytest.mark.parametrize(
    ("data", "number"),
    [
        pytest.param(b"#7 and so on", 7, id="numbered"),
        pytest.param(b"#12 ", 12, id="nothing-else"),
        pytest.param(b"#999999999 x", 999_999_999, id="largest"),
        pytest.param(b"#1234567890 x", None, id="too-large"),
        pytest.param(b"#0 x", None, id="from-one"),
        pytest.param(b"#07 x", None, id="leading-zero"),
        pytest.param(b"#7", None, id="no-space"),
        pytest.param(b" #7 x", None, id="not-at-the-beginning"),
        pytest.param("#\u0667 x".encode(), None, id="other-digits"),
        pytest.param(b"", None, id="empty"),
    ],
)
def test_json_line_has_the_number_that_a_datagram_begins_with(
    pipe: Pipe, udp: socket, data: bytes, number: int | None
) -> None:
    journal = Journal(as_json=True, quiet=False, fd=pipe.writer)
    journal.event("recvfrom", udp, peer=PEER, data=data)
    journal.event("recvfrom", udp, peer=PEER, data=bytearray(data))
    assert [record.get("seq") for record in pipe.records()] == [number, number]


def test_json_line_of_tcp_has_no_number_for_a_stream_has_no_messages(pipe: Pipe) -> None:
    journal = Journal(as_json=True, quiet=False, fd=pipe.writer)
    with socket(AF_INET, SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        journal.event("recv", sock, peer=PEER, data=b"#7 and so on")
        assert "seq" not in pipe.records()[0]


def test_facts_are_values_by_their_names(pipe: Pipe) -> None:
    Journal(as_json=True, quiet=False, fd=pipe.writer).facts("info", {"cwnd": 10, "deep": {"er": 1}})
    [record] = pipe.records()
    assert record.items() >= {"event": "info", "cwnd": 10, "deep": {"er": 1}}.items()
    Journal(as_json=False, quiet=False, fd=pipe.writer).facts("info", {"cwnd": 10})
    [line] = pipe.lines()
    assert line.endswith("    info      cwnd=10")
    Journal(as_json=True, quiet=True, fd=pipe.writer).facts("info", {"cwnd": 10})
    assert pipe.lines() == []


def test_json_line_names_tcp(pipe: Pipe) -> None:
    journal = Journal(as_json=True, quiet=False, fd=pipe.writer)
    with socket(AF_INET, SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        journal.event("listen", sock)
        assert pipe.records()[0].items() >= {"protocol": "tcp", "local": local(sock)}.items()


@pytest.mark.parametrize(
    ("event", "data", "rest"),
    [
        pytest.param("recvfrom", b"hello", '<- 192.0.2.7:41273  5 bytes "hello"', id="receive"),
        pytest.param("sendto", b"A", '-> 192.0.2.7:41273  1 byte "A"', id="send"),
        pytest.param("recvfrom", b"", '<- 192.0.2.7:41273  0 bytes ""', id="empty-datagram"),
        pytest.param("recv", b"", "<- 192.0.2.7:41273 (the other side has closed)", id="end-of-stream"),
        pytest.param("accept", None, "<- 192.0.2.7:41273", id="no-data"),
    ],
)
def test_text_line_tells_the_call(pipe: Pipe, udp: socket, event: str, data: bytes | None, rest: str) -> None:
    journal = Journal(as_json=False, quiet=False, fd=pipe.writer)
    journal.event(event, udp, peer=PEER, data=data, at=NOON)
    assert pipe.lines() == [f"12:00:00.250613 UDP {event:<8} {local(udp)} {rest}"]


def test_text_line_without_a_socket(pipe: Pipe) -> None:
    journal = Journal(as_json=False, quiet=False, fd=pipe.writer)
    journal.event("resolve", note="DNS: server is 192.0.2.7", at=NOON)
    journal.event("stop", at=NOON)
    assert pipe.lines() == [
        "12:00:00.250613     resolve   DNS: server is 192.0.2.7",
        "12:00:00.250613     stop",
    ]


def test_clock_is_utc_with_microseconds() -> None:
    assert clock(0) == "00:00:00.000000"
    assert clock(86_399 * 10**9 + 999_999_999) == "23:59:59.999999"


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        pytest.param(b"", '""', id="empty"),
        pytest.param(b"hello\n", r'"hello\n"', id="newline"),
        pytest.param(b"\x1b[2J\r\t\0\x7f", r'"\x1b[2J\r\t\x00\x7f"', id="control"),
        pytest.param("\u202e\u2028\x9b".encode(), r'"\u202e\u2028\x9b"', id="moves-the-cursor"),
        pytest.param("straße €".encode(), '"straße €"', id="text"),
        pytest.param(b"caf\xe9 \xff", r'"caf\xe9 \xff"', id="not-utf-8"),
        pytest.param(b"\xed\xa0\x80", r'"\xed\xa0\x80"', id="surrogate"),
        pytest.param(b"a" * LONGEST_PREVIEW, f'"{"a" * 40}"', id="just-fits"),
        pytest.param(b"a" * (LONGEST_PREVIEW + 1), f'"{"a" * 40}"...', id="cut"),
        pytest.param(b"a" * 39 + "ß".encode(), '"' + "a" * 39 + r"\xc3" + '"...', id="cut-in-a-character"),
    ],
)
def test_preview_shows_a_message_on_one_line(data: bytes, shown: str) -> None:
    assert preview(data) == shown
    assert preview(bytearray(data)) == shown


@given(messages)
def test_preview_is_printable(data: bytes) -> None:
    assert preview(data).isprintable()


@given(
    data=messages,
    repeat=st.sampled_from([1, 650]),
    as_json=st.booleans(),
    event=st.sampled_from(["recvfrom", "sendto", "recv", "send", "accept", "error"]),
)
def test_line_is_one_line_and_shorter_than_a_pipe_takes_whole(
    data: bytes, repeat: int, as_json: bool, event: str
) -> None:
    with closing(Pipe()) as pipe, socket(AF_INET, SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        journal = Journal(as_json=as_json, quiet=False, fd=pipe.writer)
        journal.left_out = 10**9  # the longest line: with a count before it
        journal.event(event, sock, peer=("255.255.255.255", 65535), data=data * repeat)
        lines = pipe.lines()
        assert len(lines) == 2
        assert len("\n".join(lines).encode()) + 1 < select.PIPE_BUF


def test_quiet_leaves_out_all_but_always(pipe: Pipe, udp: socket) -> None:
    journal = Journal(as_json=True, quiet=True, fd=pipe.writer)
    journal.event("recvfrom", udp, peer=PEER, data=b"hello")
    with journal.call("sendto", udp, peer=PEER, data=b"HELLO"):
        pass
    journal.event("stop", always=True)
    assert [record["event"] for record in pipe.records()] == ["stop"]


def test_healthcheck_is_left_out(pipe: Pipe, udp: socket) -> None:
    journal = Journal(as_json=True, quiet=False, fd=pipe.writer)
    journal.event("recvfrom", udp, peer=(HEALTHCHECK_HOST, 5), data=b"healthcheck")
    journal.event("refuse", udp, peer=(HEALTHCHECK_HOST, 5), always=True)
    with journal.call("sendto", udp, peer=(HEALTHCHECK_HOST, 5), data=b"HEALTHCHECK"):
        pass
    journal.event("recvfrom", udp, peer=("127.0.0.1", 5), data=b"hello")
    assert [record["peer"] for record in pipe.records()] == ["127.0.0.1:5"]


def test_call_is_dated_when_it_begins_and_written_when_it_is_over(pipe: Pipe, udp: socket) -> None:
    journal = Journal(as_json=True, quiet=False, fd=pipe.writer)
    before = time.monotonic_ns()
    with journal.call("sendto", udp, peer=PEER, data=b"HELLO"):
        within = time.monotonic_ns()
        assert pipe.lines() == []
    (record,) = pipe.records()
    assert before <= int(record["time_ns"]) <= within
    assert record.items() >= {"event": "sendto", "peer": "192.0.2.7:41273", "bytes": 5}.items()


@pytest.mark.parametrize(
    ("quiet", "host"),
    [
        pytest.param(False, "192.0.2.7", id="written"),
        pytest.param(True, "192.0.2.7", id="quiet"),
        pytest.param(False, HEALTHCHECK_HOST, id="healthcheck"),
    ],
)
def test_call_that_fails_is_not_written_and_its_error_goes_on(
    pipe: Pipe, udp: socket, quiet: bool, host: str
) -> None:
    journal = Journal(as_json=True, quiet=quiet, fd=pipe.writer)
    with (
        pytest.raises(ConnectionRefusedError),
        journal.call("sendto", udp, peer=(host, 5), data=b"HELLO"),
    ):
        raise ConnectionRefusedError
    assert pipe.lines() == []


@pytest.mark.parametrize("as_json", [pytest.param(True, id="json"), pytest.param(False, id="text")])
def test_full_pipe_never_blocks_and_the_lines_left_out_are_counted(pipe: Pipe, as_json: bool) -> None:
    if sys.platform == "linux":
        fcntl.fcntl(pipe.writer, fcntl.F_SETPIPE_SZ, 8192)  # two pages: two lines at least
    journal = Journal(as_json=as_json, quiet=False, fd=pipe.writer)
    written = 0
    with must_not_block():
        while journal.left_out < 3:
            journal.event("sendto", note=f"number {written}")
            written += 1
    assert os.get_blocking(pipe.writer)  # it may be shared with a shell
    before = pipe.lines()
    assert len(before) == written - 3

    journal.event("sendto", note="read again")
    journal.event("sendto", note="and on")
    count, *after = pipe.lines()
    assert len(after) == 2  # the count is said once
    assert "read again" in after[0]
    assert "and on" in after[1]
    if as_json:
        said = json.loads(count)
        assert said.pop("time_ns") > json.loads(before[-1])["time_ns"]
        assert said == {"program": journal.program, "event": "left_out", "lines": 3}
    else:
        assert count == "(the log was not read: 3 lines left out here)"
    assert journal.left_out == 0


def test_pipe_without_a_reader_is_no_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    journal = Journal(as_json=True, quiet=False, fd=writer)
    journal.event("stop")
    os.close(writer)
    assert journal.left_out == 1


def test_closed_descriptor_is_no_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    journal = Journal(as_json=False, quiet=False, fd=writer)
    journal.event("stop")
    assert journal.left_out == 1


def test_full_disk_is_no_failure(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):  # noqa: PTH110 - a device, not a path of ours
        pytest.skip("this system has no /dev/full")
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            os.write(fd, b"x")
        journal = Journal(as_json=False, quiet=False, fd=fd)
        journal.event("stop")
        assert journal.left_out == 1
        # The disk has room again: the count, then the line.
        with (tmp_path / "log").open("wb") as file:
            os.dup2(file.fileno(), fd)
        journal.event("start", at=NOON)
    finally:
        os.close(fd)
    assert (tmp_path / "log").read_text() == (
        "(the log was not read: 1 lines left out here)\n12:00:00.250613     start\n"
    )


def test_times_of_a_program_never_go_back(pipe: Pipe) -> None:
    journal = Journal(as_json=True, quiet=False, fd=pipe.writer)
    for _ in range(100):
        journal.event("sendto")
    times = [int(record["time_ns"]) for record in pipe.records()]
    assert times == sorted(times)
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{6}", clock(time.time_ns()))
