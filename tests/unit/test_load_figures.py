"""The arithmetic of `make load`, its verdicts, and its part of docs/reliability.md."""

import json
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from campaigns.load import attacks, campaign, measure, page, soak
from campaigns.load.attacks import Check, Seen
from campaigns.load.measure import Sample
from campaigns.outcome import Outcome
from campaigns.reliability import PAGE
from socketlab.errors import TraceError

QUIET = {
    "asked": 100, "answered": 100, "wrong": 0, "median_ms": 0.2, "p95_ms": 0.4, "stretches_ms": [0.2] * 6,
}  # fmt: skip
BEFORE = Sample(0, 20 << 20, 30 << 20, 8)


def seen(**changed: Any) -> Seen:
    """What was seen of a flood that everything withstood."""
    usual = Seen(
        wanted=128,
        before=BEFORE,
        alone=dict.fromkeys(attacks.KINDS, QUIET),
        during=[replace(BEFORE, at_s=1.0, descriptors=10)],
        beside=dict.fromkeys(attacks.KINDS, QUIET),
        again=dict.fromkeys(attacks.KINDS, QUIET),
        after=replace(BEFORE, at_s=2.0),
        attackers=[{"sent": 500}, {"sent": 400}],
        counted={"UdpInDatagrams": 400, "UdpOutDatagrams": 400, "UdpRcvbufErrors": 600},
        socket_drops=600,
    )
    return replace(usual, **changed)


def broken(checks: list[Check]) -> list[str]:
    return [check.statement for check in checks if not check.holds]


def test_line_through_points_on_a_line_is_that_line() -> None:
    found = measure.slope([0, 1, 2, 3], [10, 12, 14, 16])
    assert (found.per_hour, found.low, found.high) == pytest.approx((7200, 7200, 7200))


def test_interval_of_a_slope_is_students() -> None:
    # Slope 0.4, residuals -0.2, 0.4, -0.2, 0: s^2 = 0.24/2, spread 5; t(2, 97.5 %) = 4.3027.
    found = measure.slope([0, 1, 2, 3], [1.0, 2.0, 1.8, 2.4])
    assert found.per_hour == pytest.approx(0.4 * 3600)
    half = 4.30265 * (0.24 / 2 / 5) ** 0.5 * 3600
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=1e-4)


def test_stretches_are_equal_and_leave_the_rest_out() -> None:
    assert measure.stretches([1, 3, 5, 7, 100], number=2) == [2, 6]


def test_samples_that_are_alike_in_a_row_grow_for_sure_only_as_samples() -> None:
    # Twelve stretches of thirty, each at a level of its own: chance, not growth.
    levels = [26.0, 27, 31, 27, 27, 27, 33, 31, 29, 27, 28, 29]
    samples = [Sample(n / 4, 1, 1, round(levels[n // 30])) for n in range(360)]
    alone = measure.slope([one.at_s for one in samples], [one.descriptors for one in samples])
    assert alone.low > 0
    grown = soak.growth(samples)["descriptors"]
    assert grown.low < 0 < grown.high


def test_what_stays_the_same_has_no_slope() -> None:
    assert measure.slope([0, 1, 2], [5, 5, 5]) == measure.Slope(0, 0, 0)


def test_flood_that_is_accounted_for_is_held() -> None:
    assert broken(attacks.judge_flood(seen())) == []


def test_datagram_that_nobody_has_counted_breaks_it() -> None:
    assert broken(attacks.judge_flood(seen(attackers=[{"sent": 901}]))) == [
        "its kernel has counted each datagram that it did not get"
    ]


def test_counters_that_differ_break_it() -> None:
    assert broken(attacks.judge_flood(seen(socket_drops=599))) == ["the socket's own counter agrees"]


def test_flood_that_the_server_takes_is_not_measured() -> None:
    counted = {"UdpInDatagrams": 1000, "UdpOutDatagrams": 1000}
    with pytest.raises(TraceError, match="no flood"):
        attacks.judge_flood(seen(counted=counted, socket_drops=0))


def test_flood_that_the_server_nearly_takes_is_measured_where_its_queue_was_full_once() -> None:
    counted = {"UdpInDatagrams": 950, "UdpOutDatagrams": 950, "UdpRcvbufErrors": 50}
    assert broken(attacks.judge_flood(seen(counted=counted, socket_drops=50))) == []


def test_server_that_does_not_answer_over_udp_after_the_flood_is_broken() -> None:
    again = dict.fromkeys(attacks.KINDS, QUIET | {"answered": 50})
    assert broken(attacks.judge_flood(seen(again=again))) == [
        "when it is over, an honest client over UDP is answered as before"
    ]


@pytest.mark.parametrize(
    ("kind", "beside", "holds"),
    [
        ("kept", QUIET | {"stretches_ms": [0.6] * 6}, True),
        ("kept", QUIET | {"stretches_ms": [0.61] * 6}, False),
        # Of 36 pairs 6 keep the bound, and the interval leaves out 3. One slow moment is not the attack's.
        ("kept", QUIET | {"stretches_ms": [0.61] * 5 + [0.6]}, None),
        ("kept", QUIET | {"stretches_ms": [0.2] * 5 + [9.0]}, True),
        ("kept", QUIET | {"answered": 99}, False),
        ("new", QUIET | {"wrong": 1}, False),
        ("udp", QUIET | {"answered": 40}, True),
        ("udp", QUIET | {"answered": 0, "median_ms": None, "stretches_ms": []}, False),
    ],
)
def test_honest_client_waits_at_most_three_times_as_long(kind: str, beside: Any, holds: bool | None) -> None:
    assert attacks.answers(seen(beside={kind: beside}), kind).holds is holds


def test_server_that_is_slow_beside_five_of_six_quiet_stretches_is_undecided() -> None:
    beside = QUIET | {"stretches_ms": [0.61] * 6}
    for quiet, holds in (([0.2] * 6, False), ([0.2] * 5 + [0.3], None)):
        alone = {"kept": QUIET | {"stretches_ms": quiet}}
        assert attacks.answers(seen(alone=alone, beside={"kept": beside}), "kept").holds is holds


def test_interval_is_mann_and_whitneys() -> None:
    beside, alone = {"stretches_ms": [2, 4, 6, 8, 10, 12]}, {"stretches_ms": [1.0] * 3 + [2.0] * 3}
    pairs = sorted(each / quiet for each in beside["stretches_ms"] for quiet in alone["stretches_ms"])
    assert attacks.times_as_long(beside, alone) == (4.5, pairs[3], pairs[32])
    # That at most 3 of 36 pairs are in the wrong order: so many of the ways to put six among twelve.
    ways = [sum(place - rank for rank, place in enumerate(places)) for places in combinations(range(12), 6)]
    assert (sum(wrong <= 3 for wrong in ways), len(ways)) == (7, 924)


def test_quiet_time_before_and_after_is_one() -> None:
    after = QUIET | {"answered": 90, "p95_ms": 0.7, "stretches_ms": [0.4] * 8, "error ECONNRESET": 1}
    assert attacks.together(QUIET, after) == {
        "asked": 200, "answered": 190, "wrong": 0, "error ECONNRESET": 1,
        "median_ms": 0.4, "p95_ms": 0.7, "stretches_ms": [0.2] * 6 + [0.4] * 8,
    }  # fmt: skip


def test_one_broken_check_breaks_an_attack() -> None:
    good, bad, open_ = Check("a", True, ""), Check("b", False, ""), Check("c", None, "")
    assert attacks.outcome([good, good]) is Outcome.HELD
    assert attacks.outcome([good, bad, open_]) is Outcome.BROKEN
    assert attacks.outcome([good, open_]) is Outcome.UNMEASURED


def test_page_is_what_the_figures_say() -> None:
    now = PAGE.read_text(encoding="utf-8")
    assert page.PART.page(now) == now, "campaigns/load has changed since: make load RECORD=1"


def test_page_names_what_did_not_hold() -> None:
    recorded = json.loads(page.PART.figures.read_text(encoding="utf-8"))
    flood, storm = recorded["attacks"][0], recorded["attacks"][1]
    flood["checks"][0] |= {"holds": False, "statement": "the server goes on", "seen": "it ended"}
    del storm["seen"], storm["checks"]
    storm |= {"outcome": Outcome.UNMEASURED, "why": "nobody came"}
    lines = page.section(recorded).splitlines()
    assert f"- `{flood['key']}`: the server goes on: it ended" in lines
    assert f"- `{storm['key']}` could not be measured: nobody came" in lines
    assert f"- `{storm['key']}` ({storm['what']}): could not be measured" in lines


def test_figures_of_another_version_are_refused() -> None:
    with pytest.raises(ValueError, match="make load"):
        page.section({"version": 0, "attacks": [], "soak": None})


def test_document_is_read_back_as_it_was() -> None:
    told = {
        "attacks": [
            {
                "key": "flood",
                "during": [{"at_s": 0.5, "note": "a  b\n {c}"}],
                "empty": {},
                "check": {"seen": "two  spaces"},
            }
        ]
    }
    assert json.loads(campaign.text(told)) == told
