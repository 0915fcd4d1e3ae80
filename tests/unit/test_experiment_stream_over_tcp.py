"""What became of lines over a connection, by the journals of both hosts."""

from dataclasses import replace

import pytest
from netem_impairment import Counters

from socketlab.analyse import result
from socketlab.analyse.bytestream import Connection, connection
from socketlab.analyse.fates import Fate
from socketlab.describe.scenario import Experiment, Program, Protocol, Stream
from socketlab.observe.evidence import Evidence
from socketlab.observe.trace import Event
from tests.unit import runs
from tests.unit.runs import CLIENT, FIVE, HOST, MS, SERVER, by_time, fact, ns

STREAM = Stream(Protocol.TCP, count=4, size=10)


def tcp(event: str, ms: float, size: int = 0, *, at_server: bool = False, peer: str = "") -> Event:
    local, other = (SERVER, peer or CLIENT) if at_server else (CLIENT, SERVER)
    return Event(ns(ms), "server" if at_server else "stream", event, "tcp", local, other, size)


def client(*more: Event, came: int = 40, until: str = "end") -> tuple[Event, ...]:
    after = HOST | {"Tcp": {"RetransSegs": 8}, "TcpExt": {"TCPTimeouts": 2}}
    return by_time(
        [
            fact("start", -60, counters=HOST),
            tcp("connect", -1),
            fact("handshake", -0.9, begun_ns=ns(-51)),
            *[fact("write", 10 * i, message=i + 1) for i in range(4)],
            fact(
                "bytes",
                200,
                expected=40,
                came=came,
                sha256_expected="e",
                sha256_came="e" if came == 40 else "c",
            ),
            *([fact("end", 201, counters=after)] if until == "end" else []),
            *more,
        ]
    )


# The first arrives at once; the second is sent again, and the third and fourth wait behind it.
ANSWERS = (tcp("recv", 10, 10), tcp("recv", 235, 25), tcp("recv", 236, 5))
AT_SERVER = (
    tcp("recv", 5, 10, at_server=True),
    tcp("recv", 7, 999, at_server=True, peer="10.0.0.9:1"),
    tcp("recv", 230, 30, at_server=True),
)


def seen(**changes: object) -> Evidence:
    whole = Evidence(client(*ANSWERS), AT_SERVER, runs.sidecar(), runs.sidecar())
    return replace(whole, **changes)  # type: ignore[arg-type]  # fields by name


def of(evidence: Evidence) -> Connection:
    return connection(STREAM, evidence)


def test_line_is_complete_with_its_last_byte() -> None:
    told = of(seen())
    assert [line.fate for line in told.lines] == [Fate.ANSWERED] * 4
    assert [line.sent for line in told.lines] == [0, 10 * MS, 20 * MS, 30 * MS]
    assert [line.arrived for line in told.lines] == [5 * MS, 230 * MS, 230 * MS, 230 * MS]
    assert [line.answered for line in told.lines] == [10 * MS, 235 * MS, 235 * MS, 236 * MS]
    assert told.completion == 236 * MS
    assert told.faults == ()


def test_head_of_line_waiting_is_of_those_behind_the_first_of_a_recv() -> None:
    # The fastest took 5 ms. The third was written at 20 and handed over at 230.
    assert [line.waited for line in of(seen()).lines] == [None, None, 205 * MS, 195 * MS]


def test_cost_is_told_by_the_kernels_of_both_hosts() -> None:
    after = replace(runs.sidecar(), host=HOST | {"Tcp": {"RetransSegs": 6}})
    told = of(seen(after=after))
    assert (told.retransmitted_by_client, told.retransmitted_by_server, told.timeouts) == (3, 1, 1)
    assert told.handshake == 50 * MS


def test_bytes_are_equal_only_with_the_same_sum() -> None:
    assert (same := of(seen()).bytes) is not None
    assert same.equal
    other = of(seen(client=client(*ANSWERS, came=39))).bytes
    assert other is not None
    assert not other.equal


def test_connection_that_gave_up_is_a_result_and_its_rest_unanswered() -> None:
    reason = replace(fact("gave_up", 190), reason="no byte came for 60 s")
    evidence = seen(client=client(tcp("recv", 10, 10), reason, came=10), server=AT_SERVER[:2])
    told = of(evidence)
    assert [line.fate for line in told.lines] == [Fate.ANSWERED] + [Fate.UNANSWERED] * 3
    assert told.gave_up == "no byte came for 60 s"
    assert told.completion is None
    assert result.result(Experiment(STREAM, FIVE.experiment.impairment), evidence).exit_code == 0


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"client": client(tcp("recv", 10, 10), until="cut")}, id="client-cut"),
        pytest.param({"client": client(tcp("recv", 10, 10)), "after": None}, id="sidecar-gone"),
        pytest.param(
            {"client": client(tcp("recv", 10, 10)), "broken": ("the server: gone",)}, id="server-gone"
        ),
        pytest.param(
            {"client": client(tcp("recv", 10, 10)), "after": runs.sidecar(ingress=Counters(overload=1))},
            id="overload",
        ),
    ],
)
def test_broken_measurement_is_unmeasured(change: dict[str, object]) -> None:
    evidence = seen(**change)
    assert [line.fate for line in of(evidence).lines] == [Fate.ANSWERED] + [Fate.UNMEASURED] * 3
    assert result.result(Experiment(STREAM, FIVE.experiment.impairment), evidence).exit_code == 4


def test_farewell_that_is_still_on_its_way_is_no_fault() -> None:
    after = runs.sidecar(ingress=Counters(packets=9, queued=1), egress=Counters(packets=9, queued=2))
    assert of(seen(after=after)).faults == ()


def test_server_journal_that_lacks_answered_lines_is_a_fault() -> None:
    told = of(seen(server=AT_SERVER[:2]))
    assert told.faults == ("the server's journal lacks 3 messages that were answered",)


def test_samples_are_in_order_and_missing_fields_stay_unknown() -> None:
    samples = of(seen(client=client(*ANSWERS, fact("info", 3, cwnd=10, rtt_us=50, total_retrans=2)))).samples
    assert [(s.time, s.cwnd, s.rtt_us, s.retransmitted, s.rto_us) for s in samples] == [
        (3 * MS, 10, 50, 2, None)
    ]


def test_lectures_client_waits_for_each_answer() -> None:
    stream = Stream(Protocol.TCP, count=2, size=10, program=Program.LECTURE)
    events = (
        tcp("connect", -1),
        tcp("send", 0, 10),
        replace(fact("answer", 20), line=1),
        tcp("send", 21, 10),
        tcp("send", 25, 10),  # again, over a new connection: the first time counts
        replace(fact("answer", 40), line=2),
    )
    told = connection(
        stream, Evidence(events, (tcp("recv", 5, 10, at_server=True), tcp("recv", 30, 10, at_server=True)))
    )
    assert [(line.sent, line.answered) for line in told.lines] == [(0, 20 * MS), (21 * MS, 40 * MS)]
    assert told.bytes is None


def test_goodput_counts_each_byte_once() -> None:
    told = result.result(Experiment(STREAM, FIVE.experiment.impairment), seen())
    assert isinstance(told, result.TcpResult)
    assert told.goodput == pytest.approx(40 / 0.236)
