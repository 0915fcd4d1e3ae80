"""The hosts of a lab, a malicious guest among them, and others that lack what protects us from it."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import docker
import pytest

from socketlab import checkout
from socketlab.checkout import ROOT
from socketlab.describe.scenario import PORT
from socketlab.hosts.docker.compose_project import ComposeProject
from socketlab.hosts.lab import Lab
from socketlab.hosts.operated import Host
from tests.security.hosts import docker_run

# What somebody brings who wants to get out: it is root, has a program that makes root of anybody, and
# one that hands out a capability (NET_RAW; capabilities(7), struct vfs_cap_data).
HOSTILE = """
FROM {client}
USER 0
RUN cp /usr/bin/python3 /bin/as-root && chmod 4755 /bin/as-root && cp /usr/bin/python3 /bin/with-net-raw && \
    python3 -c "import os, struct; os.setxattr('/bin/with-net-raw', 'security.capability', \
                struct.pack('<IIIII', 0x02000001, 1 << 13, 0, 0, 0))"
"""
GUEST = "services: {{client: {{image: {image}}}}}\n"


@pytest.fixture(scope="session")
def hostile(lab: Lab, lab_name: str, engine: docker.DockerClient) -> Iterator[str]:
    """The name of a malicious image."""
    del lab  # which has built the image that this one is made from
    name = f"{lab_name}/hostile"
    dockerfile = HOSTILE.replace("{client}", checkout.image("client"))
    subprocess.run(["docker", "build", "--quiet", "--tag", name, "-"], input=dockerfile.encode(), check=True)
    yield name
    engine.images.remove(name)


@pytest.fixture(scope="session")
def others(hostile: str, lab_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Others"]:
    """Hosts beside the lab's own."""
    with ExitStack() as todo:
        compose = ComposeProject(lab_name)
        todo.callback(compose.close)
        override = tmp_path_factory.mktemp("guest") / "guest.yaml"
        override.write_text(GUEST.format(image=hostile), encoding="utf-8")
        made = Others(hostile, compose, str(override))
        todo.callback(made.close)
        yield made


class Others:
    """Hosts beside the lab's own, made when they are wanted first."""

    def __init__(self, image: str, compose: ComposeProject, override: str) -> None:
        self._image, self._compose, self._override = image, compose, override
        self._made: dict[tuple[str, ...], Host] = {}

    def _host(self, *command: str) -> Host:
        if command not in self._made:
            self._made[command] = Host(command[0], command, self._compose.environment())
        return self._made[command]

    def remove(self, host: Host) -> None:
        """End one of these hosts."""
        self._made = {command: made for command, made in self._made.items() if made is not host}
        host.close()

    def close(self) -> None:
        """End them all, side by side: each takes the engine a while."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(Host.close, self._made.values()))

    def guest(self) -> Host:
        """Return the malicious image in the place of the lab's client, as Compose runs it."""
        run = ("--progress", "quiet", "run", "--rm", "--no-TTY", "--no-deps", "client", "remote")
        return self._host(*self._compose.compose("--file", self._override, *run))

    def plain(self, *options: str) -> Host:
        """Return the malicious image as Docker runs it when it is told nothing, but for some options."""
        return self._host(*docker_run(self._image, *options))

    def careless(self) -> Host:
        """Return the same with what should not be: a file and a device of the machine, a port published."""
        file, device = f"--volume={ROOT}/README.md:/readme", "--device=/dev/null:/dev/another"
        return self.plain(file, device, f"--publish=127.0.0.1::{PORT}")

    def machine(self, name: str) -> Host:
        """Return a host with the machine's own processes, network and names: what the engine runs on.

        Args:
            name: the machine's; not every machine finds its own.
        """
        shared = (f"--{what}=host" for what in ("network", "pid", "ipc", "uts"))
        return self.plain(*shared, f"--add-host={name}:127.0.0.1")


HOSTS = ("server", "client", "guest", "netem", "capture", "capture inside")


@pytest.fixture(params=HOSTS)
def name(request: pytest.FixtureRequest) -> str:
    """The name of each host of the lab, in turn."""
    return str(request.param)


@pytest.fixture
def host(name: str, lab: Lab, others: Others) -> Host:
    """Each host of the lab, in turn."""
    assert lab.sidecar is not None, lab.no_sidecar
    assert lab.taps is not None
    if name == "guest":
        return others.guest()
    if name.startswith("capture"):
        return lab.taps(lab.server, name == "capture inside")
    return {"server": lab.server, "client": lab.client, "netem": lab.sidecar}[name]


@pytest.fixture
def plain(others: Others) -> Host:
    """A host that nothing was taken from: whatever is shown of the lab's hosts must fail here."""
    return others.plain()


@pytest.fixture
def machine(others: Others, engine: docker.DockerClient) -> Host:
    """What the engine runs on, as seen by a host that is allowed to."""
    return others.machine(str(engine.info()["Name"]))
