"""The capture sidecar's own programs: records that are whole, and rules that disturb nobody's."""

import fcntl
import io
import os
import struct

import inside
import pytest
import recorder
import tcpdump
from firewall import marks
from firewall.own_chains import change
from lab.failures import Failure

from socketlab.hosts import wire
from tests.unit.frames import ethernet, ipv4, pcap, record, udp

FRAMES = [record(ethernet(bytes(size))) for size in (10, 60, 30)]


def test_records_are_passed_on_whole() -> None:
    stream = io.BytesIO(pcap(*FRAMES) + FRAMES[0][:20])
    passed = list(tcpdump.whole_records(stream, 10_000))
    assert passed == [pcap(), *FRAMES]


@pytest.mark.parametrize(("limit", "count"), [(24, 0), (24 + 39, 0), (24 + 40, 1), (24 + 40 + 90, 2)])
def test_capture_that_is_full_ends_with_a_whole_record(limit: int, count: int) -> None:
    records = tcpdump.whole_records(io.BytesIO(pcap(*FRAMES)), limit)
    assert [next(records) for _each in range(count + 1)] == [pcap(), *FRAMES[:count]]
    with pytest.raises(Failure, match="full"):
        next(records)


def test_pipe_is_as_wide_as_its_user_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb"):
        tcpdump.widen(pipe)
        assert fcntl.fcntl(reading, fcntl.F_GETPIPE_SZ) == tcpdump.PIPE_SIZE

        def refuse(*_arguments: object) -> None:
            raise PermissionError

        monkeypatch.setattr(fcntl, "fcntl", refuse)  # as where root's pipes hold 64 MB already
        tcpdump.widen(pipe)


class Wire:
    """A socket that keeps what is sent through it."""

    sent: bytes

    def __init__(self, *_kind: int) -> None:
        """Be of any kind."""

    def setsockopt(self, *_option: int) -> None:
        """Take any option."""

    def bind(self, _address: tuple[str, int]) -> None:
        """Have the address that `getsockname` says."""

    def getsockname(self) -> tuple[str, int]:
        """Return it."""
        return "127.0.0.1", 40_000

    def sendto(self, frame: bytes, _address: tuple[str, int]) -> None:
        """Keep it."""
        Wire.sent = frame


def behind_log_header(datagram: bytes, port: int = 40_000) -> bytes:
    """Return a datagram as the log of packets has it."""
    without_checksum = struct.pack("!HHHH", port, 9, 8 + len(datagram), 0) + datagram
    return b"log header" + ipv4(17, without_checksum, "127.0.0.1", "127.0.0.1")


def test_mark_is_recognised_once_and_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "socket", Wire)
    marker = recorder.Marker("eth0")
    assert not marker.recognises(b"")
    tried: set[bytes] = set()
    for _again in range(3):
        marker.send()
        mark = Wire.sent
        for forged in (mark[:-1], mark + b"x", ethernet(udp(mark)), b"x" + mark[1:], *tried):
            assert not marker.recognises(forged)
        assert marker.recognises(mark)
        assert not marker.recognises(mark)
        assert not marker.recognises(b"")
        tried.add(mark)
    assert len({mark[14:] for mark in tried}) == 3
    assert {len(mark[14:]) for mark in tried} == {32}


def test_mark_in_the_log_is_a_datagram_of_its_own_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "socket", Wire)
    marker = recorder.Marker(inside.DEVICE)
    assert not marker.recognises(b"")
    marker.send()
    token = Wire.sent
    for forged in (token, behind_log_header(token, 40_001), behind_log_header(token + b"x")):
        assert not marker.recognises(forged)
    assert marker.recognises(behind_log_header(token))
    assert not marker.recognises(behind_log_header(token))


def test_log_of_packets_has_one_name_and_marks_of_its_own() -> None:
    assert wire.INSIDE_DEVICE == inside.DEVICE
    assert len({marks.LOGGED, marks.SENT, marks.PROBE}) == 3


SAVED = """*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:netem-egress - [0:0]
-A OUTPUT -o eth0 -j netem-egress
-A netem-egress -j NFQUEUE --queue-num 12000 --queue-bypass
COMMIT"""
OURS = list(inside.TABLES["raw"])
MARKED = f"-o lo -m mark --mark {marks.LOGGED:#x}"


def after(saved: str, ours: list[str]) -> list[str]:
    """Return a table with our rules, those that lead to them first."""
    lines = saved.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("-A"))
    leading = [rule for rule in ours if rule.startswith("-A OUTPUT")]
    others = ours[len(leading) :]
    return [*lines[:place], ":capture-sent - [0:0]", *leading, *lines[place:-1], *others, "COMMIT"]


def changed(before: str, wanted: tuple[str, ...]) -> str:
    """Return what makes our rules in the table raw those that are wanted."""
    return change("raw", before, wanted, inside.CHAINS)


def problem(lines: list[str]) -> str:
    """Return what is wrong with a table."""
    return inside.problem("\n".join(lines), inside.TABLES["raw"]) or ""


def test_rules_are_put_first_and_the_impairments_are_not_named() -> None:
    text = changed(SAVED, inside.TABLES["raw"])
    assert text.splitlines()[:4] == [
        "*raw", ":capture-sent - [0:0]", f"-I OUTPUT {MARKED} -j capture-sent",
        "-I OUTPUT -o eth0 -j capture-sent",
    ]  # fmt: skip
    assert "netem" not in text


def test_rules_of_one_that_was_killed_are_replaced_and_removed() -> None:
    left = "\n".join(after(SAVED, OURS))
    text = changed(left, inside.TABLES["raw"])
    assert (
        text.count("-D OUTPUT -o eth0 -j capture-sent")
        == text.count("-I OUTPUT -o eth0 -j capture-sent")
        == 1
    )
    assert "-X" not in text
    text = changed(left, ())
    assert text.splitlines() == [
        "*raw", ":capture-sent - [0:0]", "-D OUTPUT -o eth0 -j capture-sent",
        f"-D OUTPUT {MARKED} -j capture-sent", "-X capture-sent", "COMMIT",
    ]  # fmt: skip
    assert changed(SAVED, ()) == ""


def test_check_sees_rules_that_are_gone_changed_or_behind_the_impairments() -> None:
    assert inside.problem("\n".join(after(SAVED, OURS)), inside.TABLES["raw"]) is None
    assert "changed by another program" in problem(SAVED.splitlines())
    assert "changed by another program" in problem(after(SAVED, OURS[:-1]))
    behind = [*after(SAVED, OURS)]
    impairment = "-A OUTPUT -o eth0 -j netem-egress"
    behind.remove(impairment)
    behind.insert(behind.index(OURS[0]), impairment)
    assert "begin it afterwards" in problem(behind)
