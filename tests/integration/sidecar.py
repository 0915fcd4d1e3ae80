"""The sidecar of a lab, for its tests: started, asked, looked at from beside."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import docker
from docker.errors import APIError
from docker.models.containers import Container

from socketlab import checkout
from socketlab.hosts.docker.compose_project import ComposeProject
from tests.integration.hosts import Hosts

IMAGE = checkout.image("netem")
# How long something takes is no test's affair here: on a busy machine ten times as long. It ends what hangs.
WITHIN_S = 120.0

T = TypeVar("T")


def eventually(what: str, look: Callable[[], T | None], within_s: float = WITHIN_S) -> T:
    """Return what `look` finds as soon as it is true: for what the engine shows but does not announce."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {within_s:g} s for {what}, have {found!r}"
        time.sleep(0.05)
    return found


# By one `docker exec`: each takes a quarter of a second of a processor, which the sidecar needs meanwhile.
HEALTH = "until [ -S /run/netem/control ] && netem health; do sleep 0.05; done"


def wait_until_working(sidecar: Container) -> None:
    """Wait until a sidecar is at work, by its own healthcheck."""

    def running() -> bool:
        sidecar.reload()
        return sidecar.status == "running"

    eventually("a sidecar that runs", running)
    code, said = sidecar.exec_run(["timeout", f"{WITHIN_S:g}", "sh", "-c", HEALTH])
    assert code == 0, f"{cast('bytes', said).decode()}\n{sidecar.logs(stream=False).decode()}"


class Sidecar:
    """A lab's sidecar, as Compose starts it, and the network that it shares."""

    def __init__(self, lab: ComposeProject, engine: docker.DockerClient) -> None:
        self.lab = lab
        self._engine = engine

    def compose(
        self, *arguments: str, stdin: str = "", **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a Compose command with the profile."""
        return subprocess.run(
            self.lab.compose("--progress", "quiet", "--profile", "impaired", *arguments),
            env=self.lab.environment(**variables),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )

    def start(self, spec: str, **variables: str) -> None:
        """Start it, and wait until it is at work."""
        done = self.compose("up", "--detach", "--no-deps", "netem", NETEM=spec, **variables)
        assert done.returncode == 0, done.stderr
        self.wait_until_working()

    def wait_until_working(self) -> None:
        """Wait until its own healthcheck says so."""
        wait_until_working(self.container)

    @property
    def container(self) -> Container:
        """Its container."""
        return self.lab.container("netem")

    def call(self, *words: str) -> tuple[int | None, str]:
        """Run `netem` in it, as `docker compose exec netem netem ...` does; return exit code and output."""
        try:
            code, output = self.container.exec_run(["netem", *words])
        except APIError as error:  # it is not running at this moment
            return None, str(error)
        return code, cast("bytes", output).decode()

    def stats(self) -> dict[str, Any]:
        """Return `netem stats --json`."""
        code, said = self.call("stats", "--json")
        assert code == 0, said
        stats: dict[str, Any] = json.loads(said)
        return stats

    def log(self) -> list[str]:
        """Return what it has logged, without the time."""
        return [line[20:] for line in self.container.logs(stream=False).decode().splitlines()]

    def process(self) -> int:
        """Return the process id of the program in its container: what the first process has started."""
        code, said = self.container.exec_run(["cat", "/proc/1/task/1/children"])
        assert code == 0, said
        return int(cast("bytes", said))

    def signal(self, signal: str) -> None:
        """Send the program a signal; its container's first process knows nothing of it."""
        code, said = self.container.exec_run(["sh", "-c", f"kill -{signal} {self.process()}"])
        assert code == 0, said

    def inside(self, script: str) -> str:
        """Run a script in the server's network, on a host of its own that has the sidecar's tools."""
        output = self._engine.containers.run(
            IMAGE,
            ["-c", script],
            entrypoint="sh",
            network_mode=f"container:{self.lab.container('server').id}",
            cap_drop=["ALL"],
            cap_add=["NET_ADMIN"],
            remove=True,
        )
        return output.decode()

    def network(self) -> list[str]:
        """Return all rules, qdiscs and links of the server's network, without what counts."""
        said = self.inside("iptables-save && tc qdisc show && ip -oneline link")
        lines = [re.sub(r" ?\[\d+:\d+\]", "", line) for line in said.splitlines()]
        return [line for line in lines if not line.startswith("#")]


class Attach:
    """Starts sidecars on any host, without Compose."""

    def __init__(self, engine: docker.DockerClient) -> None:
        self._engine = engine
        self._containers: list[Container] = []

    def start(
        self,
        host: Container | str,
        *words: str,
        cap_add: tuple[str, ...] = ("NET_ADMIN", "NET_RAW"),
        restart: str = "",
        **variables: str,
    ) -> Container:
        """Start a sidecar.

        Args:
            host: whose network it shares; or the name of the network that it joins by itself.
            words: arguments of `netem`.
            cap_add: its capabilities.
            restart: Docker's policy; empty: none.
            variables: of its environment.
        """
        sidecar = self._engine.containers.run(
            IMAGE,
            list(words) or None,
            network_mode=host if isinstance(host, str) else f"container:{host.id}",
            restart_policy=cast("Any", {"Name": restart} if restart else None),
            cap_drop=["ALL"],
            cap_add=list(cap_add),
            read_only=True,
            tmpfs={"/run": ""},
            init=True,
            environment=variables,
            detach=True,
        )
        self._containers.append(sidecar)
        return sidecar

    def refused(self, host: Container, *words: str, **options: Any) -> tuple[int, str]:
        """Return exit code and the one line of a sidecar that refuses to start."""
        sidecar = self.start(host, *words, **options)
        code = int(sidecar.wait(timeout=WITHIN_S)["StatusCode"])
        said = sidecar.logs(stream=False).decode()
        assert said.count("\n") == 1, said
        return code, said.removesuffix("\n")

    def remove(self) -> None:
        """Remove them all."""
        for container in self._containers:
            container.remove(force=True)


# Numbered datagrams to the server, one each millisecond; prints how many answers came, and how many were new.
# A receive buffer of Linux's default size holds 277 of them (212,992 bytes, 768 each). No more than 200 are
# without an answer, lost ones among them: so none is lost because an end gets no processor for a while.
STREAM = """
import select, socket, sys, time
count, size, wait, most = int(sys.argv[1]), 64, 2.0, 200
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.connect((sys.argv[2] if len(sys.argv) > 2 else "server", 12000))
answers = []
for number in range(count):
    while number - len(answers) >= most and select.select([sock], [], [], wait)[0]:
        answers.append(sock.recv(100))
    sock.send(f"#{number} ".encode().ljust(size, b"x"))
    due = time.monotonic() + 0.001
    while select.select([sock], [], [], max(0, due - time.monotonic()))[0]:
        answers.append(sock.recv(100))
while len(set(answers)) < count and select.select([sock], [], [], wait)[0]:
    answers.append(sock.recv(100))
print(len(answers), len(set(answers)))
"""


def stream(hosts: Hosts, lab: ComposeProject, tmp_path: Path, count: int) -> Container:
    """Start a client host that sends numbered datagrams."""
    program = tmp_path / "stream.py"
    program.write_text(STREAM)
    command = ["python3", "/program.py", str(count)]
    return hosts.start(hosts.network_of(lab), command, program=program)


def finished(client: Container) -> tuple[int, int]:
    """Return how many answers a stream got, and to how many datagrams."""
    assert client.wait(timeout=WITHIN_S)["StatusCode"] == 0, client.logs(stream=False).decode()
    answers, different = client.logs(stream=False).decode().split()
    return int(answers), int(different)
