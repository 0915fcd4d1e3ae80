"""Experiments that cannot be done say so, and leave the network clean. Disturbed ones: campaigns/faults."""

import subprocess
import sys
from contextlib import closing
from typing import cast

from netem_impairment import leases

from socketlab.checkout import ROOT
from socketlab.hosts.docker.compose_project import ComposeProject
from tests.complaints import complaints
from tests.integration.command import Command


def assert_the_network_is_clean(lab: ComposeProject) -> None:
    code, shown = lab.container("netem").exec_run(["netem", "show"])
    assert code == 0
    assert b"nothing" in cast("bytes", shown), shown


def test_spec_that_the_engine_cannot_do_is_refused_by_name_and_nothing_is_left(experiments: Command) -> None:
    running = experiments.start("lossy-udp", "--netem", "slot 10ms")
    code, _out, err = experiments.finish(running)
    assert code == 1
    [complaint] = complaints(err)
    assert "slot" in complaint
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
    [complaint] = complaints(err)
    assert complaint.startswith("socketlab: the sidecar does not work: ")
    assert experiments.lab.containers("netem") == []


def test_wrong_word_is_refused_before_anything_is_touched() -> None:
    untouched = ComposeProject(leases.take())
    with closing(untouched):
        done = subprocess.run(
            [sys.executable, "-m", "socketlab", "lossy-udp", "--loss", "x", "--project", untouched.name],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode == 2
        assert done.stderr == "socketlab: loss 'x': expected percent from 0 to 100, as in --loss 10\n"
        assert untouched.containers("server") == []
