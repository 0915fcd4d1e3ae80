"""Two hosts whose monotonic clocks are not one: it is noticed, and costs the one-way delays, nothing else."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from socketlab.analyse import result
from socketlab.analyse.clocks import AGREE_NS, not_shared
from socketlab.analyse.result import TcpResult, UdpResult
from socketlab.describe.scenario import Experiment
from socketlab.hosts.log_times import time_of_day
from socketlab.observe.evidence import Evidence
from socketlab.observe.trace import Event
from socketlab.show import experiment_report
from socketlab.show.terminal import Terminal
from tests.unit.runs import FIVE, MS, Run, Sent
from tests.unit.test_experiment_stream_over_tcp import STREAM, seen

SECOND = 10**9
UNIX_NS = 1_800_000_000 * SECOND  # when the client's clock was 0


def shifted(events: Sequence[Event], by_ns: int) -> tuple[Event, ...]:
    """Return a journal by a clock that is ahead of ours."""
    return tuple(replace(event, time_ns=event.time_ns + by_ns) for event in events)


def dated(events: Sequence[Event], zero_ns: int) -> tuple[Event, ...]:
    """Return a journal whose first line has the time of day, by a clock that was 0 then."""
    return (replace(events[0], unix_ns=zero_ns + events[0].time_ns), *events[1:])


def with_server_ahead(run: Run, by_ns: int, zeros_apart_ns: int | None = None) -> Evidence:
    client, server = run.client(), shifted(run.server(), by_ns)
    if zeros_apart_ns is not None:
        client, server = dated(client, UNIX_NS), dated(server, UNIX_NS + zeros_apart_ns)
    return run.seen(client=client, server=server)


def udp_result(run: Run, evidence: Evidence) -> UdpResult:
    found = result.result(run.experiment, evidence)
    assert isinstance(found, UdpResult)
    return found


GOING_ALONE = Run({1: Sent(0, (25,)), 2: Sent(10, (35,))}, spec="delay 25ms loss 10% seed 1")


@pytest.mark.parametrize(
    ("run", "evidence", "why"),
    [
        pytest.param(
            FIVE, with_server_ahead(FIVE, 7 * SECOND), "arrived before they were sent, 3 of", id="ahead"
        ),
        pytest.param(
            FIVE, with_server_ahead(FIVE, -7 * SECOND), "arrived before they were sent, 4 of", id="behind"
        ),
        pytest.param(
            FIVE, with_server_ahead(FIVE, 7 * SECOND, -7 * SECOND), "found 7.000 s between", id="ahead-dated"
        ),
        pytest.param(
            FIVE, with_server_ahead(FIVE, -7 * SECOND, 7 * SECOND), "found 7.000 s between", id="behind-dated"
        ),
        # No answer comes back, so that none is early: the delays look plausible, but both clocks are known.
        pytest.param(
            GOING_ALONE,
            with_server_ahead(GOING_ALONE, 200 * MS, -200 * MS),
            "found 0.200 s between",
            id="plausible",
        ),
    ],
)
def test_without_a_shared_clock_delays_are_unmeasured_and_all_else_is_measured(
    run: Run, evidence: Evidence, why: str
) -> None:
    found, right = udp_result(run, evidence), udp_result(run, run.seen())
    assert why in found.story.clocks
    assert right.story.clocks == ""
    assert found.delays == ()
    # Unmeasured is never lost: fates, order, copies, losses and the client's own times are as they were.
    assert [replace(each, arrivals=(), replies=()) for each in found.story.messages] == [
        replace(each, arrivals=(), replies=()) for each in right.story.messages
    ]
    assert (found.exit_code, found.shares, found.round_trips, found.balances) == (
        0, right.shares, right.round_trips, right.balances,
    )  # fmt: skip
    # The server's times are its own, from its first arrival on: none looks like one of the client's.
    assert min(time for each in found.story.messages for time in each.arrivals) == 0
    text = experiment_report.as_text(found, Terminal(), None)
    assert f"delays, one way: unmeasured: {found.story.clocks}" in text
    assert f"no timeline: {found.story.clocks}" in text
    assert "median; from" not in text
    [told] = json.loads(experiment_report.as_json([found]))["results"]
    assert (told["delays"], told["story"]["clocks"]) == ([], found.story.clocks)


def events(*pairs: tuple[int, int | None]) -> list[Event]:
    """Return lines of a journal: the monotonic clock, and perhaps the time of day."""
    return [Event(time_ns, "program", "sendto", unix_ns=unix_ns) for time_ns, unix_ns in pairs]


def test_clocks_agree_to_within_the_bound_and_no_further() -> None:
    client = events((5, UNIX_NS + 5))
    assert not not_shared(client, events((9, UNIX_NS + 9 + AGREE_NS)), [])
    assert not_shared(client, events((9, UNIX_NS + 10 + AGREE_NS)), [])


def test_a_message_cannot_arrive_before_it_is_sent_by_a_nanosecond() -> None:
    assert not not_shared([], [], [(5, 5)])
    assert "messages arrived before they were sent, 1 of them, by up to 0.000 ms" in not_shared(
        [], [], [(6, 5), (5, 6)]
    )


def test_a_time_of_day_that_is_set_during_a_run_is_no_other_clock() -> None:
    set_by = -3600 * SECOND
    client = events((1 * SECOND, UNIX_NS + SECOND), (3 * SECOND, UNIX_NS + 3 * SECOND + set_by))
    server = events((2 * SECOND, UNIX_NS + 2 * SECOND), (4 * SECOND, UNIX_NS + 4 * SECOND + set_by))
    assert not not_shared(client, server, [])
    assert not not_shared(client[:1], server, [])
    assert not not_shared(client, server[1:], [])


def test_without_the_time_of_day_nothing_is_said_of_clocks() -> None:
    assert not not_shared(events((5, None)), events((9, 7)), [])


def test_lines_over_tcp_keep_all_but_the_servers_times() -> None:
    experiment, evidence = Experiment(STREAM, FIVE.experiment.impairment), seen()
    right = result.result(experiment, evidence)
    found = result.result(experiment, replace(evidence, server=shifted(evidence.server or (), 7 * SECOND)))
    assert isinstance(right, TcpResult)
    assert isinstance(found, TcpResult)
    assert (right.connection.clocks, "before they were sent" in found.connection.clocks) == ("", True)
    assert [replace(line, arrived=None) for line in found.connection.lines] == [
        replace(line, arrived=None) for line in right.connection.lines
    ]
    assert found.round_trips == right.round_trips
    text = experiment_report.as_text(found, Terminal(), None)
    assert f"no timeline: {found.connection.clocks}" in text


@pytest.mark.parametrize(
    ("received", "line", "expected"),
    [
        ("10:00:05.000100", "10:00:05.000000 UDP recvfrom", "10:00:05.000000"),
        ("10:00:05.000100", "Traceback", "10:00:05.000100"),
        # Written after it was received: by another clock.
        ("10:00:05.000100", "10:00:12.000000 UDP recvfrom", "10:00:05.000100"),
        ("00:00:00.000100", "23:59:59.999999 UDP recvfrom", "23:59:59.999999"),
        ("23:59:59.000000", "00:00:03.000000 UDP recvfrom", "23:59:59.000000"),
    ],
)
def test_logs_are_merged_by_the_engines_time_where_a_host_has_another_clock(
    received: str, line: str, expected: str
) -> None:
    assert time_of_day(received, line) == expected
