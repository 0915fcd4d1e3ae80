"""One seam: whatever a command asks of its hosts works on every backend, and gives the same."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from netem_impairment import leases
from typer.testing import CliRunner

from socketlab import hosts
from socketlab.cli import app
from socketlab.describe.scenario import Engine, Servers
from socketlab.hosts.backend import Backend
from socketlab.hosts.docker.compose_project import ComposeProject
from socketlab.hosts.netns.netns_lab import NetnsLab

Run = Callable[..., str]
EXPERIMENT = ("--engine", "userspace", "--seed", "1", "--rate", "200", "--timeline", "none")


def containers(project: str, servers: Servers | None = None) -> Backend:
    return ComposeProject(project, servers)


def namespaces(project: str, servers: Servers | None = None) -> Backend:
    return NetnsLab(project, servers or Servers.LECTURE)


@pytest.fixture(params=[containers, namespaces])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command on hosts of this backend; return its output. They are gone in the end."""
    if request.param is namespaces and (os.geteuid() != 0 or shutil.which("ip") is None):
        pytest.skip("network namespaces need root and the command ip (iproute2)")
    name = leases.take()
    monkeypatch.setattr(hosts, "backend", request.param)
    try:
        yield lambda *words: ended(*words, "--project", name)
    finally:
        with closing(request.param(name)) as lab:
            lab.stop()


def ended(*words: str) -> str:
    """Run a command to its end, in this process; return what it prints."""
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_up_shows_both_journals_in_order_of_time(run: Run) -> None:
    lines = [line.partition(" | ") for line in run("up").splitlines() if " | " in line]
    assert {host.strip().partition("-")[0] for host, _bar, _text in lines} == {"client", "server"}
    times = [text[:15] for _host, _bar, text in lines if text[:2].isdecimal() and text[2] == ":"]
    assert times == sorted(times)
    assert [text for _host, _bar, text in lines].count("NAÏVE STRASSE, ΕΛΛΆΔΑ") == 2


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_talk_is_answered(run: Run, protocol: str) -> None:
    assert '"hello"  => "HELLO"' in run("talk", protocol, "hello")


def test_a_claim_is_shown(run: Run) -> None:
    assert "2 shown, 0 refuted" in run("lecture", "U7", "T1").lower()


lost: dict[str, Any] = {}


def test_the_same_seed_loses_the_same_datagrams_everywhere(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    run("lossy-udp", *EXPERIMENT, "--json", str(file))
    (result,) = json.loads(file.read_text(encoding="utf-8"))["results"]
    assert result["network"]["engine"] == Engine.USERSPACE
    fates = [message["fate"] for message in result["story"]["messages"]]
    assert "lost going" in fates
    # The first backend that this is run on says what all others must say.
    assert lost.setdefault("going", [one for one, fate in enumerate(fates) if fate == "lost going"]) == [
        one for one, fate in enumerate(fates) if fate == "lost going"
    ]


def test_bytes_arrive_over_tcp(run: Run) -> None:
    assert "100 of 100, in the order in which they were sent" in run("lossy-tcp", *EXPERIMENT)


def test_packets_are_explained(run: Run, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if "namespaces" in request.node.name and shutil.which("tcpdump") is None:
        pytest.skip("tcpdump is not installed: containers bring their own")
    shown = run("capture", "--file", str(tmp_path / "packets.pcapng"))
    assert "SYN: asks for a connection" in shown
