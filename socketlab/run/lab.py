"""Run: the lab on Docker. The only module that talks to Docker.

Compose makes the hosts and their network, for `compose.yaml` is what describes them; everything else
(states, logs, waiting) goes by the Docker SDK. What belongs to a lab is found by Compose's own labels, never
by a name.
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from docker.models.containers import Container
from requests.exceptions import RequestException

from socketlab.describe.scenario import Conversation, ServerProgram
from socketlab.errors import EngineError

ROOT = Path(__file__).resolve().parent.parent.parent
PROJECT = "socketlab"
ROLE_LABEL = "org.socketlab.role"  # on every image of ours
ROLES = ("server", "client", "netem")

HEALTHY_WITHIN_S = 20.0
CONVERSATION_WITHIN_S = 120.0
POLL_S = 0.05

JOURNAL_TIME = re.compile(r"\d\d:\d\d:\d\d\.\d{6}(?= )")


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn what the SDK raises into an `EngineError` that says what was being done."""
    try:
        yield
    except (DockerException, RequestException) as error:
        reason = error.explanation if isinstance(error, APIError) and error.explanation else error
        raise EngineError(f"cannot {doing}: {reason}; see make doctor") from error


def endpoint() -> str | None:
    """Return the engine's address, as the docker command finds it: DOCKER_HOST, or the current context.

    The SDK alone knows nothing of contexts, by which Docker Desktop, Colima and rootless engines are found.
    """
    if os.environ.get("DOCKER_HOST"):
        return os.environ["DOCKER_HOST"]
    try:
        shown = subprocess.run(
            ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise EngineError("cannot find the docker command: see make doctor") from error
    return shown.stdout.strip() or None


class Lab:
    """The hosts of one Compose project.

    Args:
        project: the project's name; several labs of different names can run side by side.
        server_program: what runs on the server host; None: what runs there, else the concurrent one.
    """

    def __init__(self, project: str = PROJECT, server_program: ServerProgram | None = None) -> None:
        self.project = project
        with engine_errors("reach the Docker engine"):
            self._docker = docker.DockerClient(base_url=endpoint())
        try:
            self.server_program = server_program or self._running_program() or ServerProgram.CONCURRENT
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection to the engine; the lab goes on."""
        self._docker.close()

    def compose(self, *arguments: str) -> list[str]:
        """Return the command line of a Compose command for this lab."""
        return [
            "docker",
            "compose",
            "--project-name",
            self.project,
            "--project-directory",
            str(ROOT),
            *arguments,
        ]

    def environment(self, **variables: str) -> Mapping[str, str]:
        """Return the environment that the lab's Compose commands need."""
        return os.environ | {"SERVER_PROGRAM": self.server_program} | variables

    def _run(self, *arguments: str, **variables: str) -> None:
        done = subprocess.run(
            self.compose("--progress", "quiet", *arguments),
            capture_output=True,
            text=True,
            check=False,
            env=self.environment(**variables),
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
            raise EngineError(f"docker compose {arguments[0]} failed: {said}")

    def start(self) -> None:
        """Build what changed, start the server and wait until it answers.

        For one that runs already nobody waits. It may be busy: the lecture's TCP server is, with one client.
        """
        before = self._running()
        self._run("build")
        self._run("up", "--detach", "--no-deps", "server")
        after = self._running()
        if not after or after != before:
            self.wait_until_answering()

    def _running(self) -> dict[str, str]:
        """Return when the server's containers were started, by their id."""
        servers = [container for container in self.containers("server") if container.status == "running"]
        return {str(server.id): server.attrs["State"]["StartedAt"] for server in servers}

    def stop(self) -> None:
        """Stop and remove the hosts and their network."""
        self._run("down", "--remove-orphans", "--timeout", "3", COMPOSE_PROFILES="*")

    def containers(self, service: str) -> list[Container]:
        """Return the containers of a service, running or not."""
        labels = [f"com.docker.compose.project={self.project}", f"com.docker.compose.service={service}"]
        with engine_errors(f"list the containers of {service}"):
            return self._docker.containers.list(all=True, filters={"label": labels})

    def container(self, service: str) -> Container:
        """Return the one container of a service."""
        found = self.containers(service)
        if len(found) != 1:
            raise EngineError(
                f"expected one {service} in the lab {self.project!r}, found {len(found)}: see make up"
            )
        return found[0]

    def _running_program(self) -> ServerProgram | None:
        for container in self.containers("server"):
            for setting in container.attrs["Config"]["Env"]:
                variable, _equals, value = setting.partition("=")
                if variable == "SERVER_PROGRAM" and value in set(ServerProgram):
                    return ServerProgram(value)
        return None

    def wait_until_answering(self, within_s: float = HEALTHY_WITHIN_S) -> None:
        """Wait until the server answers over each of its protocols.

        Asks itself, with the server's own healthcheck: Docker would ask only after the next interval.

        Raises:
            EngineError: it ended, or did not answer in time; its log is in the message.
        """
        server = self.container("server")
        deadline = time.monotonic() + within_s
        while True:
            with engine_errors("ask the server whether it answers"):
                server.reload()
                try:
                    code, output = server.exec_run(["python3", "healthcheck.py", self.server_program])
                except APIError as error:  # not running yet, or not any more: then its status says so soon
                    said = f"its container is {server.status} ({error.explanation})"
                else:
                    if code == 0:
                        return
                    said = cast("bytes", output).decode(errors="replace").strip()
            if server.status in {"exited", "dead"} or time.monotonic() > deadline:
                log = "\n".join(line for _time, _service, line in self.log("server"))
                raise EngineError(f"the server does not answer: {said}\nits log:\n{log}")
            time.sleep(POLL_S)

    def converse(self) -> int:
        """Let a new client hold its conversation with the server; return the client's exit code."""
        self._run("up", "--detach", "--no-deps", "--force-recreate", "client")
        with engine_errors("wait for the client"):
            status: int = self.container("client").wait(timeout=CONVERSATION_WITHIN_S)["StatusCode"]
            return status

    def talk(self, conversation: Conversation) -> list[str]:
        """Send the lines of a conversation from a client of its own; return the lines of its journal."""
        done = subprocess.run(
            [
                *self.compose(
                    "--progress", "quiet", "run", "--rm", "--no-TTY", "--no-deps", "--env", "LOG_FORMAT=json"
                ),
                "client",
                conversation.protocol,
                f"--timeout={conversation.timeout_s:g}",
            ],
            input="".join(f"{line}\n" for line in conversation.lines),
            capture_output=True,
            text=True,
            check=False,
            env=self.environment(),
        )
        # 3: a line went unanswered, which the journal says of each. Any other code is a client that failed.
        if done.returncode not in {0, 3}:
            raise EngineError(f"the client failed: {done.stderr.strip() or f'exit code {done.returncode}'}")
        return done.stdout.splitlines()

    def client_command(self, protocol: str, arguments: Sequence[str]) -> list[str]:
        """Return the command line of an interactive client."""
        return self.compose("--progress", "quiet", "run", "--rm", "--no-deps", "client", protocol, *arguments)

    def log(self, *services: str) -> list[tuple[str, str, str]]:
        """Return (time of day, container, line) of what the services' containers have logged, in order.

        The time is the journal's own, which a call that sends has from its beginning; for other lines it is
        when the engine got them. Both are UTC.
        """
        lines = []
        for service in services:
            for container in self.containers(service):
                host = f"{service}-{container.labels['com.docker.compose.container-number']}"
                with engine_errors(f"read the log of {host}"):
                    logged = container.logs(timestamps=True, stream=False)
                for line in logged.decode(errors="replace").splitlines():
                    engine_time, _space, text = line.partition(" ")
                    stamped = JOURNAL_TIME.match(text)
                    lines.append((stamped[0] if stamped else engine_time[11:26], host, text))
        return sorted(lines, key=lambda line: line[0])

    def remove_images(self) -> list[str]:
        """Remove the images of the lab's hosts; return their names."""
        removed = []
        with engine_errors("remove the images"):
            for role in ROLES:
                for image in self._docker.images.list(filters={"label": f"{ROLE_LABEL}={role}"}):
                    names = image.tags or [image.short_id]
                    try:
                        for name in names:
                            self._docker.images.remove(name, force=False)
                    except ImageNotFound:
                        continue  # removed by somebody else in the meantime
                    removed += names
        return removed


def projects() -> list[str]:
    """Return the names of all Compose projects that run containers of our images."""
    with engine_errors("list the labs"), closing(docker.DockerClient(base_url=endpoint())) as client:
        found = {
            container.labels.get("com.docker.compose.project", "")
            for role in ROLES
            for container in client.containers.list(all=True, filters={"label": f"{ROLE_LABEL}={role}"})
        }
    return sorted(found - {""})
