"""What a killed run leaves is removed; what is alive, and what only looks like ours, stays."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import docker
import pytest
from netem_impairment import leases

from socketlab import checkout
from socketlab.checkout import ROOT
from socketlab.hosts.docker.compose_project import PROJECT_LABEL, ComposeProject
from tests import cleanliness, leftovers, stages
from tests.leftovers import TEST_LABEL

AS_ROOT = os.geteuid() == 0 and shutil.which("ip") is not None

# A run of tests, in the middle: a lab, a network and a host beside it, and two network namespaces.
RUN = """
import sys, time
from contextlib import ExitStack
from tests.namespaces import Host, joined
from netem_impairment import leases
from socketlab.hosts.docker.docker_engine import connect
from socketlab.hosts.docker.compose_project import ComposeProject
from tests.integration.hosts import Hosts
lab = ComposeProject(leases.take())
lab.start()
beside = Hosts(connect())
beside.start(beside.network(), ["sleep", "600"])
with ExitStack() as todo:
    name = leases.take()
    if sys.argv[1] == "root":
        todo.enter_context(joined(name, Host))
    print(lab.name, name, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def killed(project: ComposeProject) -> Iterator[list[str]]:
    """The names of a run that was killed in the middle."""
    del project  # which has built the images
    words = [sys.executable, "-c", RUN, "root" if AS_ROOT else ""]
    running = subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "services" / "netem")},
    )  # fmt: skip
    assert running.stdout is not None
    names = running.stdout.readline().split()
    assert len(names) == 2, "the run did not begin"
    assert not any(leases.is_free(name) for name in names)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    yield names
    leftovers.reap()


@pytest.fixture
def strangers(engine: docker.DockerClient) -> Iterator[list[str]]:
    """Things of somebody else, whose names are like ours: a container, a network, a network namespace."""
    name = "socketlab-test-0badcafe"  # as ours, also by the labels; but nobody has taken it
    labels = {PROJECT_LABEL: name, TEST_LABEL: name}
    with ExitStack() as todo:
        container = engine.containers.create(checkout.image("client"), name=f"{name}-server-1", labels=labels)
        todo.callback(container.remove, force=True)
        network = engine.networks.create(f"{name}_lab", internal=True, labels=labels)
        todo.callback(network.remove)
        if AS_ROOT:
            subprocess.run(["ip", "netns", "add", f"{name}-near"], check=True)
            todo.callback(subprocess.run, ["ip", "netns", "delete", f"{name}-near"], check=True)
        yield [str(container.name), str(network.name)]


# What a careless test does: it makes a host, and forgets it.
FORGET = """
from socketlab import checkout
from netem_impairment import leases
from socketlab.hosts.docker.docker_engine import connect
from tests.leftovers import TEST_LABEL
name = leases.take()
made = connect().containers.create
made(checkout.image("client"), name=name, labels={TEST_LABEL: name})
"""


def test_host_that_a_stage_leaves_fails_the_run_and_goes_with_the_next(
    project: ComposeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del project  # which has built the image
    monkeypatch.setattr(stages, "STAGES", {"careless": [[sys.executable, "-c", FORGET]]})
    monkeypatch.setattr(sys, "argv", ["stages"])
    # The rest of the machine is not this test's alone; and the next run is for it to say when.
    kinds = {"containers, networks, images": cleanliness.on_engine}
    monkeypatch.setattr(cleanliness, "KINDS", kinds)
    with monkeypatch.context() as patched:
        patched.setattr(cleanliness, "reap", list)
        assert stages.main() == 1
    left = re.search(r"left: (container socketlab-test-[0-9a-f]{8})", capsys.readouterr().out)
    assert left, "it was not told"
    assert f"removed what a killed run has left: {left[1]}" in cleanliness.reap()


def on_engine(engine: docker.DockerClient) -> set[str]:
    containers = {str(one.name) for one in engine.containers.list(all=True, ignore_removed=True)}
    return containers | {str(one.name) for one in engine.networks.list()}


def test_what_a_killed_run_has_left_is_removed_and_nothing_else(
    killed: list[str], project: ComposeProject, strangers: list[str], engine: docker.DockerClient
) -> None:
    left_lab, namespace = killed
    before = on_engine(engine)
    assert f"{left_lab}-server-1" in before
    assert not AS_ROOT or f"{namespace}-near" in leftovers.namespaces()
    removed = leftovers.reap()
    assert {f"container {left_lab}-server-1", f"network {left_lab}_lab"} <= set(removed)
    # The host beside the lab, and its network; their names were taken, too.
    assert len([thing for thing in removed if thing.startswith(("container", "network socketlab"))]) >= 4
    after = on_engine(engine)
    assert not {name for name in after if name.startswith(left_lab)}
    assert f"{project.name}-server-1" in after, "a lab that is in use was removed"
    assert set(strangers) <= after
    left = leftovers.namespaces()
    assert not {name for name in left if name.startswith(namespace)}
    assert not AS_ROOT or "socketlab-test-0badcafe-near" in left
    assert left_lab not in leases.known()
