"""The command `netem`: what it understands, what it sends, what it prints, and how it refuses."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import engines
import netem
import pytest
import sidecar
from control import Answer, Refused, Request
from lab.failures import Failure
from netem_impairment import Direction, Directions, Impairment, Spec, Traffic, parse

VARIABLES = ("NETEM", "NETEM_DIRECTION", "NETEM_TRAFFIC", "NETEM_ENGINE", "NETEM_INTERFACE", "LOG_FORMAT")
SEED = parse("loss 10% seed 42")


def answer(**changes: Any) -> Answer:
    """Return what a sidecar answers to `stats`."""
    counts = {"packets": 5000, "bytes": 420_000, "dropped": 497, "over_limit": 3, "overload": 2,
              "too_long": 0, "duplicated": 0, "corrupted": 0, "reordered": 0, "queued": 12}  # fmt: skip
    unknown = dict.fromkeys(("over_limit", "overload", "duplicated", "corrupted", "reordered"))
    return {
        "engine": "userspace",
        "reason": "this kernel has queues",
        "interface": "eth0",
        "epoch": 1,
        "impairment": {"spec": str(SEED), "directions": "both", "traffic": "all"},
        "directions": {
            "ingress": {"spec": "loss 10% seed 42", **counts},
            "egress": {"spec": "loss 10% seed 1763303280", **counts, **unknown, "packets": 0, "dropped": 0},
        },
        "idle": None,
        **changes,
    }


class Sent:
    """Stands for the sidecar: what it was asked, and what it is to answer."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.options: sidecar.Options | None = None
        self.answers: Answer | Failure = answer()

    def ask(self, request: Request) -> Answer:
        """Answer a request."""
        self.requests.append(request)
        if isinstance(self.answers, Failure):
            raise self.answers
        return self.answers

    def run(self, options: sidecar.Options) -> int:
        """Run."""
        self.options = options
        return 0


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    sent = Sent()
    monkeypatch.setattr(netem, "ask", sent.ask)
    monkeypatch.setattr(sidecar, "run", sent.run)
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    return sent


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, sent: Sent) -> Callable[..., int]:
    """Return a function that calls the command; the code is also that of a refused command line."""
    assert sent.requests == []

    def call(*arguments: str, **variables: str) -> int:
        monkeypatch.setattr(sys, "argv", ["netem", *arguments])
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        try:
            return netem.main()
        except SystemExit as ended:
            return int(str(ended.code))

    return call


Call = Callable[..., int]
Out = pytest.CaptureFixture[str]


# --- run


def test_run_takes_its_options_from_the_environment(call: Call, sent: Sent) -> None:
    assert call("run") == 0
    assert sent.options == sidecar.Options(Impairment(Spec()), "auto", "", "text")
    call(
        "run",
        NETEM="loss 10% seed 42",
        NETEM_DIRECTION="ingress",
        NETEM_TRAFFIC="udp:12000",
        NETEM_ENGINE="userspace",
        NETEM_INTERFACE="eth1",
        LOG_FORMAT="json",
    )
    impairment = Impairment(SEED, Directions.INGRESS, Traffic("udp", 12000))
    assert sent.options == sidecar.Options(impairment, "userspace", "eth1", "json")


def test_run_takes_arguments_before_the_environment(call: Call, sent: Sent) -> None:
    words = ["run", "loss", "10%", "seed", "42", "--direction=egress", "--traffic=icmp", "--engine=kernel"]
    variables = {"NETEM": "delay 1ms", "NETEM_DIRECTION": "both", "NETEM_INTERFACE": "eth1"}
    assert call(*words, "--interface", "eth2", **variables) == 0
    impairment = Impairment(SEED, Directions.EGRESS, Traffic("icmp"))
    assert sent.options == sidecar.Options(impairment, "kernel", "eth2", "text")


@pytest.mark.parametrize(
    ("variable", "value", "word"),
    [
        ("NETEM", "lossy 10%", "'lossy'"),
        ("NETEM", "loss ten", "'ten'"),
        ("NETEM_DIRECTION", "up", "'up'"),
        ("NETEM_TRAFFIC", "udp:0", "'udp:0'"),
        ("NETEM_ENGINE", "tc", "'tc'"),
        ("LOG_FORMAT", "xml", "'xml'"),
    ],
)
def test_run_refuses_a_wrong_variable_before_anything_is_touched(
    call: Call, sent: Sent, capfd: Out, variable: str, value: str, word: str
) -> None:
    assert call("run", **{variable: value}) == 2
    out, err = capfd.readouterr()
    assert (out, sent.options) == ("", None)
    assert err.count("\n") == 1
    assert err.startswith(f"netem: environment variable {variable}: ")
    assert word in err


def test_engines_of_the_command_line_are_those_that_exist() -> None:
    assert (engines.AUTO, *engines.KINDS) == netem.ENGINES


# --- what is sent


def test_set_sends_the_spec_and_only_what_was_said_of_the_rest(call: Call, sent: Sent) -> None:
    assert call("set", "loss", "10%", "seed", "42") == 0
    assert call("set", "loss 10%", "seed 42", "--direction", "egress", "--traffic", "udp") == 0
    assert call("set", "--direction=both", "delay", "1000us") == 0
    assert sent.requests == [
        {"command": "set", "spec": "loss 10% seed 42"},
        {"command": "set", "spec": "loss 10% seed 42", "directions": "egress", "traffic": "udp"},
        {"command": "set", "spec": "delay 1ms", "directions": "both"},
    ]


@pytest.mark.parametrize("command", ["show", "stats", "clear", "health"])
def test_other_commands_send_their_name(call: Call, sent: Sent, command: str) -> None:
    sent.answers = answer(problem=None)
    assert call(command) == 0
    assert sent.requests == [{"command": command}]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        pytest.param(["set", "lossy", "10%"], "'lossy'", id="word"),
        pytest.param(["set", "loss", "101%"], "'101%'", id="share"),
        pytest.param(["set", "loss", "1%", "--direction", "up"], "'up'", id="direction"),
        pytest.param(["set", "loss", "1%", "--traffic", "sctp"], "'sctp'", id="traffic"),
        pytest.param(["set"], "SPEC", id="no-spec"),
        pytest.param(["set", "loss", "1%", "--json"], "--json", id="option"),
        pytest.param(["run", "--engine", "tc"], "'tc'", id="engine"),
        pytest.param(["reboot"], "'reboot'", id="command"),
        pytest.param(["show", "more"], "more", id="argument"),
        pytest.param([], "COMMAND", id="nothing"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line_and_nothing_is_sent(
    call: Call, sent: Sent, capfd: Out, arguments: list[str], word: str
) -> None:
    assert call(*arguments) == 2
    out, err = capfd.readouterr()
    assert (out, sent.requests, sent.options) == ("", [], None)
    assert err.count("\n") == 1
    assert err.startswith("netem")
    assert word in err


def test_what_the_sidecar_refuses_ends_in_the_same_way(call: Call, sent: Sent, capfd: Out) -> None:
    sent.answers = Refused("loss: expected less")
    assert call("set", "loss", "10%") == 2
    assert capfd.readouterr().err == "netem: loss: expected less\n"


def test_failure_is_left_to_the_programs_own_end(call: Call, sent: Sent) -> None:
    sent.answers = Failure("no sidecar runs here")
    with pytest.raises(Failure, match="no sidecar"):
        call("stats")


def test_stats_are_of_an_impairment_that_was_verified_where_that_is_asked_for(call: Call, sent: Sent) -> None:
    assert call("stats", "--json") == call("stats", "--json", "--verify") == 0
    assert sent.requests == [{"command": "stats"}, {"command": "stats", "verify": "yes"}]


# --- what is printed


def test_stats_are_exact_and_leave_out_what_the_engine_cannot_say(call: Call, capfd: Out) -> None:
    assert call("stats") == 0
    assert capfd.readouterr().out.splitlines() == [
        "engine     userspace on eth0 (this kernel has queues)",
        "traffic    all but DNS",
        (
            "ingress    loss 10% seed 42   5,000 packets (420,000 bytes), 497 lost (9.94 %),"
            " 3 over the limit, 2 lost to overload, 0 duplicated, 0 corrupted, 0 sent ahead, 12 waiting"
        ),
        "egress     loss 10% seed 1763303280   0 packets (420,000 bytes), 0 lost, 12 waiting",
    ]


def test_stats_name_what_hardly_ever_happens_only_when_it_has(call: Call, sent: Sent, capfd: Out) -> None:
    found = answer()
    found["directions"]["ingress"]["too_long"] = 46
    sent.answers = found
    call("stats")
    ingress, egress = capfd.readouterr().out.splitlines()[2:]
    assert ingress.endswith("0 sent ahead, 46 too long, 12 waiting")
    assert "too long" not in egress


def test_show_says_whether_it_works(call: Call, sent: Sent, capfd: Out) -> None:
    sent.answers = answer(problem=None)
    call("show")
    assert capfd.readouterr().out.splitlines() == [
        "engine     userspace on eth0 (this kernel has queues)",
        "traffic    all but DNS",
        "ingress    loss 10% seed 42",
        "egress     loss 10% seed 1763303280",
        "working    yes",
    ]
    sent.answers = answer(problem="the rule is gone")
    call("show")
    assert capfd.readouterr().out.splitlines()[-1] == "working    no: the rule is gone"


def test_cleared_sidecar_says_so(call: Call, sent: Sent, capfd: Out) -> None:
    sent.answers = answer(impairment=None, directions={})
    call("clear")
    assert capfd.readouterr().out.splitlines() == [
        "engine     userspace on eth0 (this kernel has queues)",
        "impaired   nothing (netem set SPEC begins again)",
    ]


def test_sidecar_without_an_interface_says_that_nothing_is_impaired(
    call: Call, sent: Sent, capfd: Out
) -> None:
    problem = "nothing is impaired: eth0 is gone"
    sent.answers = answer(engine=None, reason="eth0 is gone", impairment=None, directions={}, problem=problem)
    call("show")
    assert capfd.readouterr().out.splitlines() == [
        "engine     none: eth0 is gone",
        "impaired   nothing",
        "working    no: nothing is impaired: eth0 is gone",
    ]


def test_spec_that_does_nothing_is_called_nothing(call: Call, sent: Sent, capfd: Out) -> None:
    found = {"spec": "", "directions": "both", "traffic": "udp"}
    sent.answers = answer(impairment=found, directions={Direction.INGRESS: {"spec": ""}}, problem=None)
    call("show")
    assert capfd.readouterr().out.splitlines()[1:3] == ["traffic    udp", "ingress    nothing"]


@pytest.mark.parametrize("command", ["show", "stats"])
def test_json_is_what_the_sidecar_answered_on_one_line(
    call: Call, sent: Sent, capfd: Out, command: str
) -> None:
    assert call(command, "--json") == 0
    out = capfd.readouterr().out
    assert json.loads(out) == sent.answers
    assert out.count("\n") == 1


def test_health_says_nothing_while_packets_pass(call: Call, capfd: Out) -> None:
    assert call("health") == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("command", ["health", "show", "stats"])
def test_idle_impairment_is_no_failure_and_is_named(call: Call, sent: Sent, capfd: Out, command: str) -> None:
    sent.answers = answer(idle="no packet has passed", problem=None)
    assert call(command) == 0
    out, err = capfd.readouterr()
    if command == "health":
        assert (out, err) == ("", "netem: no packet has passed\n")
    else:
        assert (out.splitlines()[-1], err) == ("idle       no packet has passed", "")


@pytest.mark.parametrize("command", ["run", "set", "show", "stats", "clear", "health"])
def test_help_names_the_variables_and_options(call: Call, capfd: Out, command: str) -> None:
    assert call(command, "--help") == 0
    text = capfd.readouterr().out
    named = {"run": ["--direction", "--traffic", "--engine", "--interface", *VARIABLES[:5]],
             "set": ["--direction", "--traffic"], "show": ["--json"], "stats": ["--json"]}  # fmt: skip
    assert [word for word in named.get(command, []) if word not in text] == []


def test_command_runs_by_a_link_from_anywhere(tmp_path: Path) -> None:
    # As in the image, where a link on the PATH leads to it.
    link = tmp_path / "netem"
    link.symlink_to(netem.__file__)
    done = subprocess.run([link, "set", "lossy"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("netem: 'lossy': expected one of limit, delay, ")


@pytest.mark.parametrize(
    ("problems", "code", "out", "err"),
    [
        pytest.param(
            {"kernel": "no sch_netem", "userspace": None},
            0,
            "kernel does not work: no sch_netem; userspace works\n",
            "",
            id="one-works",
        ),
        pytest.param(
            {"kernel": "a", "userspace": "b"},
            1,
            "kernel does not work: a; userspace does not work: b\n",
            "netem: modprobe\n",
            id="none-works",
        ),
    ],
)
def test_probe_says_which_engines_work(
    call: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    problems: dict[str, str | None],
    code: int,
    out: str,
    err: str,
) -> None:
    monkeypatch.setattr(engines, "problems", lambda: problems)
    monkeypatch.setattr(engines, "remedy", lambda: "modprobe")
    assert call("probe") == code
    assert capfd.readouterr() == (out, err)


# --- control


def test_control_answers_lines_until_its_input_ends(
    call: Call, sent: Sent, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    lines = b'{"command": "set", "spec": "loss 10%"}\n{"command": "stats"}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert call("control") == 0
    assert sent.requests == [{"command": "set", "spec": "loss 10%"}, {"command": "stats"}]
    first, second = map(json.loads, capsysbinary.readouterr().out.splitlines())
    assert first == second == {"exit": 0, "answer": answer()}
