"""What became of each datagram, by the journals of both hosts; and when nobody can know."""

import re
from dataclasses import replace

import pytest
from netem_impairment import Counters, Direction

from socketlab.analyse import figures, result
from socketlab.analyse.asked import Share
from socketlab.analyse.fates import Fate
from socketlab.analyse.messages import copies, rate_reached, story
from socketlab.describe.scenario import Program, Protocol, Stream
from socketlab.errors import TraceError
from socketlab.observe.evidence import Evidence
from socketlab.observe.evidence import sidecar as read_sidecar
from socketlab.observe.trace import Event
from tests.unit import runs
from tests.unit.runs import CLIENT, FIVE, MS, SERVER, Run, Sent, fact, udp

A, GOING, BACK, LOST, UNKNOWN = (
    Fate.ANSWERED,
    Fate.LOST_GOING,
    Fate.LOST_COMING_BACK,
    Fate.LOST,
    Fate.UNMEASURED,
)


def fates(run: Run, evidence: Evidence) -> list[Fate]:
    return [message.fate for message in story(run.stream, evidence).messages]


def test_each_message_has_the_fate_that_the_journals_tell() -> None:
    told = story(FIVE.stream, FIVE.seen())
    assert [message.fate for message in told.messages] == [A, GOING, BACK, A, A]
    assert told.faults == ()
    assert (told.sent, told.arrived, told.replied, told.returned) == (5, 4, 4, 3)


def test_times_are_counted_from_the_first_message() -> None:
    first, _second, third, *_others = story(FIVE.stream, FIVE.seen()).messages
    assert (first.sent, first.arrivals, first.replies, first.answers) == (
        0,
        (25 * MS,),
        (25 * MS,),
        (50 * MS,),
    )
    assert (third.sent, third.arrivals, third.answers, third.round_trip) == (20 * MS, (45 * MS,), (), None)
    assert first.round_trip == 50 * MS


def test_who_is_overtaken_is_out_of_order_with_its_extent() -> None:
    messages = story(FIVE.stream, FIVE.seen()).messages
    # Arrivals at the server: 1 5 3 4. Three is one place behind five, four is two.
    assert [message.late_going for message in messages] == [None, None, 1, 2, None]
    assert [message.late_back for message in messages] == [None, None, None, 1, None]


def test_a_copy_is_a_copy_and_its_message_is_answered_once() -> None:
    run = Run({1: Sent(0, (5, 6), (8, 9)), 2: Sent(10, (11,), (12, 13))})
    told = story(run.stream, run.seen())
    assert [message.fate for message in told.messages] == [A, A]
    assert all(message.duplicated for message in told.messages)
    assert copies(told) == {"going": 1, "coming back": 1}  # the two answers to two copies are no copies


def test_an_answer_after_the_time_out_is_late_but_no_loss() -> None:
    run = Run({1: Sent(0, (50,), (100,)), 2: Sent(1, (50,), (101.1,))})
    first, second = story(run.stream, run.seen()).messages
    assert (first.fate, first.late, second.fate, second.late) == (A, False, A, True)


def test_an_answer_with_other_bytes_is_no_answer() -> None:
    run = Run({1: Sent(0, (1,), (2,))}, more=(fact("damaged", 2.001, seq=1),))
    [message] = story(run.stream, run.seen()).messages
    assert message.damaged
    # It is not lost either, and who has changed it is not known.
    assert message.fate is Fate.UNANSWERED


def test_without_the_servers_journal_nobody_knows_where_a_message_was_lost() -> None:
    assert fates(FIVE, FIVE.seen(server=None)) == [A, LOST, LOST, A, A]


def test_what_others_send_to_the_server_is_not_ours() -> None:
    assert story(FIVE.stream, FIVE.seen()).arrived == 4  # runs.Run has one more, of somebody else


def test_lectures_client_is_known_by_its_port_alone() -> None:
    # It never asks for its own address: its journal has 0.0.0.0, the server's the real one.
    client = (
        udp("sendto", 1, 0, local="0.0.0.0:7", peer=SERVER),
        replace(fact("unanswered", 2000), line=1),
    )
    server = (udp("recvfrom", 1, 1, local=SERVER, peer="10.0.0.3:7"),
              udp("sendto", 1, 1, local=SERVER, peer="10.0.0.3:7"))  # fmt: skip
    stream = Stream(Protocol.UDP, count=1, program=Program.LECTURE)
    [message] = story(stream, Evidence(client, server)).messages
    assert message.fate is BACK


# --- what is never a loss


BROKEN = [
    pytest.param({"broken": ("the sidecar: gone",)}, "the sidecar: gone", id="said"),
    pytest.param({"after": None}, "could not be asked for its counters", id="no-counters-after"),
    pytest.param(
        {"after": replace(runs.sidecar(), started_ns=18)}, "the sidecar was restarted", id="restarted"
    ),
    pytest.param(
        {"after": replace(runs.sidecar(), epoch=4)},
        "was reconnected, or given another impairment,",
        id="another-epoch",
    ),
    pytest.param(
        {
            "before": runs.sidecar(ingress=Counters(packets=9)),
            "after": runs.sidecar(ingress=Counters(packets=8)),
        },
        "counters of ingress went backwards",
        id="backwards",
    ),
    pytest.param(
        {"after": runs.sidecar(egress=Counters(packets=4, overload=1))},
        r"1 packets were lost to overload \(egress\)",
        id="overload",
    ),
    pytest.param(
        {"after": runs.sidecar(egress=Counters(packets=4, queued=2))},
        r"2 packets were still on their way \(egress\)",
        id="queued",
    ),
    pytest.param({"client": FIVE.client()[:-1]}, "the client's journal was cut off", id="client-cut"),
    pytest.param(
        {"server": FIVE.server()[3:]}, "journal lacks 1 messages that were answered", id="server-cut"
    ),
    pytest.param(
        {"server": (*FIVE.server(), udp("recvfrom", 9, 70, local=SERVER, peer=CLIENT))},
        "messages that were never sent",
        id="server-knows-more",
    ),
]


@pytest.mark.parametrize(("change", "why"), BROKEN)
def test_broken_measurement_is_unmeasured_and_never_a_loss(change: dict[str, object], why: str) -> None:
    evidence = FIVE.seen(**change)
    told = story(FIVE.stream, evidence)
    assert [message.fate for message in told.messages] == [A, UNKNOWN, UNKNOWN, A, A]
    assert any(re.search(why, fault) for fault in told.faults), told.faults
    broken = result.result(FIVE.experiment, evidence)
    assert broken.exit_code == 4
    assert isinstance(broken, result.UdpResult)
    assert broken.shares == ()  # no figure is made of it


def test_without_the_clients_journal_everything_is_unmeasured() -> None:
    evidence = FIVE.seen(client=None)
    assert fates(FIVE, evidence) == [UNKNOWN] * 5
    assert result.result(FIVE.experiment, evidence).exit_code == 4


def test_message_that_was_never_sent_is_unmeasured() -> None:
    run = Run({1: Sent(0, (1,), (2,))}, count=2, more=(fact("unsent", 3, seq=2, reason="no buffers"),))
    assert fates(run, run.seen()) == [A, UNKNOWN]
    assert result.result(run.experiment, run.seen()).exit_code == 4


def test_message_that_the_server_did_not_answer_is_not_the_networks_loss() -> None:
    run = Run({1: Sent(0, (1,), (), replies=())})
    assert fates(run, run.seen()) == [Fate.UNANSWERED]
    assert result.result(run.experiment, run.seen()).exit_code == 0


def test_lectures_client_that_ended_early_leaves_the_rest_unmeasured() -> None:
    client = (udp("sendto", 1, 0, local=CLIENT, peer=SERVER), replace(fact("unanswered", 2000), line=1))
    stream = Stream(Protocol.UDP, count=2, program=Program.LECTURE)
    told = story(stream, Evidence(client, ()))
    assert [message.fate for message in told.messages] == [UNKNOWN, UNKNOWN]


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"directions": {"up": {}}}', "netem: gone"])
def test_sidecar_that_says_something_else_is_no_evidence(text: str) -> None:
    with pytest.raises(TraceError, match="expected the sidecar's counters as JSON"):
        read_sidecar(text)


# --- figures


def test_figures_count_each_way_by_itself() -> None:
    shares = figures.shares(FIVE.experiment, story(FIVE.stream, FIVE.seen()), FIVE.seen(), ())
    lost = {figure.way: (figure.happened, figure.of) for figure in shares if figure.what == "lost"}
    assert lost == {"going": (1, 5), "coming back": (1, 4)}
    assert [figure.asked for figure in shares if figure.what == "lost"] == [pytest.approx(0.1)] * 2


def test_replies_to_copies_are_no_trial_of_the_way_back() -> None:
    run = Run({1: Sent(0, (5, 6), (8,)), 2: Sent(10, (11,), ())})
    shares = figures.shares(run.experiment, story(run.stream, run.seen()), run.seen(), ())
    [back] = [figure for figure in shares if figure.way == "coming back"]
    assert (back.happened, back.of) == (1, 1)


def test_answer_with_other_bytes_has_arrived_and_is_no_loss_of_the_network() -> None:
    run = Run({1: Sent(0, (5,), (8,)), 2: Sent(10, (11,), (14,))}, more=(fact("damaged", 15, seq=2),))
    told = story(run.stream, run.seen())
    assert told.messages[1].fate is Fate.UNANSWERED
    shares = figures.shares(run.experiment, told, run.seen(), ())
    [back] = [figure for figure in shares if figure.way == "coming back"]
    assert (back.happened, back.of) == (0, 2)


def test_figure_that_chance_does_not_explain_says_so() -> None:
    figure = figures._figure("lost", "going", Share(0.1, 0.1), 400, 1000)
    assert not figure.explained
    assert figures._figure("lost", "going", Share(0.1, 0.1), 103, 1000).explained
    # No trial, no verdict.
    empty = figures._figure("lost", "going", Share(0.1, 0.1), 0, 0)
    assert (empty.share, empty.explained) == (None, True)


def test_delays_are_one_way_and_of_first_copies() -> None:
    run = Run({1: Sent(0, (25, 30), (60,)), 2: Sent(10, (36,), (60,))}, spec="delay 25ms")
    going, back = figures.delays(run.experiment.impairment, story(run.stream, run.seen()))
    assert (going.asked, going.happened.least, going.happened.most) == (25 * MS, 25 * MS, 26 * MS)
    assert (back.happened.count, back.happened.median) == (1, 24 * MS)


def test_rate_that_was_reached_is_measured_not_asked() -> None:
    run = Run(
        {number: Sent(10.0 * number, (10.0 * number + 1,), (10.0 * number + 2,)) for number in range(1, 12)}
    )
    assert rate_reached(run.stream, story(run.stream, run.seen())) == pytest.approx(100)


def test_one_message_has_no_rate_and_no_variation() -> None:
    run = Run({1: Sent(0, (1,), (2,))})
    told = story(run.stream, run.seen())
    assert rate_reached(run.stream, told) is None
    trips = figures.round_trips(told)
    assert trips is not None
    assert (trips.median, trips.step_mean, trips.variation_p95) == (2 * MS, None, 0)


def test_journal_of_a_server_that_stamps_no_numbers_is_useless_not_empty() -> None:
    # A server of others, whose journal has no seq: then its silence about a message means nothing.
    mute = tuple(
        Event(event.time_ns, "server", event.event, "udp", SERVER, CLIENT, 64) for event in FIVE.server()
    )
    told = story(FIVE.stream, FIVE.seen(server=mute))
    assert told.count(GOING) == 0
    assert told.count(UNKNOWN) == 2  # for it lacks messages that were answered


def test_specs_of_directions_are_kept() -> None:
    assert set(runs.sidecar("loss 1% seed 5").specs) == set(Direction)
