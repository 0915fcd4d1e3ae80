"""The whole sidecar in a network namespace: alone there, whatever container it is in."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bench.hosts import ROOT, joined
from socketlab.run import leases
from tests.impairment.hosts import PORT, Host, reaches
from tests.impairment.sidecars import PROGRAM, SidecarProcess

Start = Callable[..., SidecarProcess]
INSIDE = str(ROOT / "services" / "capture" / "inside.py")
WORKS = ("--engine", "userspace")


@pytest.fixture
def start(near: Host) -> Iterator[Start]:
    """Start sidecars that end with the test; the rules must then be as they were."""
    before = near.firewall()
    with ExitStack() as stack:

        def start_one(*words: str, host: Host = near, hosts_file: str | None = None) -> SidecarProcess:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="sl-")))
            sidecar = SidecarProcess(host, folder, *WORKS, *words, hosts_file=hosts_file)
            stack.callback(sidecar.close)
            return sidecar

        yield start_one
    assert near.firewall() == before


def test_second_sidecar_in_another_container_is_refused_and_touches_nothing(
    start: Start, near: Host, far: Host
) -> None:
    first = start("loss", "100%")
    first.wait_until_working()
    rules = near.firewall()
    second = start("loss", "1%")
    assert second.ended() == 1
    assert " ".join(second.log()) == (
        "netem: another sidecar is at work in this network (userspace on eth0), expected none: stop it first,"
        " or use `netem set` in its container"
    )
    assert near.firewall() == rules
    assert first.call("health")[0] == 0
    assert reaches(near, far, PORT) == 0
    assert first.stop() == 0


def test_sidecar_comes_after_one_that_was_killed_or_is_just_ending(start: Start) -> None:
    first = start("loss", "100%")
    first.wait_until_working()
    assert first.stop(signal.SIGKILL) == -9
    second = start("loss", "1%")
    second.wait_until_working()
    second.process.send_signal(signal.SIGTERM)
    third = start("loss", "2%")
    third.wait_until_working()
    assert (second.ended(), third.stop()) == (0, 0)


def test_sidecars_of_two_hosts_do_not_mind_each_other(start: Start, near: Host, far: Host) -> None:
    both = [start("loss", "1%", host=host) for host in (near, far)]
    for sidecar in both:
        sidecar.wait_until_working()
    assert [sidecar.stop() for sidecar in both] == [0, 0]


def test_probe_beside_a_sidecar_changes_nothing(start: Start, near: Host, far: Host) -> None:
    sidecar = start("loss", "100%")
    sidecar.wait_until_working()
    before = near.firewall(), json.loads(near.run("ip", "-json", "link"))
    for _ in range(3):
        near.run("python3", PROGRAM, "probe")
        assert sidecar.call("health")[0] == 0
    assert (near.firewall(), json.loads(near.run("ip", "-json", "link"))) == before
    assert reaches(near, far, PORT) == 0
    assert sidecar.stop() == 0


# --- the log of packets behind an impairment


def test_second_log_of_packets_is_refused_and_leaves_the_firsts_rules() -> None:
    with joined(leases.take(), Host) as (near, _far):  # a network of its own: the bare tables stay
        hold = near.command(sys.executable, INSIDE, "hold")
        first = subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert first.stdout is not None
            assert first.stdout.readline() == b"ready\n"
            rules = near.firewall()
            assert "NFLOG" in rules
            second = subprocess.run(hold, input=b"", capture_output=True, check=False)
            refusal = b"inside: another program logs the packets of this network already, expected none: "
            assert (second.returncode, second.stderr.startswith(refusal)) == (1, True), second
            assert near.firewall() == rules
        finally:
            first.communicate()
        assert (first.returncode, "capture" in near.firewall()) == (0, False)
