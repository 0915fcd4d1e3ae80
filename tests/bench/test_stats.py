"""From samples to medians, ratios and verdicts."""

from collections.abc import Sequence

import pytest

from bench.stats import AheadOf, AtLeast, AtMost, Row, ShareOf, Undisturbed, Verdict, order, ratios


def row(name: str, rates: Sequence[float | None]) -> Row:
    return Row(name, {number: {"rate": rate} for number, rate in enumerate(rates) if rate is not None})


def test_medians_are_of_each_value_over_the_rounds_that_have_it() -> None:
    measured = Row("x", {0: {"rate": 1.0, "lost": 5.0}, 1: {"rate": 9.0}, 2: {"rate": 2.0}})
    assert measured.medians == {"rate": 2.0, "lost": 5.0}


def test_medians_of_nothing_are_nothing() -> None:
    assert Row("x", not_measured="uvloop not installed").medians == {}


def test_ratios_compare_within_a_round_so_a_slow_round_does_not_count() -> None:
    # Everything is ten times slower in the second round; the ratio of the medians would be 0.55.
    assert ratios(row("ours", [80, 8, 80]), row("c", [100, 10, 100]), "rate") == [0.8, 0.8, 0.8]


def test_ratios_leave_out_rounds_that_one_of_the_two_lacks() -> None:
    assert ratios(row("ours", [50, None, 75]), row("c", [100, 100, None]), "rate") == [0.5]


def test_ratios_to_a_reference_that_answered_nothing_do_not_exist() -> None:
    assert ratios(row("ours", [50]), row("c", [0]), "rate") == []


@pytest.mark.parametrize(
    ("rates", "verdict", "evidence"),
    [
        pytest.param([72, 80, 60], Verdict.MET, "0.72", id="exactly"),
        pytest.param([71, 80, 60], Verdict.MISSED, "0.71", id="just-below"),
        pytest.param([], Verdict.UNMEASURED, "", id="no-samples"),
    ],
)
def test_share_of_judges_the_median_ratio(rates: Sequence[float], verdict: Verdict, evidence: str) -> None:
    target = ShareOf("at least 0.72 of C", "c", "rate", 0.72)
    judgement = target.judge({"ours": row("ours", rates), "c": row("C", [100, 100, 100])}, "ours")
    assert (judgement.verdict, judgement.evidence) == (verdict, evidence)


@pytest.mark.parametrize(
    ("first", "second", "verdict", "evidence"),
    [
        pytest.param([80], [50], Verdict.MET, "1.25 of A", id="ahead"),
        pytest.param([50], [125], Verdict.MISSED, "0.80 of B", id="behind"),
        pytest.param([100], [50], Verdict.MISSED, "1.00 of A", id="level"),
        pytest.param([50], [], Verdict.UNMEASURED, "2.00 of A; without B", id="one-not-measured"),
        pytest.param([200], [], Verdict.MISSED, "0.50 of A; without B", id="behind-whatever-the-other-is"),
        pytest.param([], [], Verdict.UNMEASURED, "without A, B", id="none-measured"),
    ],
)
def test_ahead_of_names_the_nearest_and_what_is_missing(
    first: Sequence[float], second: Sequence[float], verdict: Verdict, evidence: str
) -> None:
    rows = {"ours": row("ours", [100]), "a": row("A", first), "b": row("B", second)}
    judgement = AheadOf("ahead of both", ("a", "b"), "rate").judge(rows, "ours")
    assert (judgement.verdict, judgement.evidence) == (verdict, evidence)


@pytest.mark.parametrize(
    ("rates", "verdict", "evidence"),
    [
        pytest.param([8192], Verdict.MET, "8,192", id="exactly"),
        pytest.param([8193], Verdict.MISSED, "8,193", id="just-above"),
        pytest.param([], Verdict.UNMEASURED, "", id="no-samples"),
    ],
)
def test_at_most_judges_the_median(rates: Sequence[float], verdict: Verdict, evidence: str) -> None:
    judgement = AtMost("at most 8192", "rate", 8192, "{:,.0f}").judge({"ours": row("ours", rates)}, "ours")
    assert (judgement.verdict, judgement.evidence) == (verdict, evidence)


@pytest.mark.parametrize(
    ("rates", "verdict", "evidence"),
    [
        pytest.param([80_000], Verdict.MET, "80,000", id="exactly"),
        pytest.param([79_999], Verdict.MISSED, "79,999", id="just-below"),
        pytest.param([], Verdict.UNMEASURED, "", id="no-samples"),
    ],
)
def test_at_least_judges_the_median(rates: Sequence[float], verdict: Verdict, evidence: str) -> None:
    judgement = AtLeast("at least 80,000", "rate", 80_000, "{:,.0f}").judge(
        {"ours": row("ours", rates)}, "ours"
    )
    assert (judgement.verdict, judgement.evidence) == (verdict, evidence)


def test_order_starts_with_another_server_each_round_and_turns_round() -> None:
    assert [order("abc", number) for number in range(3)] == [list("abc"), list("acb"), list("cab")]


def test_order_puts_each_server_at_each_place_in_the_course_of_the_rounds() -> None:
    keys = "abcdefg"
    for place in range(len(keys)):
        assert {order(keys, number)[place] for number in range(2 * len(keys))} == set(keys)


@pytest.mark.parametrize(
    ("times", "held_up", "verdict", "evidence"),
    [
        pytest.param(3.0, 0, Verdict.MET, "3.00", id="met"),
        pytest.param(3.0, 40, Verdict.MET, "3.00", id="met-in-spite-of-others"),
        pytest.param(3.1, 3, Verdict.MISSED, "3.10", id="missed"),
        pytest.param(
            3.1,
            4,
            Verdict.UNMEASURED,
            "3.10, but other programs had the core for 4 %",
            id="others-had-the-core",
        ),
    ],
)
def test_latency_that_others_may_have_made_longer_is_not_missed(
    times: float, held_up: float, verdict: Verdict, evidence: str
) -> None:
    ours = Row("ours", {0: {"times": times, "held_up_percent": held_up}})
    judgement = Undisturbed("at most 3 times", "times", 3, "{:.2f}").judge({"ours": ours}, "ours")
    assert (judgement.verdict, judgement.evidence) == (verdict, evidence)
