"""Hosts that are containers of a Compose project.

Compose makes the hosts and their network, for `compose.yaml` is what describes them; everything else
(states, logs, waiting) goes by the Docker SDK. What belongs to a lab is found by Compose's own labels, and is
ours only where Compose made it from this checkout: somebody else's project can have the same name.
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, cast

import docker
from docker.errors import APIError, DockerException
from docker.models.containers import Container
from requests.exceptions import RequestException

from socketlab import checkout, hints
from socketlab.checkout import COMPOSE_YAML, ROOT
from socketlab.describe.scenario import Engine, Protocol, Servers
from socketlab.errors import EngineError
from socketlab.hosts.backend import Command, LogLine
from socketlab.hosts.docker.docker_engine import connect, engine_errors
from socketlab.hosts.docker.images import Images
from socketlab.hosts.interrupts import undisturbed
from socketlab.hosts.log_times import time_of_day
from socketlab.hosts.operated import Host
from socketlab.observe.words import printable

# Only containers that Compose made have this. The project's and the service's name do not tell them apart: an
# image that Compose built hands these on to whatever is run from it, by whomever.
MADE_BY_COMPOSE = "com.docker.compose.container-number"
ONE_OFF = "com.docker.compose.oneoff"  # "True": made by `docker compose run`
PROJECT_LABEL = "com.docker.compose.project"
FOLDER_LABEL = f"{PROJECT_LABEL}.working_dir"
FILES_LABEL = f"{PROJECT_LABEL}.config_files"

HEALTHY_WITHIN_S = 20.0
SIDECAR_WITHIN_S = 3.0  # an old one that is not at work by then is started again, once
POLL_S = 0.05
OPERATE = ("python3", "-m", "lab.remote")


class ComposeProject:
    """The hosts of one Compose project.

    Args:
        project: the project's name, the checkout's if left out; labs of different names run side by side.
        servers: what runs on the server host; None: what runs there, else the lecture's servers.
        address: the engine's; None: as the docker command finds it.
    """

    can_capture = True  # the capture host's image has all that it needs

    def __init__(
        self,
        project: str = "",
        servers: Servers | None = None,
        *,
        address: str | None = None,
    ) -> None:
        self.name = project or checkout.project()
        self._chosen = {"DOCKER_HOST": address} if address else {}
        with engine_errors("reach the Docker engine"):
            self._docker = connect(address)
        self.images = Images(self._docker, self._described, self._output)
        self._base: dict[str, str] = {}
        try:
            self._base = self.images.base_where_none_is_chosen()
            self.servers = servers or self._running_servers() or Servers.LECTURE
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection to the engine; the lab goes on."""
        self._docker.close()

    def machine(self) -> dict[str, str | int]:
        """Return what the hosts run on: system, kernel, the engine's version, and the number of CPUs."""
        with engine_errors("ask the engine what it runs on"):
            info = self._docker.info()
        return {
            "system": info["OperatingSystem"],
            "kernel": info["KernelVersion"],
            "engine": f"Docker {info['ServerVersion']}",
            "cpus": info["NCPU"],
        }

    def compose(self, *arguments: str) -> list[str]:
        """Return the command line of a Compose command for this lab."""
        # By name: COMPOSE_FILE, in the environment or in .env, may name somebody else's.
        override = ROOT / "compose.override.yaml"
        files = [COMPOSE_YAML, override] if override.exists() else [COMPOSE_YAML]
        settings = checkout.SETTINGS if checkout.SETTINGS.exists() else os.devnull
        return [
            "docker",
            "compose",
            "--project-name",
            self.name,
            "--project-directory",
            str(ROOT),
            *(["--env-file", str(settings)] if checkout.INSTALLED else []),
            *(f"--file={file}" for file in files),
            *arguments,
        ]

    def environment(self, **variables: str) -> Mapping[str, str]:
        """Return the environment that the lab's Compose commands need.

        What it says to Compose is meant for another project: it would choose files, profiles, or a name.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
        needed = {
            "COMPOSE_PROFILES": "",
            "SERVER_PROGRAM": str(self.servers),
            "SOCKETLAB_TAG": checkout.project(),
        }
        if self.servers is Servers.IDLE:
            # Programs come and go there, and each is asked when it matters. A look every 2 s would only take
            # a tenth of a processor from what is measured.
            needed["HEALTHCHECK_INTERVAL"] = "1h"
        return inherited | self._chosen | self._base | needed | variables

    def _run(self, *arguments: str, **variables: str) -> str:
        with undisturbed():
            output = self._output(
                f"docker compose {arguments[0]}", self.compose("--progress", "quiet", *arguments), **variables
            )
            self.images.discard_replaced()
        return output

    def _output(
        self, name: str, command: Sequence[str], output: IO[bytes] | None = None, /, **variables: str
    ) -> str:
        done = subprocess.run(
            command,
            stdout=output or subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=self.environment(**variables),
            # Not in our process group: Ctrl-C is for us to pass on.
            start_new_session=True,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
            raise EngineError(f"{name} failed: {said}")
        return done.stdout or ""

    def _described(self, **variables: str) -> Mapping[str, Any]:
        """Return what compose.yaml says of the hosts and their network, its variables replaced."""
        described: Mapping[str, Any] = json.loads(self._run("config", "--format", "json", **variables))
        return described

    def _expect_ours(self) -> None:
        """Check that Compose has made everything in this project from this checkout.

        Raises:
            EngineError: somebody else has a project of this name; the message says where.
        """
        if strangers := {_made_from(each) for each in self._in_project() if not is_ours(each)}:
            raise EngineError(
                f"expected a project name of our own, got {self.name!r}, which is in use by "
                f"{', '.join(sorted(strangers))}: choose another, as in {hints.in_another_lab()}"
            )

    def _in_project(self, *labels: str) -> list[Container]:
        """Return the containers that Compose has made for a project of this name, whoever asked it to."""
        with engine_errors(f"list the containers of the project {self.name}"):
            # One may go while it is looked at: a client does, at its end.
            return self._docker.containers.list(
                all=True,
                filters={"label": [f"{PROJECT_LABEL}={self.name}", MADE_BY_COMPOSE, *labels]},
                ignore_removed=True,
            )

    def start(self) -> None:
        """Build what changed, start the server and wait until it answers.

        For one that runs already nobody waits. It may be busy: the lecture's TCP server is, with one client.
        """
        self._expect_ours()
        before = self._running()
        described = self._described()
        self.images.build_described(described)
        self._remove_if_unfit(described)
        self._run("up", "--detach", "--no-deps", "server")
        after = self._running()
        if not after or after != before:
            self.wait_until_answering()

    def _remove_if_unfit(self, described: Mapping[str, Any]) -> None:
        """Remove the hosts if their network, or their place in it, is not as today's compose file says.

        Compose makes a container anew when its image or its part of the file has changed. But a network it
        takes as it finds it: one that an earlier version has made may have a way out. And a server that
        somebody has taken off the network, or put back without its names, no client would find.
        """
        for network, wanted in described["networks"].items():
            labels = [f"com.docker.compose.project={self.name}", f"com.docker.compose.network={network}"]
            with engine_errors("look at the lab's network"):
                found = [one.attrs for one in self._docker.networks.list(filters={"label": labels})]
            options = {str(key): str(value) for key, value in (wanted.get("driver_opts") or {}).items()}
            fit = all(
                one["Internal"] == wanted.get("internal", False) and options.items() <= one["Options"].items()
                for one in found
            )
            here = described["services"]["server"]["networks"].get(network)
            names = {"server", *((here or {}).get("aliases") or ())}
            for server in self.containers("server"):
                place = server.attrs["NetworkSettings"]["Networks"].get(wanted["name"])
                fit = fit and place is not None and names <= set(place["Aliases"] or ())
            if not fit:
                self.stop()
                return

    def _running(self) -> dict[str, str]:
        """Return when the server's containers were started, by their id."""
        servers = [container for container in self.containers("server") if container.status == "running"]
        return {str(server.id): server.attrs["State"]["StartedAt"] for server in servers}

    def stop(self) -> None:
        """Stop and remove the hosts, those of every profile too, and their network."""
        self._expect_ours()
        down = ("down", "--remove-orphans", "--timeout", "3")
        with undisturbed():
            try:
                self._run(*down, COMPOSE_PROFILES="*")
            except EngineError:
                # A host that somebody runs by hand removes itself at its end, and Compose stumbles over that.
                self._run(*down, COMPOSE_PROFILES="*")

    def containers(self, service: str) -> list[Container]:
        """Return the containers of a service, running or not; also those of `docker compose run`."""
        return [each for each in self._in_project(f"com.docker.compose.service={service}") if is_ours(each)]

    def _lasting(self, service: str) -> list[Container]:
        """Return the containers of a service that are no terminal's: somebody types at a client meanwhile."""
        return [each for each in self.containers(service) if each.labels.get(ONE_OFF) != "True"]

    def container(self, service: str) -> Container:
        """Return the one container of a service."""
        found = self._lasting(service)
        if len(found) != 1:
            raise EngineError(
                f"expected one {service} in the lab {self.name!r}, found {len(found)}: "
                f"see {hints.command('up')}"
            )
        return found[0]

    def _running_servers(self) -> Servers | None:
        for container in self.containers("server"):
            for setting in container.attrs["Config"]["Env"]:
                variable, _equals, value = setting.partition("=")
                if variable == "SERVER_PROGRAM" and value in set(Servers):
                    return Servers(value)
        return None

    def answers(self) -> bool:
        """Tell whether the server answers over each of its protocols."""
        return not self._complaint()

    def _complaint(self) -> str:
        """Return what the server's own healthcheck says is wrong; nothing: the server answers."""
        server = self.container("server")
        with engine_errors("ask the server whether it answers"):
            try:
                code, output = server.exec_run(["python3", "healthcheck.py", self.servers])
            except APIError as error:  # not running yet, or not any more: then its status says so soon
                return f"its container is {server.status} ({error.explanation})"
        if code == 0:
            return ""
        # None: the container has ended meanwhile, and the check with it.
        return cast("bytes", output).decode(errors="replace").strip() or f"its healthcheck: exit code {code}"

    def wait_until_answering(self, within_s: float = HEALTHY_WITHIN_S) -> None:
        """Wait until the server answers over each of its protocols.

        Asks itself, with the server's own healthcheck: Docker would ask only after the next interval.

        Raises:
            EngineError: it ended, or did not answer in time; its log is in the message.
        """
        deadline = time.monotonic() + within_s
        while complaint := self._complaint():
            if self.container("server").status in {"exited", "dead"} or time.monotonic() > deadline:
                log = "\n".join(line.text for line in self.log("server"))
                raise EngineError(f"the server does not answer: {complaint}\nits log:\n{log}")
            time.sleep(POLL_S)

    # --- hosts that are operated

    def operate(self, role: str, *, privilege: str = "") -> Host:
        """Operate a host: see `Backend`."""
        if role == "client":
            more = ("--cap-add", privilege, "--user", "0:0") if privilege else ()
            return Host(role, self._on_a_new_host(role, *more), self.environment(LOG_FORMAT="text"))
        command = ["docker", "exec", "--interactive", str(self.container(role).id), *OPERATE]
        return Host(role, command, self.environment(LOG_FORMAT="text"))

    def operate_capture(self, at: Host, *, inside: bool) -> Host:
        """Make a capture host, and operate it: see `Backend`."""
        self.images.build(COMPOSE_PROFILES="capture")
        container = at.function("socket", "gethostname")  # the engine names it so
        more = ("--cap-add", "NET_ADMIN") if inside else ()
        environment = self.environment(LOG_FORMAT="text", CAPTURE_AT=f"container:{container}")
        return Host(f"capture at {at.name}", self._on_a_new_host("capture", *more), environment)

    def _on_a_new_host(self, service: str, *options: str) -> list[str]:
        """Return the command that makes a host and operates it, until its input ends."""
        words = ("--progress", "quiet", "run", "--rm", "--no-TTY", "--no-deps", *options, service, "remote")
        return self.compose(*words)

    def terminal(self, protocol: Protocol, arguments: Sequence[str]) -> Command:
        """Return the command of an interactive client: see `Backend`."""
        run = ("--progress", "quiet", "run", "--rm", "--no-deps", "client", protocol)
        return Command(self.compose(*run, *arguments), self.environment())

    # --- the sidecar

    def start_sidecar(self, engine: Engine) -> None:
        """Start the sidecar, and wait until it works: see `Backend`."""
        # What is impaired, and when, is for whoever operates it to say, whatever the environment does.
        variables = {"NETEM": "", "NETEM_DIRECTION": "both", "NETEM_TRAFFIC": "all", "NETEM_ENGINE": engine}
        variables["COMPOSE_PROFILES"] = "impaired"
        self._expect_ours()
        sidecars = [_started(container) for container in self.containers("netem")]
        self.images.build(**variables)
        self._run("up", "--detach", "--no-deps", "netem", **variables)
        self._wait_for_sidecar(old=_started(self.container("netem")) in sidecars)

    def _wait_for_sidecar(self, *, old: bool) -> None:
        begun = time.monotonic()
        # A server that was started again has another network than the sidecar that was there before. That one
        # would notice; but a young one waits until its engine would start it again at once.
        anew = _started(self.container("netem")) < _started(self.container("server"))
        if anew:
            self._restart_sidecar()
        while True:
            sidecar = self.container("netem")
            try:
                code, output = sidecar.exec_run(["netem", "health"])
            except APIError as error:
                said = error.explanation or "it is not running"
            except (DockerException, RequestException) as error:
                raise EngineError(f"cannot ask the sidecar: {error}; see {hints.doctor()}") from error
            else:
                if code == 0:
                    return
                said = cast("bytes", output).decode(errors="replace").strip()
            ended = sidecar.status in {"exited", "dead", "restarting"}
            waited_s = time.monotonic() - begun
            if (ended or (old and waited_s > SIDECAR_WITHIN_S)) and not anew:
                # Whatever has ended or stopped it, or took its interface away, may be over.
                self._restart_sidecar()
                anew = True
                continue
            if ended or waited_s > HEALTHY_WITHIN_S:
                complaints = [line.text for line in self.log("netem") if line.text.startswith("netem: ")]
                with engine_errors("remove the sidecar"):
                    sidecar.remove(force=True)
                reason = complaints[-1].removeprefix("netem: ") if complaints else said
                # The sidecar speaks of its own settings, its reader of this program's.
                reason = re.sub(r"NETEM_ENGINE=(\w+)", lambda found: hints.option("engine", found[1]), reason)
                raise EngineError(f"the sidecar does not work: {reason}")
            time.sleep(POLL_S)

    def _restart_sidecar(self) -> None:
        with engine_errors("restart the sidecar"):
            self.container("netem").restart(timeout=0)

    def log(self, *services: str) -> list[LogLine]:
        """Return what the services' lasting containers have logged, in order of time.

        The time is the journal's own, which a call that sends has from its beginning; for other lines, and
        for those of a host with another clock, it is when the engine got them. Both are UTC. Nothing in a
        line moves the cursor: programs may be anybody's.
        """
        lines = []
        for service in services:
            for container in self._lasting(service):
                host = f"{service}-{container.labels[MADE_BY_COMPOSE]}"
                with engine_errors(f"read the log of {host}"):
                    logged = container.logs(timestamps=True, stream=False)
                for line in logged.decode(errors="replace").splitlines():
                    engine_time, _space, text = line.partition(" ")
                    lines.append(LogLine(time_of_day(engine_time[11:26], text), host, printable(text)))
        return sorted(lines, key=lambda line: line.time)


def is_ours(container: Container) -> bool:
    """Tell whether Compose has made a container from our compose.yaml."""
    files = container.labels.get(FILES_LABEL, "").split(",")
    return any(Path(file).resolve() == COMPOSE_YAML for file in files)


def _made_from(container: Container) -> str:
    """Return from which folder or files Compose has made a container."""
    labels = container.labels
    return labels.get(FILES_LABEL) or labels.get(FOLDER_LABEL) or f"the container {container.name}"


def _started(container: Container) -> datetime:
    """Return when a container was started last."""
    return datetime.fromisoformat(container.attrs["State"]["StartedAt"])


def projects() -> list[str]:
    """Return the names of the Compose projects that were made from this checkout."""
    with looking_at_engine("list the labs") as client:
        made = client.containers.list(all=True, filters={"label": MADE_BY_COMPOSE}, ignore_removed=True)
    return sorted({container.labels[PROJECT_LABEL] for container in made if is_ours(container)})


@contextmanager
def looking_at_engine(doing: str) -> Iterator[docker.DockerClient]:
    """Connect to the engine, in the body of the `with`."""
    with engine_errors(doing), closing(connect()) as client:
        yield client
