"""The command `socketlab lecture` as a user runs it: what it prints and writes, and what it leaves."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from netem_impairment import leases

from socketlab.checkout import ROOT
from socketlab.hosts.docker.docker_engine import connect

PATIENCE_S = 60.0


@pytest.fixture
def project() -> str:
    """A name that no other run has."""
    return leases.take()


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    """The engine, by the SDK."""
    client = connect()
    yield client
    client.close()


def left(engine: docker.DockerClient, project: str) -> list[str]:
    """Return what there is of a project."""
    wanted: dict[str, str | list[str] | bool] = {"label": f"com.docker.compose.project={project}"}
    containers = [str(one.name) for one in engine.containers.list(all=True, filters=wanted)]
    return containers + [str(one.name) for one in engine.networks.list(filters=wanted)]


def command(*arguments: str) -> list[str]:
    return [
        "env",
        "--default-signal=INT",
        sys.executable,
        "-m",
        "socketlab",
        "lecture",
        *arguments,
    ]


def lecture(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, cwd=ROOT, timeout=PATIENCE_S
    )


def test_claim_is_told_and_written_and_nothing_is_left(
    project: str, engine: docker.DockerClient, tmp_path: Path
) -> None:
    file = tmp_path / "run.json"
    done = lecture("u3", "--project", project, "--json", str(file))
    assert done.returncode == 0, done.stderr
    assert "1 shown, 0 refuted, 0 could not be measured" in done.stdout
    (told,) = json.loads(file.read_text(encoding="utf-8"))["claims"]
    assert (told["id"], told["outcome"]) == ("U3", "shown")
    assert all(value in done.stdout for check in told["checks"] for value in check["evidence"].values())
    assert left(engine, project) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["X1"], "expected ids of claims, as U7 or T4, got X1", id="unknown-claim"),
        pytest.param(["--seed", "one"], "seed 'one': expected a number", id="seed"),
        pytest.param(["--engine", "magic"], "engine 'magic': expected one of", id="engine"),
        pytest.param(["--json", "/nowhere/run.json"], "there is no folder /nowhere", id="folder"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line_before_anything_is_done(
    project: str, engine: docker.DockerClient, arguments: list[str], said: str
) -> None:
    done = lecture("--project", project, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert left(engine, project) == []


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGINT, 130, id="ctrl-c"), pytest.param(signal.SIGTERM, 143, id="sigterm")],
)
def test_lecture_that_is_interrupted_leaves_nothing(
    project: str, engine: docker.DockerClient, number: signal.Signals, code: int
) -> None:
    with subprocess.Popen(
        command("--project", project),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        while "shown" not in running.stdout.readline():  # the first claim; at its end readline() gives ""
            assert running.poll() is None, running.stderr.read()
        running.send_signal(number)
        assert running.wait(PATIENCE_S) == code
        assert "Traceback" not in running.stderr.read()
    assert left(engine, project) == []
