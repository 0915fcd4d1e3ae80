"""What congestion control did, from looks that are made up."""

from collections.abc import Sequence

import pytest

from socketlab.analyse.congestion_window import (
    Fall,
    Look,
    falls,
    goodput_bit_s,
    growth,
    halving,
    mathis_bit_s,
    transfer,
)
from socketlab.errors import TraceError
from socketlab.observe.trace import Event

RTT_S = 0.02
NO_THRESHOLD = 0x7FFFFFFF


def looks(windows: Sequence[int], thresholds: Sequence[int | None] | int | None = None) -> list[Look]:
    """Looks, one a round trip; ten segments of 1,000 bytes are acknowledged in each."""
    if not isinstance(thresholds, Sequence):
        thresholds = [thresholds] * len(windows)
    return [
        Look(number * RTT_S, window, threshold, 0, number * 10_000, RTT_S)
        for number, (window, threshold) in enumerate(zip(windows, thresholds, strict=True))
    ]


@pytest.mark.parametrize(
    ("loss", "rtt_s", "mbit_s"),
    [(0.01, 0.02, 7.15), (0.02, 0.02, 5.06), (0.01, 0.1, 1.43), (0.02, 0.1, 1.01)],
)
def test_mathis_gives_the_published_rates(loss: float, rtt_s: float, mbit_s: float) -> None:
    assert mathis_bit_s(1460, rtt_s, loss) / 1e6 == pytest.approx(mbit_s, abs=0.005)


def test_a_window_that_only_grows_never_falls() -> None:
    assert falls(looks([10, 11, 11, 12])) == []
    assert halving([]) is None


def test_a_fall_over_several_looks_is_one_fall() -> None:
    seen = looks([20, 20, 16, 12, 12, 9, 10, 11], [None, None, 10, 10, 10, 10, 10, 10])
    assert falls(seen) == [Fall(2 * RTT_S, before=20, lowest=9, ssthresh=10)]
    assert halving(falls(seen)) == 0.5


def test_falls_with_growth_between_them_are_two() -> None:
    seen = looks([20, 10, 11, 12, 6, 7], [None, 10, 10, 10, 6, 6])
    assert [(fall.before, fall.lowest, fall.ssthresh) for fall in falls(seen)] == [(20, 10, 10), (12, 6, 6)]


def test_growth_is_a_segment_each_round_trip() -> None:
    seen = looks([20, 10, 11, 12, 13, 14, 7, 8, 9, 10, 11], [None, *[10] * 5, *[7] * 5])
    assert growth(seen) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("windows", "threshold"),
    [
        pytest.param([10, 20, 40, 80], None, id="slow start, nothing lost"),
        pytest.param([2, 4, 8, 16], 32, id="slow start below the threshold"),
        pytest.param([10, 11, 5, 6, 3], 3, id="never for three round trips"),
    ],
)
def test_growth_is_told_of_congestion_avoidance_alone(windows: list[int], threshold: int | None) -> None:
    assert growth(looks(windows, threshold)) is None


def test_goodput_counts_from_a_time_on() -> None:
    seen = looks([10] * 6)
    assert goodput_bit_s(seen, 0.0) == pytest.approx(8 * 10_000 / RTT_S)
    assert goodput_bit_s([*seen[:3], *looks([10] * 6)[3:]], 0.05) == pytest.approx(8 * 10_000 / RTT_S)
    with pytest.raises(TraceError, match="ended before"):
        goodput_bit_s(seen, 1.0)


def event(name: str, ms: int, **facts: object) -> Event:
    return Event(ms * 10**6, "bulk", name, facts=facts)


def info(ms: int, connection: int, **facts: int) -> Event:
    usual = {"cwnd": 10, "ssthresh": NO_THRESHOLD, "total_retrans": 0, "bytes_acked": 0, "rtt_us": 20_000}
    return event("info", ms, connection=connection, **(usual | facts))


def counters(**counted: int) -> dict[str, dict[str, int]]:
    names = {"recoveries": ("TcpExt", "TCPSackRecovery"), "timeouts": ("TcpExt", "TCPTimeouts"),
             "again": ("Tcp", "RetransSegs")}  # fmt: skip
    found: dict[str, dict[str, int]] = {"Tcp": {}, "TcpExt": {}}
    for what, (group, name) in names.items():
        found[group][name] = counted.get(what, 0)
    return found


START = event("start", 0, congestion="reno", segment_bytes=1448, connections=2, counters=counters(again=3))
END = event("end", 50, counters=counters(again=7, recoveries=2, timeouts=1))


def test_transfer_is_read_from_its_journal() -> None:
    looked = [
        info(10, 1),
        info(10, 2),
        info(20, 1, cwnd=5, ssthresh=5, rtt_us=60_000),
        info(20, 2, rtt_us=60_000),
    ]
    seen = transfer([START, *looked, END])
    assert (seen.congestion, seen.segment_bytes) == ("reno", 1448)
    assert (seen.recoveries, seen.timeouts, seen.retransmitted) == (2, 1, 4)
    first, second = seen.connections
    assert [(look.time_s, look.cwnd, look.ssthresh) for look in first] == [(0, 10, None), (0.01, 5, 5)]
    assert len(second) == 2
    assert seen.rtt_s == pytest.approx(0.03)  # half of the time 50 a second, half of it 16.7: 33.3


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([START, info(10, 1), info(10, 2)], id="cut off"),
        pytest.param([START, info(10, 1), END], id="nothing of the second connection"),
        pytest.param([START, END], id="no look at all"),
        pytest.param([START, event("info", 10, connection=1), END], id="no TCP_INFO"),
    ],
)
def test_transfer_that_is_not_whole_is_refused(events: list[Event]) -> None:
    with pytest.raises(TraceError):
        transfer(events)
