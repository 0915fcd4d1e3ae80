"""The command line, without an engine: help, refusals, exit codes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import typer

from socketlab import cli, hints
from socketlab.checkout import ROOT
from socketlab.errors import ScenarioError
from tests import cleanliness, stages
from tests.complaints import complaints

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command where no engine is; return its exit code and what it wrote."""

    def run(*arguments: str, main: Callable[[], int | None] = cli.main) -> tuple[int, str, str]:
        monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        monkeypatch.setattr(sys, "argv", ["socketlab", *arguments])
        with pytest.raises(SystemExit) as ended:
            sys.exit(main())
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run


def test_the_command_is_installed_and_lists_what_it_can_do() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "socketlab", "--help"], capture_output=True, text=True, timeout=30, check=True
    )
    for command in ("up", "down", "client", "talk", "logs", "clean"):
        assert f" {command} " in shown.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["claims"]], ids=" ".join)
def test_command_that_needs_no_engine_loads_nothing_for_it(arguments: list[str]) -> None:
    code = f"""
import sys
sys.argv = ["socketlab", *{arguments}]
from socketlab import cli
try:
    cli.main()
finally:
    print(*sys.modules.keys() & {{"docker", "requests", "scapy"}}, file=sys.stderr)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == "\n"


@pytest.mark.parametrize("module", cli.COMMANDS)
def test_help_lists_the_commands_of_each_module_in_their_own_words(module: str) -> None:
    its_own = {name: command.help.splitlines()[0] for name, command in cli.of_module(module).items()}
    assert cli.COMMANDS[module] == its_own


def test_command_is_added_by_a_line_and_a_function(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # As docs/architecture.md has it.
    def fly(far: int) -> None:
        """Fly."""
        if far > 9:
            raise ScenarioError(f"expected at most 9, got {far}")
        typer.echo(f"flew {far}")

    module = ModuleType("socketlab.cli.wing_commands")
    monkeypatch.setattr(module, "add_to", lambda commands: commands.command()(fly), raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(cli.COMMANDS, "wing_commands", {"fly": "Fly."})
    assert run("--help")[1].count("Fly.") == 1
    assert run("fly", "3") == (0, "flew 3\n", "")
    assert run("fly", "30") == (2, "", "socketlab: expected at most 9, got 30\n")
    test_help_lists_the_commands_of_each_module_in_their_own_words("wing_commands")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["talk", "sctp", "hello"], id="protocol"),
        pytest.param(["talk", "udp"], id="no-line"),
        pytest.param(["talk", "udp", "x", "--timeout", "0"], id="timeout"),
        pytest.param(["talk", "udp", "two\nlines"], id="newline"),
        pytest.param(["up", "--server", "apache"], id="server"),
        pytest.param(["fly"], id="command"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_touched(run: Run, arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert "reach the Docker engine" not in err


@pytest.mark.parametrize("command", ["up", "clean"])
def test_an_engine_that_does_not_answer_is_one_line_and_exit_code_1(command: str) -> None:
    # In a process of its own: the SDK leaves its socket to the garbage collector when it cannot connect.
    failed = subprocess.run(
        [sys.executable, "-m", "socketlab", command],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent/docker.sock"},
    )
    assert failed.returncode == 1
    [complaint] = complaints(failed.stderr)
    assert complaint.startswith("socketlab: cannot ")
    assert complaint.endswith("see make doctor")


def test_an_unknown_stage_of_the_tests_is_refused(run: Run) -> None:
    refusal = f"stages: expected some of {', '.join(stages.STAGES)}, got speed\n"
    assert run("unit", "speed", main=stages.main) == (2, "", refusal)


def look_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left on the machine is another test's affair: these run beside others, also without Docker."""
    monkeypatch.setattr(cleanliness, "KINDS", {})
    monkeypatch.setattr(cleanliness, "reap", list)
    monkeypatch.setattr(sys, "argv", ["stages"])


def test_stages_side_by_side_run_together_and_speak_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    meeting = tmp_path / "meeting"
    os.mkfifo(meeting)
    # Each waits at the pipe for the other, after its first word.
    comes = "print('first', flush=True); open({!r}, {!r}).close(); print('second'); {}"
    programs = {
        "one": comes.format(str(meeting), "r", ""),
        "between": "print('between')",
        "two": comes.format(str(meeting), "w", "raise SystemExit(1)"),
    }
    three = {name: [[sys.executable, "-c", program]] for name, program in programs.items()}
    monkeypatch.setattr(stages, "STAGES", three)
    monkeypatch.setattr(stages, "SIDE_BY_SIDE", (("one", "two"),))
    look_at_nothing(monkeypatch)
    assert stages.main() == 1
    told = capfd.readouterr().out.split("--- ")
    assert told[0] == "side by side: one, two\n"
    assert told[1:4] == ["one\nfirst\nsecond\n", "two\nfirst\nsecond\n", "between\nbetween\n"]
    assert [line.split()[::3] for line in told[-1].splitlines() if " s  " in line][:3] == [
        ["one", "passed"],
        ["two", "FAILED"],
        ["between", "passed"],
    ]


def test_a_failing_stage_fails_the_run_and_the_others_still_run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    good = [sys.executable, "-c", "print('ran')"]
    bad = [sys.executable, "-c", "raise SystemExit(1)"]
    monkeypatch.setattr(stages, "STAGES", {"bad": [bad], "good": [good]})
    look_at_nothing(monkeypatch)
    assert stages.main() == 1
    shown = capfd.readouterr().out
    assert "ran\n" in shown
    assert "FAILED" in shown
    assert "passed" in shown


EXPERIMENTS = pytest.mark.parametrize("command", ["lossy-udp", "lossy-tcp", "compare"])


@EXPERIMENTS
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(
            ["--loss", "lots"], "loss 'lots': expected percent from 0 to 100, as in --loss 10", id="loss"
        ),
        pytest.param(["--count", "ten"], "count 'ten': expected a number of messages", id="count"),
        pytest.param(["--netem", "loss"], "netem: 'loss': expected a probability", id="netem"),
        pytest.param(["--netem", "delay 5ms", "--delay", "5"], "expected either netem", id="both"),
        pytest.param(
            ["--engine", "steam"], "engine 'steam': expected one of auto, kernel, userspace", id="engine"
        ),
        pytest.param(["--json", "/nowhere/result.json"], "there is no folder /nowhere", id="json"),
    ],
)
def test_wrong_experiment_is_refused_in_one_line_before_anything_is_touched(
    run: Run, command: str, arguments: list[str], complaint: str
) -> None:
    code, out, err = run(command, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("socketlab: ")
    assert complaint in err
    assert len(err.splitlines()) == 1


def test_wrong_timeline_is_refused(run: Run) -> None:
    refusal = "socketlab: timeline 'long': expected a number, all or none, as in --timeline 25\n"
    assert run("lossy-udp", "--timeline", "long") == (2, "", refusal)


@EXPERIMENTS
def test_experiment_without_an_engine_is_one_line_and_exit_code_1(command: str) -> None:
    failed = subprocess.run(
        [sys.executable, "-m", "socketlab", command],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent/docker.sock"},
    )
    assert failed.returncode == 1
    [complaint] = complaints(failed.stderr)
    assert complaint == (
        "socketlab: cannot reach the Docker engine: the engine does not answer: No such file or directory; "
        "see make doctor"
    )


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param(["LOSS=30", "SEED=1"], "--loss '30' --seed '1'", id="two"),
        pytest.param(["LOSS=0"], "--loss '0'", id="zero-is-a-value"),
        pytest.param(["NETEM=delay 5ms loss 10%"], "--netem 'delay 5ms loss 10%'", id="words"),
        pytest.param(["NETEM=x'; touch /nowhere; '"], r"--netem 'x'\''; touch /nowhere; '\'''", id="quotes"),
        pytest.param(
            ["JSON=a b.json", "PROGRAM=lecture"], "--program 'lecture' --json 'a b.json'", id="file"
        ),
        pytest.param([], "", id="none"),
    ],
)
def test_make_variables_become_options_whatever_is_in_them(variables: list[str], words: str) -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "--just-print", "compare", *variables],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=30,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    started = f"{hints.STARTED_BY}=make .venv/bin/socketlab compare"
    assert " ".join(shown.stdout.splitlines()[-1].split()) == f"{started} {words}".strip()
