"""What a student reads, and what a program reads."""

import io
import json
import re
import shlex
from dataclasses import replace

import pytest
from netem_impairment import Counters, Directions, parse

from socketlab import hints
from socketlab.analyse import result
from socketlab.analyse.messages import story
from socketlab.analyse.result import TcpResult, UdpResult
from socketlab.describe import wishes
from socketlab.describe.scenario import Experiment, Protocol
from socketlab.describe.wishes import Wishes
from socketlab.show import experiment_report, lessons
from socketlab.show.terminal import Colour, Terminal, terminal
from socketlab.show.waiting import Progress
from tests.unit import runs
from tests.unit import test_experiment_stream_over_tcp as over_tcp
from tests.unit.runs import FIVE, Run, Sent

PLAIN = Terminal(80)


@pytest.fixture(autouse=True)
def by_make(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hints are those that make's users read."""
    monkeypatch.setenv(hints.STARTED_BY, "make")


def udp(run: Run = FIVE, **changes: object) -> UdpResult:
    found = result.result(run.experiment, run.seen(**changes))
    assert isinstance(found, UdpResult)
    return found


def tcp(**changes: object) -> TcpResult:
    experiment = Experiment(over_tcp.STREAM, FIVE.experiment.impairment)
    found = result.result(experiment, over_tcp.seen(**changes))
    assert isinstance(found, TcpResult)
    return found


def shown(found: UdpResult | TcpResult, messages: int | None = 0) -> list[str]:
    return experiment_report.as_text(found, PLAIN, messages).splitlines()


def test_fates_are_told_with_their_numbers() -> None:
    lines = shown(udp())
    assert lines[:4] == [
        "5 datagrams of 64 bytes, 100 a second, whatever becomes of them",
        "through: delay 25ms loss 10% reorder 25% (both ways)",
        "seed: netem's 1 going, 1973633002 coming back",
        "engine: userspace (made up)",
    ]
    assert "answered                         3" in lines
    assert "lost going                       1  #2" in lines
    assert "lost coming back                 1  #3" in lines
    assert "out of order at the server       2  by up to 2 places: #3 #4" in lines
    assert "counters     going: 5 came, 1 dropped, 4 arrived: agrees" in lines


def test_seed_that_repeats_a_run_is_shown_with_those_that_netem_had() -> None:
    experiment = replace(FIVE.experiment, seed=42)
    found = replace(udp(), experiment=experiment)
    assert "seed: SEED=42; netem's 1 going, 1973633002 coming back" in shown(found)
    assert "Try    make lossy-tcp SEED=42: the same network, and who repairs it" in shown(found)
    assert "seed: SEED=42" in shown(replace(found, network=None))


@pytest.mark.parametrize(
    ("typed", "again"),
    [
        pytest.param({"seed": "3"}, "SEED=3", id="defaults"),
        pytest.param({"seed": "3", "rate": "5000", "delay": "1000"},
                     "NETEM='limit 10000 delay 1s loss 10% reorder 25%' SEED=3", id="other-words"),
        pytest.param({"netem": "loss 5% seed 9", "direction": "egress"},
                     "NETEM='loss 5% seed 9' DIRECTION=egress", id="seed-in-netem"),
        pytest.param({"netem": "", "seed": "3"}, "LOSS=0 DELAY=0 SEED=3", id="nothing"),
    ],
)  # fmt: skip
def test_hint_repeats_the_network(typed: dict[str, str], again: str) -> None:
    experiment = wishes.experiment(Protocol.UDP, Wishes(**typed))
    assert hints.command("lossy-tcp", **lessons.network(experiment)) == f"make lossy-tcp {again}"
    words = {name.lower(): value for name, _equals, value in (
        word.partition("=") for word in shlex.split(again))}  # fmt: skip
    assert wishes.experiment(Protocol.UDP, Wishes(**words)).impairment == experiment.impairment


def test_figure_has_what_was_asked_what_happened_and_the_interval() -> None:
    messages = {
        n: Sent(n, () if n % 10 == 0 else (n + 25,), () if n % 10 == 0 else (n + 50,)) for n in range(1, 1001)
    }
    lines = shown(udp(Run(messages, spec="delay 25ms loss 10% seed 1")))
    assert "lost, going                   10 %      10 %  (7.1 to 13.5)  100 of 1,000" in lines


def test_figure_that_chance_does_not_explain_is_said_to_be_so() -> None:
    messages = {n: Sent(n, () if n % 2 else (n + 1,), () if n % 2 else (n + 2,)) for n in range(1, 201)}
    lines = shown(udp(Run(messages, spec="loss 10% seed 1")))
    assert any(
        "by chance this happens in fewer than 1 of 1,000 runs: 10 % is outside" in line for line in lines
    )


def test_model_without_a_single_number_says_what_it_comes_to() -> None:
    lines = shown(udp(replace(FIVE, spec="loss gemodel 5% 45% seed 1")))
    assert any(re.match(r"lost, going +model ", line) for line in lines)
    assert any("in the long run that comes to 10 % of all messages" in line for line in lines)
    assert any("one draw depends on the last" in line for line in lines)


def test_unmeasured_run_has_no_figures_and_says_why() -> None:
    lines = shown(udp(broken=("the sidecar: it is gone",)))
    assert "unmeasured   the sidecar: it is gone" in lines
    assert any(
        "what became of 2 messages is not known: that is no evidence of a loss" in line for line in lines
    )
    assert not any("interval" in line for line in lines)
    assert lines[-2] == "Learn  a measurement that broke shows nothing, not even a loss"


def test_books_that_do_not_balance_name_what_is_missing() -> None:
    after = runs.sidecar(FIVE.spec, ingress=Counters(packets=5), egress=FIVE.counters()["egress"])
    text = "\n".join(shown(udp(after=after)))
    assert "counters     going: 5 came, 0 dropped, 4 arrived: does not add up" in text
    assert "unmeasured   1 were let through and nobody has them (going)" in text


def test_everything_lost_is_a_sane_table() -> None:
    run = Run({n: Sent(10 * n) for n in range(1, 21)}, spec="delay 25ms loss 100% reorder 25% seed 1")
    lines = shown(udp(run), 5)
    assert "lost going                      20  #1-20" in lines
    assert any(re.match(r"lost, going +100 % +100 %", line) for line in lines)
    assert any("none came so far" in line for line in lines)


def test_everything_answered_is_a_sane_table() -> None:
    run = Run({n: Sent(10 * n, (10 * n,), (10 * n,)) for n in range(1, 21)}, spec="seed 1")
    text = "\n".join(shown(udp(run), None))
    assert "through: a network that nothing is done to" in text
    assert f"Try    {hints.command('lossy-udp', loss=10)}" in text


def test_numbers_in_a_row_are_a_range_and_too_many_are_counted() -> None:
    assert experiment_report._numbers([1, 2, 4, 5, 6, 9], 80) == "#1 #2 #4-6 #9"
    assert experiment_report._numbers(list(range(1, 200, 2)), 40) == "#1 #3 #5 #7 #9 #11 #13 and 93 more"
    assert experiment_report._numbers([], 40) == ""


def test_tcp_tells_what_it_cost() -> None:
    lines = shown(tcp())
    assert lines[0] == "4 lines of 10 bytes over one TCP connection, 100 a second, whatever becomes of them"
    assert "answered            4 of 4, all in order" in lines
    assert "bytes               40 of 40 came back: the same bytes" in lines
    assert (
        "sent again          segments: 3 by the client, 0 by the server; 1 timers ran out at the client"
        in lines
    )
    assert any(line.startswith("head of the line    2 lines lay behind an earlier one") for line in lines)


def test_tcp_that_did_not_connect_is_one_line_of_the_result() -> None:
    reason = replace(runs.fact("gave_up", 9), reason="cannot connect to server, port 12000: timed out")
    found = tcp(
        client=(runs.fact("start", 0, counters=runs.HOST), reason, runs.fact("end", 10, counters=runs.HOST)),
        server=(),
    )
    lines = shown(found, None)
    assert "gave up             cannot connect to server, port 12000: timed out" in lines
    assert found.exit_code == 0


def test_comparison_stands_side_by_side() -> None:
    text = experiment_report.comparison(udp(), tcp(), PLAIN)
    assert re.search(r"^answered +3 +4$", text, re.MULTILINE)
    assert re.search(r"^lost for good +2 +0$", text, re.MULTILINE)
    assert re.search(r"^all bytes came back +no +yes, the same SHA-256$", text, re.MULTILINE)
    assert "who repaired" in text


def test_comparison_of_a_broken_run_calls_nothing_lost() -> None:
    text = experiment_report.comparison(udp(broken=("gone",)), tcp(), PLAIN)
    assert re.search(r"^lost for good +not measured +0$", text, re.MULTILINE)


def test_no_line_is_wider_than_the_terminal_but_for_sentences() -> None:
    table = [line for line in shown(udp(), None) if not re.match("counters|Learn|Try", line)]
    assert max(map(len, table)) <= 80


def test_json_has_every_message_and_reads_back() -> None:
    data = json.loads(experiment_report.as_json([udp(), tcp()]))
    assert data["version"] == 2
    first, second = data["results"]
    assert (first["protocol"], second["protocol"]) == ("udp", "tcp")
    assert first["experiment"]["impairment"]["spec"] == "delay 25ms loss 10% reorder 25% seed 1"
    assert [message["fate"] for message in first["story"]["messages"]] == [
        "answered", "lost going", "lost coming back", "answered", "answered",
    ]  # fmt: skip
    assert first["experiment"]["seed"] is None
    assert first["network"]["specs"]["egress"].endswith("seed 1973633002")
    assert first["shares"][0]["interval"].keys() == {"low", "high"}
    assert second["connection"]["bytes"]["sha256_came"] == "e"


def test_same_run_gives_the_same_text() -> None:
    assert shown(udp(), None) == shown(udp(), None)
    assert story(FIVE.stream, FIVE.seen()) == story(FIVE.stream, FIVE.seen())


# --- the terminal


class Stream(io.StringIO):
    """A stream with an encoding, which may be a terminal."""

    def __init__(self, encoding: str, tty: bool) -> None:
        super().__init__()
        self._encoding, self._tty = encoding, tty

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a StringIO has none
        """Return what it was made with."""
        return self._encoding

    def isatty(self) -> bool:
        """Return what it was made with."""
        return self._tty


@pytest.mark.parametrize(
    ("encoding", "tty", "environment", "colour", "unicode"),
    [
        pytest.param("utf-8", True, {"TERM": "xterm"}, True, True, id="terminal"),
        pytest.param("utf-8", False, {"TERM": "xterm"}, False, True, id="pipe"),
        pytest.param("utf-8", True, {"TERM": "dumb"}, False, True, id="dumb"),
        pytest.param("utf-8", True, {"TERM": "xterm", "NO_COLOR": "1"}, False, True, id="no-color"),
        pytest.param("utf-8", True, {"TERM": "xterm", "NO_COLOR": ""}, True, True, id="no-color-empty"),
        pytest.param("ascii", True, {"TERM": "xterm"}, True, False, id="ascii"),
        pytest.param("latin-1", False, {}, False, False, id="latin-1"),
        pytest.param("no such encoding", False, {}, False, False, id="unknown"),
    ],
)
def test_terminal_shows_what_it_can(
    encoding: str, tty: bool, environment: dict[str, str], colour: bool, unicode: bool
) -> None:
    found = terminal(Stream(encoding, tty), environment)
    assert (found.colour, found.unicode) == (colour, unicode)


@pytest.mark.parametrize(
    ("spec", "directions", "told"),
    [
        pytest.param("delay 25ms loss 10% reorder 25%", Directions.BOTH, 2, id="sent-ahead"),
        pytest.param("delay 25ms loss 10% reorder 25%", Directions.EGRESS, 1, id="one-way"),
        pytest.param("delay 25ms loss 10%", Directions.BOTH, 0, id="none-sent-ahead"),
    ],
)
def test_median_delay_says_that_those_sent_ahead_are_among_them(
    spec: str, directions: Directions, told: int
) -> None:
    impairment = replace(FIVE.experiment.impairment, spec=parse(spec), directions=directions)
    found = udp()
    lines = shown(replace(found, experiment=replace(found.experiment, impairment=impairment)))
    medians = [number for number, line in enumerate(lines) if "median; from" in line]
    ahead = [number for number, line in enumerate(lines) if "those sent ahead without it" in line]
    assert len(medians) == 2
    assert ahead == [number + 1 for number in medians][2 - told :]


@pytest.mark.parametrize("found", [udp(), tcp()], ids=["udp", "tcp"])
def test_plain_terminal_gets_plain_ascii_where_that_is_all_it_can(found: UdpResult | TcpResult) -> None:
    experiment_report.as_text(found, Terminal(80, unicode=False), None).encode("ascii")


def test_paint_leaves_nothing_behind() -> None:
    assert Terminal(colour=True).paint("x", Colour.BAD) == "\033[31mx\033[0m"
    assert Terminal(colour=True).paint("x", Colour.PLAIN) == "x"
    assert Terminal(colour=False).paint("x", Colour.BAD) == "x"


def test_progress_is_one_line_that_goes_away_and_short_runs_have_none() -> None:
    stream = io.StringIO()
    progress = Progress(stream, wanted=True, protocol="udp")
    progress.show(0.5, 50, 40, 5000)
    assert stream.getvalue() == ""
    progress.show(2, 200, 180, 5000)
    assert stream.getvalue().strip() == "2 s  200 of 5,000 sent, 180 answered"
    progress.done()
    assert stream.getvalue().endswith("\r")
    assert "\n" not in stream.getvalue()


def test_progress_says_nothing_into_a_file() -> None:
    stream = io.StringIO()
    Progress(stream, wanted=False, protocol=Protocol.TCP).show(9, 0, 0, 10)
    assert stream.getvalue() == ""
