"""A sweep: what it asks for, what came of it, and what broke."""

from collections.abc import Callable

import pytest
from netem_impairment import Direction

from socketlab.analyse import result
from socketlab.analyse.result import Result
from socketlab.analyse.sweep_curve import Round, swept
from socketlab.describe.scenario import Engine, Experiment, Protocol
from socketlab.describe.sweep import Sweep
from socketlab.errors import EngineError
from socketlab.run import rounds as sweeping
from socketlab.show.page.document import shaped
from socketlab.show.page.document_types import Sweep as Shape
from socketlab.show.plain_data import as_data
from tests.unit.runs import FIVE

SWEEP = Sweep(losses_percent=(0, 10), rounds=2, seed=7)


def udp_result(**broken: object) -> Result:
    return result.result(FIVE.experiment, FIVE.seen(**broken))


def test_packets_are_lost_and_delayed_where_they_arrive() -> None:
    asked = SWEEP.experiment(Protocol.TCP, 10, 2, Engine.AUTO).impairment
    assert asked.of(Direction.EGRESS) is None
    assert str(asked.spec) == "limit 800 delay 40ms loss 10% seed 238352156"
    assert str(asked.traffic) == "tcp:12001"


def test_both_protocols_of_a_round_have_the_same_seed_and_rounds_have_others() -> None:
    seeds = {
        (number, protocol): SWEEP.experiment(protocol, 10, number, Engine.AUTO).impairment.spec.seed
        for number in (1, 2)
        for protocol in Protocol
    }
    assert {seeds[1, Protocol.UDP], seeds[1, Protocol.TCP]} == {2656213543}
    assert {seeds[2, Protocol.UDP], seeds[2, Protocol.TCP]} == {238352156}


def test_sweeps_with_neighbouring_seeds_have_no_round_in_common() -> None:
    seeds = [
        Sweep(seed=seed).experiment(Protocol.UDP, 10, number, Engine.AUTO).impairment.spec.seed
        for seed in range(1, 101)
        for number in (1, 2, 3)
    ]
    assert len(set(seeds)) == 300


def test_a_round_is_complete_before_the_next_begins() -> None:
    order = list(SWEEP.order())
    assert [number for number, _loss, _protocol in order] == [1] * 4 + [2] * 4
    assert order[:2] == [(1, 0, Protocol.UDP), (1, 0, Protocol.TCP)]


def broken_at(loss: float) -> Callable[[Experiment], Result]:
    def experiment(asked: Experiment) -> Result:
        if asked.impairment.spec.loss is not None and loss:
            raise EngineError("the engine went away")
        return udp_result()

    return experiment


def test_experiment_that_breaks_is_told_and_the_others_go_on() -> None:
    told: list[tuple[int, int]] = []
    rounds = sweeping.run(broken_at(10), SWEEP, lambda done, of: told.append((done, of)))
    assert told == [(done, 8) for done in range(8)]
    assert [each.broken for each in rounds] == (["", "", "the engine went away", "the engine went away"]) * 2
    figures = swept(SWEEP, rounds)
    assert figures.points[1].udp.broken == (
        "round 1 was not measured: the engine went away",
        "round 2 was not measured: the engine went away",
    )
    assert figures.points[1].udp.goodput_bit_s == (None, None)
    assert figures.points[0].udp.broken == ()


def test_figures_of_datagrams() -> None:
    rounds = [Round(Protocol.UDP, 0, 1, udp_result())]
    side = swept(Sweep(losses_percent=(0,), rounds=1), rounds).points[0].udp
    assert side.answered_share == (3 / 5,)
    assert side.completion_s == (0.081,)
    assert list(side.goodput_bit_s) == pytest.approx([3 * 64 * 8 / 0.081])


def test_measurement_that_broke_is_no_figure() -> None:
    rounds = [Round(Protocol.UDP, 0, 1, udp_result(broken=("the server: its log was cut off",)))]
    side = swept(Sweep(losses_percent=(0,), rounds=1), rounds).points[0].udp
    assert (side.answered_share, side.completion_s) == ((None,), (None,))
    assert "its log was cut off" in side.broken[0]


def test_figures_have_the_shape_that_the_page_reads() -> None:
    figures = swept(SWEEP, sweeping.run(broken_at(10), SWEEP, lambda _done, _of: None))
    told = as_data(figures)
    assert shaped(Shape, told).points[1].tcp.broken[0].startswith("round 1")
