"""The whole sidecar in a network namespace: alone there, whatever container it is in."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from host import Ended
from netem_impairment import leases

from tests.impairment.hosts import PORT, Host, reaches
from tests.impairment.sidecars import PROGRAM, SidecarProcess
from tests.namespaces import ip, joined

Start = Callable[..., SidecarProcess]
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


# --- when its host is disconnected


@pytest.fixture
def plugged() -> Iterator[tuple[Host, Host]]:
    """Two hosts of this test's own, whose cable it may unplug."""
    with joined(leases.take(), Host) as pair:
        yield pair


def unplug(near: Host) -> None:
    """Disconnect a host: its interface is gone."""
    ip("-n", near.name, "link", "del", near.interface)


def plug(near: Host, far: Host, interface: str) -> Host:
    """Connect a host again, by an interface of this name; return it."""
    ip(
        "link",
        "add",
        interface,
        "netns",
        near.name,
        "type",
        "veth",
        "peer",
        "name",
        "eth0",
        "netns",
        far.name,
    )
    for host, name in ((far, "eth0"), (near, interface)):
        ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", name)
        ip("-n", host.name, "link", "set", name, "up")
    return replace(near, interface=interface)


@pytest.mark.parametrize("interface", ["eth0", "eth1"])
def test_impairment_comes_back_with_the_interface(
    start: Start, plugged: tuple[Host, Host], interface: str
) -> None:
    near, far = plugged
    clean = near.firewall()
    sidecar = start("loss", "1%", host=near)
    sidecar.wait_until_working()
    started_ns = sidecar.answer("show")["started_ns"]
    assert sidecar.call("set", "loss", "100%", "--traffic", "udp")[0] == 0
    # As Docker does. A file that goes on naming the host says that it runs elsewhere now, and a sidecar
    # of ten seconds believes it: on a busy machine before this test is done.
    named = sidecar.hosts_file.read_text()
    sidecar.hosts_file.write_text("")
    unplug(near)
    sidecar.wait_for("the end of the interface", lambda: sidecar.call("health")[0] == 1)
    gone = "the network interface eth0 is gone: its host was disconnected, restarted or stopped"
    problem = f"nothing is impaired: {gone}; waiting for one to impair"
    assert sidecar.call("health") == (1, f"netem: {problem}\n")
    assert sidecar.call("set", "loss", "1%") == (1, f"netem: {problem}\n")
    assert sidecar.call("show") == (
        0,
        f"engine     none: {gone}\nimpaired   nothing\nworking    no: {problem}\n",
    )
    assert near.firewall() == clean
    near = plug(near, far, interface)
    sidecar.hosts_file.write_text(named)
    sidecar.wait_until_working()
    shown = sidecar.answer("show")
    assert (shown["interface"], shown["epoch"], shown["started_ns"]) == (interface, 3, started_ns)
    assert shown["impairment"] == {"spec": "loss 100%", "directions": "both", "traffic": "udp"}
    assert reaches(near, far, PORT) == reaches(far, near, PORT) == 0
    assert sidecar.call("clear")[0] == 0
    assert reaches(near, far, PORT) == 3
    assert sidecar.stop() == 0
    log = sidecar.log()
    assert log[2:4] == [
        "apply loss 100% (direction both, traffic udp)",
        f"gone {gone}; nothing is impaired until it has one again",
    ]
    assert log[4].startswith(f"engine userspace on {interface}: ")
    assert log[5:] == ["apply loss 100% (direction both, traffic udp)", "clear nothing is impaired", "stop"]
    assert near.firewall() == clean


def test_interface_that_is_changed_for_another_at_once_is_impaired(
    start: Start, plugged: tuple[Host, Host]
) -> None:
    near, far = plugged
    sidecar = start("loss", "100%", host=near)
    sidecar.wait_until_working()
    sidecar.process.send_signal(signal.SIGSTOP)  # it hears of both at one moment
    unplug(near)
    near = plug(near, far, "eth0")
    sidecar.process.send_signal(signal.SIGCONT)
    sidecar.wait_for("the new interface", lambda: sidecar.answer("show")["epoch"] == 2)
    sidecar.wait_until_working()
    assert reaches(near, far, PORT) == 0
    assert sidecar.call("clear")[0] == 0
    assert reaches(near, far, PORT) == 3
    assert sidecar.stop() == 0


def test_interface_that_is_named_and_comes_back_by_another_name_is_not_guessed(
    start: Start, plugged: tuple[Host, Host]
) -> None:
    near, far = plugged
    sidecar = start("loss", "100%", "--interface", "eth0", host=near)
    sidecar.wait_until_working()
    unplug(near)
    near = plug(near, far, "eth1")
    sidecar.wait_for("eth1", lambda: "; there is eth1: NETEM_INTERFACE chooses" in sidecar.call("health")[1])
    assert reaches(near, far, PORT) == 3
    assert sidecar.stop() == 0


def test_sidecar_ends_when_nothing_says_that_the_host_comes_back(
    start: Start, plugged: tuple[Host, Host]
) -> None:
    near, _far = plugged
    sidecar = start("loss", "1%", host=near, hosts_file="")
    sidecar.wait_until_working()
    unplug(near)
    assert sidecar.ended() == 1
    assert sidecar.log()[-1] == f"gone {Ended.UNKNOWN}"


# --- where no packet comes


def test_impairment_of_the_wrong_interface_names_the_other(start: Start, plugged: tuple[Host, Host]) -> None:
    near, far = plugged
    ip("link", "add", "eth1", "netns", near.name, "type", "veth", "peer", "name", "eth1", "netns", far.name)
    there = [replace(host, interface="eth1", address=host.address.replace("97", "98")) for host in plugged]
    for host in there:
        ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth1")
        ip("-n", host.name, "link", "set", "eth1", "up")
    sidecar = start(
        "loss", "100%", "--interface", "eth1", "--direction", "ingress", "--traffic", "udp", host=near
    )
    sidecar.wait_until_working()
    assert reaches(far, near, PORT) == 3
    code, said = sidecar.call("health")
    assert code == 0, "an interface may be idle"
    nothing = r"netem: no packet has passed since this was set \d+ s ago"
    other = r"eth0 carried \d+: NETEM_INTERFACE=eth0 impairs those"
    own = r"eth1 carried \d+ others: none is direction ingress, traffic udp"  # its neighbours' affairs
    assert re.fullmatch(f"{nothing}; {other}(; {own})?\n", said), said
    for command in ("show", "stats"):
        assert "\nidle       no packet has passed since" in sidecar.call(command)[1]
    assert reaches(there[1], there[0], PORT) == 0
    assert sidecar.call("health") == (0, "")
    assert sidecar.answer("stats")["idle"] is None
    assert sidecar.stop() == 0


# --- the log of packets behind an impairment
