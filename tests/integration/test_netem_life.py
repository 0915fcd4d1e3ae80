"""The life of a sidecar on real containers: its health, its end, and its host's.

What is in the network's namespace is looked up there by a container of its own, never asked of the sidecar.
"""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import docker
import pytest
from docker.models.containers import Container
from netem_impairment import leases

from socketlab.hosts.docker.compose_project import ComposeProject
from socketlab.hosts.docker.images import ROLES
from tests.integration.hosts import IMAGE as HOST_IMAGE
from tests.integration.hosts import Hosts
from tests.integration.sidecar import (
    WITHIN_S,
    Attach,
    Sidecar,
    eventually,
    finished,
    stream,
    wait_until_working,
)

pytestmark = pytest.mark.usefixtures("netem_image")


@pytest.fixture(scope="session")
def breakable() -> Iterator[ComposeProject]:
    """A lab for the tests of this file; each of them finds it as if it were new."""
    with closing(ComposeProject(leases.take())) as lab:
        try:
            yield lab
        finally:
            lab.stop()


@pytest.fixture
def fresh(
    breakable: ComposeProject, engine: docker.DockerClient, request: pytest.FixtureRequest
) -> Iterator[Sidecar]:
    """The sidecar of a lab, for what stops or breaks either. Not started yet."""
    failed = request.session.testsfailed
    breakable.start()
    yield Sidecar(breakable, engine)
    for sidecar in breakable.containers("netem"):
        sidecar.stop(timeout=60)  # one that is killed leaves its rules for its successor
        sidecar.remove()
    if request.session.testsfailed > failed:
        breakable.stop()


# --- whether it works


def test_health_fails_while_the_program_sleeps(fresh: Sidecar) -> None:
    fresh.start("loss 1%", HEALTHCHECK_INTERVAL="1s")
    assert fresh.call("health")[0] == 0
    fresh.signal("STOP")
    assert fresh.call("health") == (
        1,
        "netem: the sidecar does not answer within 4 s: it is stopped\n",
    )

    def health() -> bool:
        fresh.container.reload()
        return bool(fresh.container.attrs["State"]["Health"]["Status"] == "unhealthy")

    eventually("Docker to say that it is unhealthy", health)
    fresh.signal("CONT")
    fresh.wait_until_working()


def test_health_fails_when_somebody_takes_the_impairment_away(fresh: Sidecar) -> None:
    fresh.start("loss 1%")
    away = {
        "userspace": "iptables -t raw -F",
        "kernel": "tc qdisc del dev eth0 root; tc qdisc del dev eth0 ingress",
    }
    fresh.inside(away[fresh.stats()["engine"]])
    code, said = fresh.call("health")
    assert code == 1
    assert said.count("\n") == 1
    assert fresh.call("show")[1].splitlines()[-1] == f"working    no: {said.removeprefix('netem: ').strip()}"
    # What is applied anew is whole again.
    assert fresh.call("set", "loss", "1%")[0] == 0
    assert fresh.call("health")[0] == 0


# --- what it leaves


def test_stopped_sidecar_leaves_the_network_as_it_was_at_once(fresh: Sidecar) -> None:
    before = fresh.network()
    begun = time.monotonic()
    fresh.start("delay 10ms loss 5%")
    start_s = time.monotonic() - begun
    during = fresh.network()
    assert during != before
    fresh.signal("TERM")
    begun = time.monotonic()
    code = fresh.container.wait(timeout=WITHIN_S)["StatusCode"]
    # On an idle machine the end takes a fifth of the start, on a busy one both take longer.
    assert time.monotonic() - begun < start_s
    assert code == 0
    assert fresh.log()[-1] == "stop"
    assert fresh.network() == before


def test_killed_sidecar_leaves_clean_traffic_and_its_successor_a_clean_network(
    fresh: Sidecar, hosts: Hosts, tmp_path: Path
) -> None:
    before = fresh.network()
    fresh.start("loss 100%")
    userspace = fresh.stats()["engine"] == "userspace"
    during = fresh.network()
    fresh.container.kill()
    fresh.container.wait(timeout=WITHIN_S)
    if userspace:  # of the kernel's engine the qdisc stays at work, until the next sidecar comes
        assert finished(stream(hosts, fresh.lab, tmp_path, 50)) == (50, 50)
    assert fresh.network() == during
    fresh.start("delay 1ms", NETEM_DIRECTION="ingress")
    assert fresh.network() != during
    fresh.container.stop(timeout=60)
    assert fresh.network() == before


def test_lab_that_is_stopped_leaves_no_sidecar(fresh: Sidecar, engine: docker.DockerClient) -> None:
    fresh.start("loss 1%")
    fresh.lab.stop()
    assert not any(fresh.lab.containers(role) for role in ROLES)
    assert engine.networks.list(filters={"label": f"com.docker.compose.project={fresh.lab.name}"}) == []


# --- when its host ends


def rejoined(sidecar: Sidecar, started: str) -> None:
    """Wait until a sidecar that was started after `started` is at work, in the server's network of now."""

    def another() -> bool:
        container = sidecar.container
        return container.status == "running" and container.attrs["State"]["StartedAt"] != started

    eventually("a sidecar that is started again", another)
    sidecar.wait_until_working()
    assert any("NFQUEUE" in line or "netem" in line for line in sidecar.network())


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("docker-restart", id="docker-restart"),
        pytest.param("compose-restart", id="compose-restart"),
        pytest.param("crash-and-start-later", id="crash-and-start-later"),
    ],
)
def test_sidecar_joins_its_host_again(fresh: Sidecar, hosts: Hosts, tmp_path: Path, how: str) -> None:
    fresh.start("loss 100%")
    before = fresh.container.attrs["State"]["StartedAt"]
    server = fresh.lab.container("server")
    if how == "docker-restart":
        server.restart(timeout=3)
    elif how == "compose-restart":
        assert fresh.compose("restart", "server", NETEM="loss 100%").returncode == 0
    else:
        # While the host is not there, an engine that tried to start the sidecar would give up for ever.
        server.kill()
        eventually("the end of its network", lambda: "gone" in " ".join(fresh.log()[-1:]))
        time.sleep(
            2
        )  # it must not come back to nothing meanwhile: longer than it takes to believe in a return
        fresh.container.reload()
        assert fresh.container.status == "running"
        assert fresh.call("health")[0] == 1
        server.start()
    rejoined(fresh, before)
    answers, _different = finished(stream(hosts, fresh.lab, tmp_path, 50))
    assert answers == 0
    assert fresh.stats()["directions"]["ingress"]["dropped"] == 50


@pytest.mark.parametrize("anew", [False, True], ids=["removed", "made-anew"])
def test_sidecar_of_a_removed_host_ends_and_says_so(fresh: Sidecar, anew: bool) -> None:
    fresh.start("loss 1%")
    sidecar = fresh.container
    if anew:
        assert fresh.compose("up", "--detach", "--force-recreate", "server").returncode == 0
    else:
        fresh.lab.container("server").remove(force=True)

    def ended() -> bool:
        sidecar.reload()
        return sidecar.status == "exited"

    eventually("its end", ended)
    assert sidecar.attrs["State"]["ExitCode"] == 1
    assert fresh.log()[-1] == (
        "gone      the host is removed, and what runs in its place is not impaired: start a new sidecar there"
        " (docker compose up --detach)"
    )
    # Compose makes both anew, or where the server is there again the sidecar alone.
    assert fresh.compose("up", "--detach", "server", "netem", NETEM="loss 100%").returncode == 0
    fresh.wait_until_working()
    assert fresh.stats()["impairment"]["spec"] == "loss 100%"


def test_impairment_comes_back_with_the_network(
    fresh: Sidecar, hosts: Hosts, tmp_path: Path, engine: docker.DockerClient
) -> None:
    fresh.start("loss 1%")
    assert fresh.call("set", "loss", "100%")[0] == 0
    before = fresh.stats()
    network = engine.networks.get(hosts.network_of(fresh.lab))
    server = fresh.lab.container("server")
    network.disconnect(server)
    eventually("the end of its network", lambda: fresh.call("health")[0] == 1)
    assert fresh.call("show")[1].splitlines()[1] == "impaired   nothing"
    time.sleep(
        2
    )  # longer than it takes to believe that the host is back elsewhere: it must not end meanwhile
    network.connect(server, aliases=["server"])
    eventually("a sidecar at work again", lambda: fresh.call("health")[0] == 0)
    after = fresh.stats()
    assert (after["started_ns"], after["epoch"]) == (before["started_ns"], before["epoch"] + 1)
    assert after["impairment"] == before["impairment"]
    answers, _different = finished(stream(hosts, fresh.lab, tmp_path, 50))
    assert answers == 0
    assert fresh.stats()["directions"]["ingress"]["dropped"] == 50
    assert fresh.container.attrs["RestartCount"] == 0


# --- beside any container, as docs/netem.md has it


def test_sidecar_of_any_container_joins_it_again_when_it_is_restarted(hosts: Hosts, attach: Attach) -> None:
    host = hosts.start(hosts.network(), ["sleep", "60"])
    sidecar = attach.start(host, "run", "loss", "100%", restart="on-failure")
    wait_until_working(sidecar)
    host.restart(timeout=1)

    def started_again() -> bool:
        sidecar.reload()
        return sidecar.status == "running" and bool(sidecar.attrs["RestartCount"])

    eventually("a sidecar that is started again", started_again)
    wait_until_working(sidecar)
    sidecar.reload()
    assert sidecar.attrs["RestartCount"] == 1
    # Its healthcheck sees packets of its own come back from where it is; that this is where the host is:
    assert namespace(sidecar) == namespace(host)


def test_sidecar_that_nobody_starts_again_ends_loudly(hosts: Hosts, attach: Attach) -> None:
    host = hosts.start(hosts.network(), ["sleep", "60"])
    sidecar = attach.start(host, "run", "loss", "100%")
    wait_until_working(sidecar)
    host.restart(timeout=1)
    assert sidecar.wait(timeout=WITHIN_S)["StatusCode"] == 1
    last = sidecar.logs(stream=False).decode().splitlines()[-1]
    assert last[20:].startswith(
        "gone      the host is back with a new network, and nothing is impaired there: "
    )


# Sends twenty datagrams to an address.
TWENTY = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    for _ in range(20):
        sock.sendto(b"x", (sys.argv[1], 9))
"""


def test_impairment_of_a_network_that_is_the_sidecars_own_outlives_its_services(
    hosts: Hosts, engine: docker.DockerClient, attach: Attach
) -> None:
    network = hosts.network()
    peer = hosts.start(network, ["sleep", "60"])
    peer.reload()
    address = peer.attrs["NetworkSettings"]["Networks"][network]["IPAddress"]
    sidecar = attach.start(network, "run", "loss", "100%", "--direction", "egress", "--traffic", "udp:9")
    wait_until_working(sidecar)
    for made in (1, 2):  # and made anew
        engine.containers.run(
            HOST_IMAGE, ["-c", TWENTY, address], entrypoint="python3", remove=True,
            network_mode=f"container:{sidecar.id}",
        )  # fmt: skip
        assert sidecar.exec_run(["netem", "health"])[0] == 0
        stats = json.loads(cast("bytes", sidecar.exec_run(["netem", "stats", "--json"])[1]))
        assert (stats["epoch"], stats["directions"]["egress"]["dropped"]) == (1, 20 * made)


def namespace(container: Container) -> str:
    """Return the name of a container's network namespace."""
    code, name = container.exec_run(["readlink", "/proc/self/ns/net"])
    assert code == 0, name
    return cast("bytes", name).decode()
