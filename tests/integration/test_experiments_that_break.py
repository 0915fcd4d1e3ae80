"""Experiments that are disturbed, or that cannot be done: they say so, and leave the network clean."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import cast

import docker
import pytest

from socketlab.run import leases
from socketlab.run.lab import ROOT, Lab
from tests.integration.command import Command, numbers


def wait_until(what: str, condition: Callable[[], bool], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def messages_at_the_server(lab: Lab) -> int:
    """How many numbered datagrams the server's log has; 0 as long as there is no server."""
    return sum('"seq"' in line for _time, _host, line in lab.log("server"))


def assert_the_network_is_clean(lab: Lab) -> None:
    code, shown = lab.container("netem").exec_run(["netem", "show"])
    assert code == 0
    assert b"nothing" in cast("bytes", shown), shown


def assert_no_client_is_left(lab: Lab) -> None:
    assert [len(lab.containers(service)) for service in ("client", "netem", "server")] == [0, 1, 1]


def test_sidecar_that_is_killed_leaves_messages_unmeasured_never_lost(experiments: Command) -> None:
    experiments("lossy-udp", "--netem", "loss 50%", "--count", "2")  # the lab is up
    before = messages_at_the_server(experiments.lab)
    running = experiments.start("lossy-udp", "--netem", "loss 50%", "--count", "400", "--timeline", "none")
    wait_until("datagrams", lambda: messages_at_the_server(experiments.lab) > before + 10)
    experiments.lab.container("netem").kill()
    code, out, err = experiments.finish(running)
    assert code == 4, f"{out}\n{err}"
    assert "unmeasured   the sidecar" in out
    assert re.search(r"^lost going +0$", out, re.MULTILINE)
    assert re.search(r"^lost coming back +0$", out, re.MULTILINE)
    assert "99.9 % interval" not in out
    # The next run starts another one.
    [result], _text = experiments("lossy-udp", "--netem", "loss 50%", "--count", "20")
    assert result["exit_code"] == 0
    assert_no_client_is_left(experiments.lab)


def test_client_that_is_killed_leaves_everything_unmeasured(
    experiments: Command, engine: docker.DockerClient
) -> None:
    experiments("lossy-udp", "--netem", "loss 50%", "--count", "2")
    before = messages_at_the_server(experiments.lab)
    running = experiments.start("lossy-udp", "--netem", "loss 50%", "--count", "400", "--timeline", "none")
    wait_until("datagrams", lambda: messages_at_the_server(experiments.lab) > before + 10)
    [client] = engine.containers.list(filters={"name": f"{experiments.lab.project}-client-"})
    client.kill()
    code, out, err = experiments.finish(running)
    assert code == 4, f"{out}\n{err}"
    assert re.search(r"^unmeasured +400  #1-400$", out, re.MULTILINE)
    assert_the_network_is_clean(experiments.lab)


@pytest.mark.parametrize(
    ("signum", "code"),
    [pytest.param(signal.SIGINT, 130, id="ctrl-c"), pytest.param(signal.SIGTERM, 143, id="sigterm")],
)
def test_run_that_is_interrupted_leaves_a_clean_network_and_no_client(
    experiments: Command, signum: signal.Signals, code: int
) -> None:
    experiments("lossy-udp", "--count", "2")
    before = messages_at_the_server(experiments.lab)
    running = experiments.start("lossy-udp", "--loss", "50", "--count", "3000")
    wait_until("datagrams", lambda: messages_at_the_server(experiments.lab) > before + 10)
    running.send_signal(signum)
    ended, out, err = experiments.finish(running, 20)
    assert ended == code, f"{out}\n{err}"
    assert "Traceback" not in err
    assert_the_network_is_clean(experiments.lab)
    assert_no_client_is_left(experiments.lab)
    [result], _text = experiments("lossy-udp", "--netem", "", "--count", "20")
    assert len(numbers(result, "answered")) == 20


def test_spec_that_the_engine_cannot_do_is_refused_by_name_and_nothing_is_left(experiments: Command) -> None:
    running = experiments.start("lossy-udp", "--netem", "slot 10ms")
    code, _out, err = experiments.finish(running)
    assert code == 1
    assert len(err.splitlines()) == 1, err
    assert "slot" in err
    assert_the_network_is_clean(experiments.lab)


def test_engine_that_is_not_there_is_refused_in_one_line_and_its_sidecar_removed(
    experiments: Command,
) -> None:
    running = experiments.start("lossy-udp", "--engine", "kernel", "--count", "5")
    code, out, err = experiments.finish(running)
    if code == 0:  # this kernel has netem
        assert "engine: kernel" in out
        return
    assert code == 1
    assert err.startswith("socketlab: the sidecar does not work: ")
    assert len(err.splitlines()) == 1, err
    assert experiments.lab.containers("netem") == []


def test_wrong_word_is_refused_before_anything_is_touched() -> None:
    untouched = Lab(leases.take())
    with closing(untouched):
        done = subprocess.run(
            [sys.executable, "-m", "socketlab", "lossy-udp", "--loss", "x", "--project", untouched.project],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode == 2
        assert done.stderr == "socketlab: loss 'x': expected percent from 0 to 100, as in LOSS=10\n"
        assert untouched.containers("server") == []
