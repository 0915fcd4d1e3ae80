"""The questions of the walk-through, answered by an experiment: the arithmetic, and what a student reads."""

import random

import pytest
from netem_impairment import Directions, Impairment, Traffic, parse

from socketlab.analyse.expectation import binomial_range, of_answers
from socketlab.describe.scenario import Experiment, Protocol, Stream
from socketlab.show import answers
from socketlab.show.terminal import Terminal
from tests.unit.runs import Run, Sent
from tests.unit.test_experiment_report import PLAIN, tcp, udp


def experiment(spec: str, directions: str = "both", count: int = 100) -> Experiment:
    impairment = Impairment(parse(spec), Directions(directions), Traffic("udp", 12_000))
    return Experiment(Stream(Protocol.UDP, count), impairment)


@pytest.mark.parametrize(
    ("spec", "directions", "mean", "ends"),
    [
        pytest.param("loss 10% seed 1", "both", 81.0, (67, 93), id="both-ways"),
        pytest.param("loss 10% seed 1", "ingress", 90.0, (79, 98), id="going"),
        pytest.param("loss 10% seed 1", "egress", 90.0, (79, 98), id="coming-back"),
        pytest.param("delay 25ms loss 20% reorder 25% seed 1", "both", 64.0, (48, 79), id="order-is-no-loss"),
        pytest.param("delay 5ms", "both", 100.0, (100, 100), id="nothing-lost"),
        pytest.param("loss 100%", "both", 0.0, (0, 0), id="all-lost"),
    ],
)
def test_expected_answers_survive_both_ways(
    spec: str, directions: str, mean: float, ends: tuple[int, int]
) -> None:
    expected = of_answers(experiment(spec, directions))
    assert expected is not None
    assert expected.mean == pytest.approx(mean)
    assert expected.range == ends
    assert expected.independent


def test_draws_that_depend_on_each_other_have_no_range_and_copies_no_expectation() -> None:
    bursts = of_answers(experiment("loss gemodel 5% 45%"))
    assert bursts is not None
    assert (bursts.independent, round(bursts.mean, 1)) == (False, 81.0)
    assert of_answers(experiment("loss 10% duplicate 5%")) is None


@pytest.mark.parametrize(
    ("trials", "chance", "ends"),
    [  # by scipy.stats.binom: ppf(0.0005), isf(0.0005)
        (1, 0.3, (0, 1)),
        (20, 0.64, (6, 19)),
        (137, 0.01, (0, 6)),
        (137, 0.5, (49, 88)),
        (50_000, 0.81, (40_210, 40_788)),
    ],
)
def test_range_is_the_binomial_distributions(trials: int, chance: float, ends: tuple[int, int]) -> None:
    assert binomial_range(trials, chance) == ends


def test_runs_lie_in_the_range_as_often_as_it_says() -> None:
    # 20,000 runs by a seed of our own: at most 20 are expected outside; 45 are five standard deviations more.
    chance = random.Random(1)  # noqa: S311
    low, high = binomial_range(100, 0.81)
    runs = [sum(chance.random() < 0.81 for _ in range(100)) for _ in range(20_000)]
    assert sum(not low <= run <= high for run in runs) <= 45


def said(*lines: str) -> str:
    return " ".join(" ".join(lines).split())


def test_student_reads_how_many_answers_were_to_be_expected_and_what_the_client_learns() -> None:
    # Every tenth request is lost, and the answer to every tenth of the others.
    messages = {
        n: Sent(n, () if n % 10 == 0 else (n + 1,), () if n % 10 in {0, 5} else (n + 2,))
        for n in range(1, 101)
    }
    text = said(*answers.lines(udp(Run(messages, spec="loss 10% seed 1")), PLAIN))
    assert (
        "Asked How many answers do you expect? "
        "Answer 0.9 × 0.9 of 100 is 81, in 99.9 % of all runs 67 to 93; here 80 of 100" in text
    )
    assert "only that no answer came: each sendto() has succeeded" in text
    assert "10 requests and 10 answers were lost" in text


def test_student_reads_no_range_where_losses_come_in_groups_and_no_plural_of_one() -> None:
    messages = {n: Sent(n, () if n == 3 else (n + 1,), () if n == 3 else (n + 2,)) for n in range(1, 11)}
    text = said(*answers.lines(udp(Run(messages, spec="loss gemodel 5% 45% seed 1")), PLAIN))
    assert "is 8.1 in the long run, and one run can be far from it" in text
    assert "here 9 of 10" in text
    assert "1 request and 0 answers were lost" in text


def test_where_all_is_answered_there_is_nothing_to_learn_about_losses() -> None:
    messages = {n: Sent(n, (n + 1,), (n + 2,)) for n in range(1, 11)}
    text = said(*answers.lines(udp(Run(messages, spec="delay 1ms seed 1")), PLAIN))
    assert text.endswith("Answer 1 × 1 of 10 is 10; here 10 of 10")


def test_unmeasured_run_answers_nothing() -> None:
    assert answers.lines(udp(broken=("the sidecar: it is gone",)), PLAIN) == []


def test_student_reads_the_price_of_tcp() -> None:
    text = said(*answers.lines(tcp(), PLAIN))
    assert f"Asked {answers.PRICE} Answer 4 of 4, in the order in which they were sent; " in text
    assert "3 segments sent again, 2 lines waited, up to " in text


def test_answers_are_ascii_where_the_terminal_is() -> None:
    "\n".join(answers.lines(udp(), Terminal(unicode=False))).encode("ascii")
