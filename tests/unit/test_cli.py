"""The command line, without an engine: help, refusals, exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import stages

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, module: str = "socketlab", **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


def test_without_arguments_the_commands_are_listed() -> None:
    shown = run()
    for command in ("up", "down", "client", "talk", "logs", "clean"):
        assert command in shown.stdout + shown.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["talk", "sctp", "hello"], id="protocol"),
        pytest.param(["talk", "udp"], id="no-line"),
        pytest.param(["talk", "udp", "x", "--timeout", "0"], id="timeout"),
        pytest.param(["up", "--server", "apache"], id="server"),
        pytest.param(["fly"], id="command"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_touched(arguments: list[str]) -> None:
    refused = run(*arguments, DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert "reach the Docker engine" not in refused.stderr


@pytest.mark.parametrize("command", ["up", "down", "logs", "clean"])
def test_an_engine_that_does_not_answer_is_one_line_and_exit_code_1(command: str) -> None:
    failed = run(command, DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert failed.returncode == 1
    assert len(failed.stderr.splitlines()) == 1
    assert failed.stderr.startswith("socketlab: cannot ")
    assert failed.stderr.endswith("see make doctor\n")


def test_an_unknown_stage_of_the_tests_is_refused() -> None:
    refused = run("unit", "speed", module="tests.stages")
    assert refused.returncode == 2
    assert refused.stderr == f"stages: expected some of {', '.join(stages.STAGES)}, got speed\n"


def test_a_failing_stage_fails_the_run_and_the_others_still_run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", "print('ran')"]
    monkeypatch.setattr(
        stages, "STAGES", {"bad": [[sys.executable, "-c", "raise SystemExit(1)"]], "good": [command]}
    )
    monkeypatch.setattr(sys, "argv", ["stages"])
    assert stages.main() == 1
    shown = capfd.readouterr().out
    assert "ran\n" in shown
    assert "FAILED" in shown
    assert "passed" in shown
