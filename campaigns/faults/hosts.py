"""Faults of the hosts and of the network between them, in traffic."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import cast

from docker.models.containers import Container

from campaigns.faults.fault import DISTURBED, MEASURED, Fault, in_traffic
from campaigns.faults.outcome import Broken, Seen
from campaigns.faults.scene import Scene
from campaigns.outcome import Unmeasurable
from socketlab import checkout

NAMES = ["server", "servername", "hostname"]
PLAIN_CLIENT = ["sh", "-c", "echo hello | python3 {protocol}_client.py --quiet"]

Which = Callable[[Scene], Container]


def nothing(_scene: Scene) -> AbstractContextManager[None]:
    """Do nothing: what the figures of the other rows are to be compared with."""
    return contextmanager(lambda: iter([None]))()


def killed(which: Which) -> Callable[[Scene], AbstractContextManager[None]]:
    """Kill a container: SIGKILL, to all in it."""

    @contextmanager
    def inject(scene: Scene) -> Iterator[None]:
        which(scene).kill()
        yield

    return inject


def restarted(which: Which) -> Callable[[Scene], AbstractContextManager[None]]:
    """Restart a container, as `docker restart` does."""

    @contextmanager
    def inject(scene: Scene) -> Iterator[None]:
        which(scene).restart(timeout=1)
        yield

    return inject


def stopped(which: Which) -> Callable[[Scene], AbstractContextManager[None]]:
    """Stop a container's program: SIGSTOP, and SIGCONT in the end."""

    @contextmanager
    def inject(scene: Scene) -> Iterator[None]:
        container = which(scene)
        scene.signal(container, signal.SIGSTOP)
        try:
            yield
        finally:
            scene.signal(container, signal.SIGCONT)

    return inject


@contextmanager
def disconnected(scene: Scene) -> Iterator[None]:
    """Take the server off its network, and put it back, with its names."""
    network, server = scene.network(), scene.server
    network.disconnect(server)
    try:
        yield
    finally:
        network.connect(server, aliases=NAMES)


@contextmanager
def client_disconnected(scene: Scene) -> Iterator[None]:
    """The same with the client."""
    network, client = scene.network(), scene.client
    network.disconnect(client)
    try:
        yield
    finally:
        network.connect(client)


@contextmanager
def parted(scene: Scene) -> Iterator[None]:
    """Have the sidecar lose everything, and then nothing."""
    for spec in (["loss", "100%"], ["delay", "1ms"]):
        code, said = scene.sidecar.exec_run(["netem", "set", *spec])
        if code:
            raise Broken(f"netem set {' '.join(spec)}: {cast('bytes', said).decode(errors='replace')}")
        if spec[0] == "loss":
            yield


@contextmanager
def rules_removed(scene: Scene) -> Iterator[None]:
    """Remove the firewall rules by which packets reach the sidecar: the network is no worse than any."""
    code, said = scene.sidecar.exec_run(["iptables", "-t", "raw", "-F"])
    if code:
        raise Unmeasurable(f"the rules could not be removed: {cast('bytes', said).decode(errors='replace')}")
    yield


def name_gone(scene: Scene) -> Seen:
    """Put the server back on the network without its name: whoever asks now, asks in vain."""
    with scene.traffic() as running:
        bystander = scene.client
        network, server = scene.network(), scene.server
        network.disconnect(server)
        code, said = bystander.exec_run([part.format(protocol=scene.protocol) for part in PLAIN_CLIENT])
        told = cast("bytes", said).decode(errors="replace").strip()
        network.connect(server)
        seen = running.end()
    if code != 1 or "server" not in told or len(told.splitlines()) != 1:
        raise Broken(
            f"expected a client to say in a line that there is no such name, it said {told!r} ({code})"
        )
    seen.figures["another client meanwhile"] = told
    return scene.recover(seen)


def other_address(scene: Scene) -> Seen:
    """Restart the server while somebody else takes its address: clients that ask for the name find it."""
    with scene.traffic() as running:
        network, server = scene.network(), scene.server
        before = address(scene)
        server.stop(timeout=1)
        squatter = scene.engine.containers.run(
            checkout.image("client"), ["sleep", "60"], entrypoint="", detach=True, init=True,
            network=network.name, labels={"com.docker.compose.project": scene.lab.name},
        )  # fmt: skip
        try:
            server.start()
            after = address(scene)
            seen = running.end()
            if before == after:
                raise Broken(f"expected another address than {before}, the server has it again")
            seen.figures["address before"], seen.figures["address after"] = before, after
            seen = scene.recover(seen)
        finally:
            squatter.remove(force=True)
    return seen


def address(scene: Scene) -> str:
    """Return the server's address on the lab's network."""
    scene.server.reload()
    return str(scene.server.attrs["NetworkSettings"]["Networks"][scene.network().name]["IPAddress"])


def server(scene: Scene) -> Container:
    """Return the server's container."""
    return scene.server


def sidecar(scene: Scene) -> Container:
    """Return the sidecar's."""
    return scene.sidecar


def client(scene: Scene) -> Container:
    """Return the client's."""
    return scene.client


EITHER = (MEASURED, DISTURBED)

FAULTS = (
    Fault("no fault", "none", "nothing: for comparison", in_traffic(nothing, (MEASURED,))),
    Fault("server killed", "server", "SIGKILL to the server's host", in_traffic(killed(server)),
          representative=("tcp",)),
    Fault("server stopped", "server", "SIGSTOP to the server, SIGCONT 0.5 s later",
          in_traffic(stopped(server), (MEASURED,))),
    Fault("server restarted", "server", "docker restart of the server", in_traffic(restarted(server))),
    Fault("client killed", "client", "SIGKILL to the client's host, in the middle of its messages",
          in_traffic(killed(client)), representative=("udp",)),
    Fault("client stopped", "client", "SIGSTOP to the client, SIGCONT 0.5 s later (not listed)",
          in_traffic(stopped(client), EITHER)),
    Fault("server off the network", "network", "docker network disconnect of the server, connect 0.5 s later",
          in_traffic(disconnected)),
    Fault("client off the network", "network", "docker network disconnect of the client, connect 0.5 s later",
          in_traffic(client_disconnected, EITHER)),
    Fault("partition", "network", "the sidecar loses everything for 0.5 s", in_traffic(parted),
          representative=("tcp",)),
    Fault("name gone", "network", "the server comes back to its network without its name", name_gone),
    Fault("other address", "network", "the server restarts, its address is another's by then", other_address),
    Fault("sidecar killed", "sidecar", "SIGKILL to the sidecar", in_traffic(killed(sidecar)),
          representative=("udp",)),
    Fault("sidecar stopped", "sidecar", "SIGSTOP to the sidecar, SIGCONT 0.5 s later",
          in_traffic(stopped(sidecar), EITHER)),
    Fault("sidecar stays stopped", "sidecar", "SIGSTOP to the sidecar until the run is over",
          in_traffic(stopped(sidecar), heals=False)),
    Fault("rules removed", "sidecar", "iptables -F in the sidecar: packets pass it by (not listed)",
          in_traffic(rules_removed)),
    Fault("sidecar restarted", "sidecar", "docker restart of the sidecar", in_traffic(restarted(sidecar))),
)  # fmt: skip
