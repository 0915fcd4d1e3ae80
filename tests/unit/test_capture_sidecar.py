"""The capture sidecar's own programs: records that are whole, and rules that disturb nobody's."""

import fcntl
import io
import os

import capture
import inside
import pytest
import rules
from lab.failures import Failure

from socketlab.run import wire
from tests.unit.frames import ethernet, pcap, record

FRAMES = [record(ethernet(bytes(size))) for size in (10, 60, 30)]


def test_records_are_passed_on_whole() -> None:
    stream = io.BytesIO(pcap(*FRAMES) + FRAMES[0][:20])
    passed = list(capture.whole_records(stream, 10_000))
    assert passed == [pcap(), *FRAMES]


@pytest.mark.parametrize(("limit", "count"), [(24, 0), (24 + 39, 0), (24 + 40, 1), (24 + 40 + 90, 2)])
def test_capture_that_is_full_ends_with_a_whole_record(limit: int, count: int) -> None:
    records = capture.whole_records(io.BytesIO(pcap(*FRAMES)), limit)
    assert [next(records) for _each in range(count + 1)] == [pcap(), *FRAMES[:count]]
    with pytest.raises(Failure, match="full"):
        next(records)


def test_pipe_is_as_wide_as_its_user_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb"):
        capture.widen(pipe)
        assert fcntl.fcntl(reading, fcntl.F_GETPIPE_SZ) == capture.PIPE_SIZE

        def refuse(*_arguments: object) -> None:
            raise PermissionError

        monkeypatch.setattr(fcntl, "fcntl", refuse)  # as where root's pipes hold 64 MB already
        capture.widen(pipe)


def test_mark_is_the_same_for_who_sends_and_who_looks_for_it() -> None:
    assert wire.MARK == capture.MARK
    assert f"nflog:{inside.GROUP}" in wire.INSIDE_DEVICE
    assert wire.INSIDE_MARK == inside.MARKED
    assert len({inside.MARKED, rules.SENT, rules.PROBE}) == 3


def test_marks_and_chains_of_the_impairment_are_known() -> None:
    assert (inside.SENT, inside.PROBE) == (rules.SENT, rules.PROBE)
    assert inside.IMPAIRMENT in rules.CHAINS.values()
    assert inside.VARIANTS == rules.VARIANTS


SAVED = """*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:netem-egress - [0:0]
-A OUTPUT -o eth0 -j netem-egress
-A netem-egress -j NFQUEUE --queue-num 12000 --queue-bypass
COMMIT""".splitlines()
OURS = list(inside.TABLES["raw"])


def after(saved: list[str], ours: list[str]) -> list[str]:
    """Return a table with our rules, the one that leads to them first."""
    place = next(number for number, line in enumerate(saved) if line.startswith("-A"))
    return [*saved[:place], ":capture-sent - [0:0]", *ours[:1], *saved[place:-1], *ours[1:], "COMMIT"]


def test_rules_are_put_first_and_the_impairments_are_not_named() -> None:
    text = inside.change("raw", SAVED, inside.TABLES["raw"])
    assert text.splitlines()[:3] == [
        "*raw", ":capture-sent - [0:0]", "-I OUTPUT -o eth0 -j capture-sent",
    ]  # fmt: skip
    assert "netem" not in text


def test_rules_of_one_that_was_killed_are_replaced_and_removed() -> None:
    left = after(SAVED, OURS)
    text = inside.change("raw", left, inside.TABLES["raw"])
    assert (
        text.count("-D OUTPUT -o eth0 -j capture-sent")
        == text.count("-I OUTPUT -o eth0 -j capture-sent")
        == 1
    )
    assert "-X" not in text
    text = inside.change("raw", left, ())
    assert text.splitlines() == [
        "*raw", ":capture-sent - [0:0]", "-D OUTPUT -o eth0 -j capture-sent", "-X capture-sent", "COMMIT",
    ]  # fmt: skip
    assert inside.change("raw", SAVED, ()) == ""


def test_check_sees_rules_that_are_gone_changed_or_behind_the_impairments() -> None:
    wanted = inside.TABLES["raw"]
    assert inside.problem(after(SAVED, OURS), wanted) is None
    assert "changed by another program" in (inside.problem(SAVED, wanted) or "")
    assert "changed by another program" in (inside.problem(after(SAVED, OURS[:-1]), wanted) or "")
    behind = [*after(SAVED, OURS)]
    behind.remove(OURS[0])
    behind.insert(behind.index("-A OUTPUT -o eth0 -j netem-egress") + 1, OURS[0])
    assert "begin it afterwards" in (inside.problem(behind, wanted) or "")
