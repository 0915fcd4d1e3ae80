"""What somebody types becomes an experiment, or is refused in one line with an example."""

from dataclasses import replace

import pytest
from netem_impairment import Direction, Directions, parse

from socketlab import hints
from socketlab.describe.scenario import Engine, Program, Protocol, longest_delay_s
from socketlab.describe.wishes import Wishes, experiment, netem_words
from socketlab.errors import ScenarioError


def udp(**typed: str) -> str:
    """Return the spec for what was typed, without its seed."""
    return str(replace(experiment(Protocol.UDP, Wishes(**typed)).impairment.spec, seed=None))


def test_nothing_typed_shows_loss_and_reordering() -> None:
    found = experiment(Protocol.UDP, Wishes(seed="1"))
    assert str(found.impairment.spec) == "delay 25ms loss 10% reorder 25% seed 1117501174"
    assert (found.stream.count, found.stream.size, found.stream.rate) == (100, 64, 100)
    assert (found.impairment.directions, found.engine) == (Directions.BOTH, Engine.AUTO)
    assert str(found.impairment.traffic) == "udp:12001"


@pytest.mark.parametrize(
    ("typed", "spec"),
    [
        pytest.param({"loss": "30"}, "delay 25ms loss 30% reorder 25%", id="the-others-stay"),
        pytest.param({"loss": "0"}, "delay 25ms reorder 25%", id="no-loss"),
        pytest.param({"loss": "12.5%"}, "delay 25ms loss 12.5% reorder 25%", id="percent-sign"),
        pytest.param({"delay": "0"}, "loss 10%", id="without-delay-nothing-overtakes"),
        pytest.param({"delay": "0.05s"}, "delay 50ms loss 10% reorder 25%", id="seconds"),
        pytest.param({"jitter": "5", "reorder": "0"}, "delay 25ms 5ms loss 10%", id="jitter"),
        pytest.param(
            {"duplicate": "5", "corrupt": "1"},
            "delay 25ms loss 10% duplicate 5% corrupt 1% reorder 25%",
            id="all",
        ),
        pytest.param({"netem": "loss 5% 25%"}, "loss 5% 25%", id="netem"),
        pytest.param({"netem": ""}, "", id="netem-empty"),
        pytest.param(
            {"delay": "1000", "rate": "5000"},
            "limit 10000 delay 1s loss 10% reorder 25%",
            id="room-for-all-that-wait",
        ),
    ],
)
def test_friendly_words_make_tcs_language(typed: dict[str, str], spec: str) -> None:
    assert udp(**typed) == spec


def test_seed_is_chosen_where_none_is_given_and_another_each_time() -> None:
    seeds = {experiment(Protocol.UDP, Wishes()).seed for _ in range(5)}
    assert None not in seeds
    assert len(seeds) > 1  # five times the same of 100 million: never


def test_seed_that_was_chosen_repeats_the_experiment() -> None:
    first = experiment(Protocol.UDP, Wishes())
    assert experiment(Protocol.UDP, Wishes(seed=str(first.seed))) == first


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_seed_of_one_direction_is_the_one_that_it_has_of_both(direction: str) -> None:
    both = experiment(Protocol.UDP, Wishes(seed="5")).impairment
    one = experiment(Protocol.UDP, Wishes(seed="5", direction=direction)).impairment
    assert one.of(Direction(direction)) == both.of(Direction(direction))


@pytest.mark.parametrize("direction", ["both", "ingress", "egress"])
def test_seed_in_netem_is_kept(direction: str) -> None:
    found = experiment(Protocol.UDP, Wishes(netem="loss 1% seed 9", direction=direction))
    assert (found.impairment.spec.seed, found.seed) == (9, None)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"loss": "many"}, "loss 'many': expected percent from 0 to 100, as in LOSS=10"),
        ({"loss": "101"}, "loss '101': expected percent from 0 to 100, as in LOSS=10"),
        ({"loss": "-1"}, "loss '-1': expected percent from 0 to 100, as in LOSS=10"),
        ({"loss": "nan"}, "loss 'nan': expected percent from 0 to 100, as in LOSS=10"),
        ({"loss": ""}, "loss '': expected percent from 0 to 100, as in LOSS=10"),
        ({"loss": "1e1"}, "loss '1e1': expected percent from 0 to 100, as in LOSS=10"),
        ({"loss": "٣"}, "loss '٣': expected percent from 0 to 100, as in LOSS=10"),
        ({"loss": "1.2.3"}, "loss '1.2.3': expected percent from 0 to 100, as in LOSS=10"),
        ({"delay": "5m"}, "delay '5m': expected milliseconds from 0 to 60,000, as in DELAY=50"),
        ({"delay": "61s"}, "delay '61s': expected milliseconds from 0 to 60,000, as in DELAY=50"),
        ({"jitter": "x"}, "jitter 'x': expected milliseconds from 0 to 60,000, as in JITTER=10"),
        ({"count": "0"}, "count '0': expected a number of messages from 1 to 50,000, as in COUNT=100"),
        (
            {"count": "50001"},
            "count '50001': expected a number of messages from 1 to 50,000, as in COUNT=100",
        ),
        ({"count": "1_0"}, "count '1_0': expected a number of messages from 1 to 50,000, as in COUNT=100"),
        ({"size": "7"}, "size '7': expected bytes from 8 to 1,472, as in SIZE=64"),
        ({"size": "1473"}, "size '1473': expected bytes from 8 to 1,472, as in SIZE=64"),
        ({"rate": "0"}, "rate '0': expected messages a second from 1 to 20,000, as in RATE=100"),
        ({"seed": "-1"}, "seed '-1': expected a number from 0 to 18,446,744,073,709,551,615, as in SEED=42"),
        ({"direction": "up"}, "direction 'up': expected one of both, ingress, egress, as in DIRECTION=both"),
        ({"engine": "steam"}, "engine 'steam': expected one of auto, kernel, userspace, as in ENGINE=auto"),
        ({"program": "ftp"}, "program 'ftp': expected one of stream, lecture, as in PROGRAM=stream"),
        (
            {"delay": "0", "reorder": "5"},
            (
                "reorder '5': expected a delay too, as in DELAY=50 REORDER=25: "
                "where nothing waits, nothing can be overtaken"
            ),
        ),
        (
            {"netem": "loss 5%", "loss": "5"},
            (
                "netem 'loss 5%': expected either netem, which says all, or loss, got both: "
                "put it into netem, as in NETEM='delay 50ms loss 10%'"
            ),
        ),
        (
            {"netem": "loss 5% seed 3", "seed": "4"},
            "seed '4': expected one seed, got another in netem: leave one out",
        ),
    ],
)
def test_wrong_word_is_refused_with_what_was_expected_and_an_example(
    typed: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(hints.STARTED_BY, "make")
    with pytest.raises(ScenarioError) as refused:
        experiment(Protocol.UDP, Wishes(**typed))
    assert str(refused.value) == said


def test_wrong_word_in_netem_is_named() -> None:
    wishes = Wishes(netem="delay 5ms loss lots")
    with pytest.raises(ScenarioError, match="netem: 'lots': expected a probability"):
        experiment(Protocol.UDP, wishes)


def test_line_over_tcp_may_be_longer_than_a_datagram_but_not_where_both_are_compared() -> None:
    big = Wishes(size="65535")
    assert experiment(Protocol.TCP, big).stream.size == 65_535
    with pytest.raises(ScenarioError, match="from 8 to 1,472"):
        experiment(Protocol.TCP, big, both_protocols=True)


def test_lectures_client_sends_fewer_for_a_loss_costs_it_a_time_out() -> None:
    stream = experiment(Protocol.UDP, Wishes(program="lecture")).stream
    assert (stream.program, stream.count) == (Program.LECTURE, 20)


def test_words_without_a_value_are_those_of_the_defaults() -> None:
    assert netem_words(Wishes()) == "delay 25ms loss 10% reorder 25%"


def test_longest_delay_covers_jitter_tails_and_a_slow_line() -> None:
    stream = experiment(Protocol.UDP, Wishes()).stream
    assert longest_delay_s(parse("delay 50ms 10ms"), stream) == pytest.approx(0.06)
    assert longest_delay_s(parse("delay 50ms 10ms distribution pareto"), stream) == pytest.approx(0.09)
    assert longest_delay_s(parse("rate 8kbit"), stream) == pytest.approx(13)
