"""Hosts for programs that are not the lab's own: containers of its image, on any network."""

import io
import subprocess
import tarfile
import time
from contextlib import closing
from pathlib import Path

import docker
from docker.models.containers import Container
from docker.models.networks import Network
from netem_impairment import leases

from socketlab import checkout
from socketlab.describe.scenario import Conversation
from socketlab.hosts.docker.compose_project import ComposeProject
from socketlab.hosts.lab import JSON, run_client
from tests.leftovers import TEST_LABEL

IMAGE = checkout.image("client")
WITHIN_S = 120.0  # ends what hangs


def left_of(engine: docker.DockerClient, project: str) -> list[str]:
    """Return the names of what is left of a project on the engine."""
    label = f"com.docker.compose.project={project}"
    containers = engine.containers.list(all=True, filters={"label": label})
    networks = engine.networks.list(filters={"label": label})
    return [str(each.attrs["Name"]) for each in (*containers, *networks)]


class Hosts:
    """Starts hosts, and removes them all."""

    def __init__(self, engine: docker.DockerClient) -> None:
        self._engine = engine
        self._name = leases.take()
        self._containers: list[Container] = []
        self._networks: list[Network] = []

    def network(self) -> str:
        """Return the name of a new network with no way out."""
        name = leases.take()
        network = self._engine.networks.create(name, internal=True, labels={TEST_LABEL: name})
        self._networks.append(network)
        return str(network.name)

    def network_of(self, lab: ComposeProject) -> str:
        """Return the name of a lab's network."""
        return f"{lab.name}_lab"

    def start(
        self, network: str, command: list[str], *, alias: str | None = None, program: Path | None = None
    ) -> Container:
        """Start a host that runs a command; a program given is file /program.py there."""
        endpoint = self._engine.api.create_endpoint_config(aliases=[alias] if alias else None)
        created = self._engine.api.create_container(
            IMAGE,
            command,
            entrypoint="",
            labels={TEST_LABEL: self._name},
            networking_config=self._engine.api.create_networking_config({network: endpoint}),  # type: ignore[arg-type]  # the stubs are wrong: it is a mapping by network
            host_config=self._engine.api.create_host_config(init=True, cap_drop=["ALL"], mem_limit="64m"),
        )
        container = self._engine.containers.get(created["Id"])
        self._containers.append(container)
        if program is not None:
            container.put_archive("/", _tar(program))
        container.start()
        return container

    def run(self, network: str, command: list[str], *, program: Path | None = None) -> tuple[int, str]:
        """Run a command on a host of its own to its end; return its exit code and all that it printed."""
        container = self.start(network, command, program=program)
        code = int(container.wait(timeout=WITHIN_S)["StatusCode"])
        return code, _text(container)

    def wait_for_output(self, container: Container, text: str, within_s: float = WITHIN_S) -> None:
        """Wait until a host has printed a text."""
        deadline = time.monotonic() + within_s
        while text not in (said := _text(container)):
            container.reload()
            assert container.status == "running", f"{container.status}, after printing {said!r}"
            assert time.monotonic() < deadline, f"printed {said!r}, not {text!r}"
            time.sleep(0.05)

    def remove(self) -> None:
        """Remove all hosts and networks."""
        for container in self._containers:
            container.remove(force=True)
        for network in self._networks:
            network.remove()


def _tar(program: Path) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(program, arcname="program.py")
    return archive.getvalue()


def _text(container: Container) -> str:
    return container.logs(stream=False).decode()


CONVERSATION_WITHIN_S = 120.0


def converse(lab: ComposeProject) -> int:
    """Let a lasting client hold its conversation, as `docker compose up` does; return its exit code."""
    up = lab.compose("--progress", "quiet", "up", "--detach", "--no-deps", "--force-recreate", "client")
    subprocess.run(up, env=lab.environment(), check=True)
    return int(lab.container("client").wait(timeout=CONVERSATION_WITHIN_S)["StatusCode"])


def talk(lab: ComposeProject, conversation: Conversation) -> list[str]:
    """Send the lines of a conversation from a client of its own; return the lines of its journal."""
    arguments = [conversation.protocol, f"--timeout={conversation.timeout_s:g}"]
    with closing(lab.operate("client")) as host:
        typed = "".join(f"{line}\n" for line in conversation.lines)
        return run_client(host, arguments, typed, JSON)[1]
