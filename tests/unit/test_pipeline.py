"""The host side's pipeline, without Docker: describe, observe, analyse, show."""

import json

import pytest

from socketlab.analyse.fates import Exchange, Fate, exchanges, exit_code
from socketlab.describe.scenario import Conversation, Protocol
from socketlab.errors import ScenarioError, TraceError
from socketlab.observe.trace import Event, parse
from socketlab.show import report

UDP = Conversation(Protocol.UDP, ("one", "two"))


def sent(time_ns: int, event: str = "sendto", local: str = "10.0.0.3:40000") -> Event:
    return Event(time_ns, "udp_client", event, protocol="udp", local=local, peer="10.0.0.2:12000", bytes=3)


def answer(time_ns: int, line: int, text: str) -> Event:
    return Event(time_ns, "udp_client", "answer", line=line, bytes=len(text), text=text)


def unanswered(time_ns: int, line: int) -> Event:
    return Event(time_ns, "udp_client", "unanswered", line=line, reason="no reply")


@pytest.mark.parametrize("lines", [pytest.param((), id="none"), pytest.param(("a\nb",), id="newline")])
def test_conversation_refuses_lines_that_cannot_be_sent(lines: tuple[str, ...]) -> None:
    with pytest.raises(ScenarioError, match="expected"):
        Conversation(Protocol.TCP, lines)


def test_parse_reads_what_the_journal_writes() -> None:
    line = json.dumps(
        {"time_ns": 5, "program": "server", "event": "recvfrom", "unix_ns": 1, "protocol": "udp",
         "local": "0.0.0.0:12000", "peer": "10.0.0.3:40000", "bytes": 5}
    )  # fmt: skip
    call = Event(5, "server", "recvfrom", "udp", "0.0.0.0:12000", "10.0.0.3:40000", 5, unix_ns=1)
    assert parse([line]) == [call]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        pytest.param("Traceback", "expected a JSON object, got 'Traceback'", id="prose"),
        pytest.param('{"time_ns": 1', "expected a JSON object", id="cut"),
        pytest.param("[]", "expected time_ns, program and event", id="list"),
        pytest.param('{"time_ns": 1}', "expected time_ns, program and event", id="incomplete"),
        pytest.param('{"time_ns": "1", "program": "p", "event": "e"}', "expected int as time_ns", id="type"),
        pytest.param('{"time_ns": true, "program": "p", "event": "e"}', "expected int as time_ns", id="bool"),
        pytest.param(
            '{"time_ns": 1, "program": "p", "event": "left_out"}', "lines were left out", id="left-out"
        ),
    ],
)
def test_parse_refuses_evidence_that_cannot_be_used(line: str, complaint: str) -> None:
    with pytest.raises(TraceError, match=f"line 1 of the journal: {complaint}"):
        parse([line])


def test_each_line_is_answered_from_its_own_port() -> None:
    events = [
        sent(1_000_000),
        answer(3_000_000, 1, "ONE"),
        sent(5_000_000, local="10.0.0.3:40001"),
        answer(6_000_000, 2, "TWO"),
    ]
    assert exchanges(UDP, events) == [
        Exchange("one", Fate.ANSWERED, "ONE", None, 0.002, "10.0.0.3:40000", "10.0.0.2:12000"),
        Exchange("two", Fate.ANSWERED, "TWO", None, 0.001, "10.0.0.3:40001", "10.0.0.2:12000"),
    ]


def test_a_line_without_reply_is_unanswered_and_has_no_round_trip() -> None:
    [first, second] = exchanges(UDP, [sent(1), unanswered(2_000_000_000, 1), sent(3), answer(4, 2, "TWO")])
    assert (first.fate, first.reason, first.round_trip_s) == (Fate.UNANSWERED, "no reply", None)
    assert second.fate is Fate.ANSWERED


def test_a_line_that_the_journal_does_not_mention_is_unmeasured_never_lost() -> None:
    [first, second] = exchanges(UDP, [sent(1), answer(2, 1, "ONE")])
    assert (first.fate, second.fate) == (Fate.ANSWERED, Fate.UNMEASURED)


@pytest.mark.parametrize("line", [pytest.param(3, id="not-sent"), pytest.param(1, id="twice")])
def test_a_journal_that_contradicts_the_conversation_is_refused(line: int) -> None:
    with pytest.raises(TraceError, match=f"unexpected outcome for line {line}"):
        exchanges(UDP, [sent(1), answer(2, 1, "ONE"), answer(3, line, "X")])


@pytest.mark.parametrize(
    ("fates", "code"),
    [
        pytest.param([Fate.ANSWERED, Fate.ANSWERED], 0, id="all-answered"),
        pytest.param([Fate.ANSWERED, Fate.UNANSWERED], 3, id="one-not"),
        pytest.param([Fate.UNANSWERED, Fate.UNMEASURED], 4, id="unmeasured-outweighs"),
    ],
)
def test_exit_code_tells_the_worst_fate(fates: list[Fate], code: int) -> None:
    assert exit_code([Exchange("x", fate) for fate in fates]) == code


def test_text_quotes_what_others_wrote() -> None:
    [shown] = report.as_text(
        [Exchange("a", Fate.ANSWERED, "\x1b[2J", None, 0.0123, "1.2.3.4:5", "1.2.3.5:6")]
    ).splitlines()
    assert shown == r'answered    1.2.3.4:5 -> 1.2.3.5:6  "a"  => "\u001b[2J"  12.30 ms'


def test_text_says_why_there_is_no_answer() -> None:
    assert (
        report.as_text([Exchange("a", Fate.UNANSWERED, reason="no reply")]) == 'unanswered  "a"  (no reply)'
    )


def test_json_has_version_and_every_exchange() -> None:
    result = json.loads(report.as_json(UDP, [Exchange("one", Fate.UNMEASURED)]))
    assert result["version"] == report.RESULT_VERSION
    assert result["conversation"] == {"protocol": "udp", "lines": ["one", "two"], "timeout_s": 2.0}
    assert result["exchanges"][0]["fate"] == "unmeasured"
    assert result["exchanges"][0]["answer"] is None
