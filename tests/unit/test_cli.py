"""The command line, without an engine: help, refusals, exit codes."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from socketlab import cli
from tests import stages

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
    assert len(failed.stderr.splitlines()) == 1
    assert failed.stderr.startswith("socketlab: cannot ")
    assert failed.stderr.endswith("see make doctor\n")


def test_an_unknown_stage_of_the_tests_is_refused(run: Run) -> None:
    refusal = f"stages: expected some of {', '.join(stages.STAGES)}, got speed\n"
    assert run("fast", "speed", main=stages.main) == (2, "", refusal)


def test_a_failing_stage_fails_the_run_and_the_others_still_run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    good = [sys.executable, "-c", "print('ran')"]
    bad = [sys.executable, "-c", "raise SystemExit(1)"]
    monkeypatch.setattr(stages, "STAGES", {"bad": [bad], "good": [good]})
    monkeypatch.setattr(sys, "argv", ["stages"])
    assert stages.main() == 1
    shown = capfd.readouterr().out
    assert "ran\n" in shown
    assert "FAILED" in shown
    assert "passed" in shown
