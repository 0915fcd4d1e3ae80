"""Run: the lab on Docker. The only module that talks to Docker.

Compose makes the hosts and their network, for `compose.yaml` is what describes them; everything else
(states, logs, waiting) goes by the Docker SDK. What belongs to a lab is found by Compose's own labels, and is
ours only where Compose made it from this checkout: somebody else's project can have the same name.
"""

import json
import os
import re
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, cast

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound, NullResource
from docker.models.containers import Container
from requests.exceptions import RequestException

from socketlab import checkout, hints
from socketlab.checkout import COMPOSE_YAML, ROOT
from socketlab.describe.scenario import Conversation, Engine, Servers
from socketlab.errors import EngineError, TraceError
from socketlab.hosts import steps, turns
from socketlab.hosts.docker.bundle import ROLE_LABEL, SOURCE_LABEL, Carried
from socketlab.hosts.docker.docker_engine import connect, engine_errors
from socketlab.hosts.docker.image_source import digest
from socketlab.hosts.interrupts import undisturbed
from socketlab.observe.words import printable
from socketlab.run import leases

# Only containers that Compose made have this. The project's and the service's name do not tell them apart: an
# image that Compose built hands these on to whatever is run from it, by whomever.
MADE_BY_COMPOSE = "com.docker.compose.container-number"
ONE_OFF = "com.docker.compose.oneoff"  # "True": made by `docker compose run`
PROJECT_LABEL = "com.docker.compose.project"
FOLDER_LABEL = f"{PROJECT_LABEL}.working_dir"
FILES_LABEL = f"{PROJECT_LABEL}.config_files"
TEST_LABEL = "org.socketlab.test"  # on what tests make beside a lab: the name that it was made under
ROLES = ("server", "client", "netem", "capture")

HEALTHY_WITHIN_S = 20.0
SIDECAR_WITHIN_S = 3.0  # an old one that is not at work by then is started again, once
CONVERSATION_WITHIN_S = 120.0
COMES_LATE_S = 3.0  # a container that was asked for
POLL_S = 0.05

LAST_LINES = 20  # of a log: the mark is among them

# In the server's container: a datagram that its journal will have, after all that came before it.
LEAVE_A_MARK = """
from socket import *
with socket(AF_INET, SOCK_DGRAM) as mark:
    mark.settimeout(5)
    mark.connect(("127.0.0.1", 12000))
    mark.send(b"mark")
    mark.recv(64)
    print("%s:%d" % mark.getsockname())
"""

DAY_S, CLOCKS_AGREE_S = 86_400, 0.1
JOURNAL_TIME = re.compile(r"\d\d:\d\d:\d\d\.\d{6}(?= )")


class Lab:
    """The hosts of one Compose project.

    Args:
        project: the project's name, the checkout's if left out; labs of different names run side by side.
        servers: what runs on the server host; None: what runs there, else the lecture's servers.
        address: the engine's; None: as the docker command finds it.
    """

    def __init__(
        self,
        project: str = "",
        servers: Servers | None = None,
        *,
        address: str | None = None,
    ) -> None:
        self.project = project or checkout.project()
        self._chosen = {"DOCKER_HOST": address} if address else {}
        self._experimenting: Mapping[str, str] = {}
        self._replaced: set[str] = set()  # images of before; hosts may use them until Compose makes them anew
        with engine_errors("reach the Docker engine"):
            self._docker = connect(address)
        try:
            self._base = self._base_where_none_is_chosen()
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
            self.project,
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
            self._discard_replaced()
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

    def build(self, **variables: str) -> None:
        """Build the images of the lab's hosts, as far as anything in them has changed.

        Not by `docker compose build`, which writes the lab's name into an image: so it would be another image
        for each lab, and two labs in turn would have each other's hosts made anew.

        Args:
            variables: COMPOSE_PROFILES chooses the optional hosts.
        """
        self._build(partial(self.outdated, **variables))

    def _build(self, outdated: Callable[[], Mapping[str, tuple[str, Mapping[str, Any]]]]) -> None:
        if not outdated():
            return
        with turns.building(checkout.project()):  # whoever is before us may have made them
            for image, (source, build) in outdated().items():
                replaced = self._image(image).get("Id", "")
                command = ["docker", "build", "--quiet", "--label", f"{SOURCE_LABEL}={source}"]
                command += ["--tag", image, "--file", str(Path(build["context"]) / build["dockerfile"])]
                command += [f"--build-arg={name}={value}" for name, value in build.get("args", {}).items()]
                try:
                    with steps.announce(f"building the image {image} ..."):
                        self._output("docker build", [*command, build["context"]])
                except EngineError as error:
                    base = base_of(build)
                    if self._image(base):
                        raise
                    raise EngineError(
                        f"cannot build {image}: expected the base image {base}, it is not here and cannot be "
                        f"pulled: name another by {checkout.BASE}, in the environment or in "
                        f"{checkout.SETTINGS}, or load a bundle: {hints.own('bundle load FILE')} "
                        f"({last_line(str(error))})"
                    ) from error
                self._replaced.add(replaced)
            self._discard_replaced()

    def outdated(self, **variables: str) -> dict[str, tuple[str, Mapping[str, Any]]]:
        """Return the images that are to be built: the digest of the source, and what compose.yaml says of it.

        Docker would find out as well, in a quarter of a second an image. Where the base image is not here,
        what was built on it stands.
        """
        return self._outdated(self.sources(**variables))

    def _outdated(
        self, sources: Mapping[str, tuple[str, Mapping[str, Any]]]
    ) -> dict[str, tuple[str, Mapping[str, Any]]]:
        found = {}
        for image, (source, build) in sources.items():
            present = self._image(image)
            labels = present.get("Config", {}).get("Labels") or {}
            base = layers(self._image(base_of(build)))
            if labels.get(SOURCE_LABEL) != source or layers(present)[: len(base)] != base:
                found[image] = source, build
        return found

    def sources(self, **variables: str) -> dict[str, tuple[str, Mapping[str, Any]]]:
        """Return what each image is made from: the digest of the source, and what compose.yaml says of it."""
        return sources_in(self._described(**variables))

    def _base_where_none_is_chosen(self) -> dict[str, str]:
        """Return the variable that names our own base image, for an installation that has no other.

        In a checkout set-up sees to that.
        """
        if not checkout.INSTALLED or checkout.chosen_base():
            return {}
        ours = not self._image(checkout.REGISTRY_BASE) and self._image(checkout.OUR_BASE)
        return {checkout.BASE: checkout.OUR_BASE} if ours else {}

    def _image(self, name: str) -> Mapping[str, Any]:
        """Return what the engine knows of an image; nothing: it does not have it."""
        with engine_errors(f"look at the image {name}"):
            try:
                return self._docker.images.get(name).attrs
            except (ImageNotFound, NullResource):
                return {}

    def _discard_replaced(self) -> None:
        """Remove the images that builds have replaced, as far as no host uses them any more."""
        self._replaced = {image for image in self._replaced if not self._discard(image)}

    def _discard(self, image: str) -> bool:
        """Remove an image of ours that has been replaced, unless it has another name; False: one uses it."""
        found = self._image(image) if image else {}
        if found and not found.get("RepoTags"):
            try:
                self._docker.images.remove(image)
            except NotFound:
                return True
            except APIError:
                return False
        return True

    def _expect_ours(self) -> None:
        """Check that Compose has made everything in this project from this checkout.

        Raises:
            EngineError: somebody else has a project of this name; the message says where.
        """
        if strangers := {_made_from(each) for each in self._in_project() if not is_ours(each)}:
            raise EngineError(
                f"expected a project name of our own, got {self.project!r}, which is in use by "
                f"{', '.join(sorted(strangers))}: choose another, as in {hints.in_another_lab()}"
            )

    def _in_project(self, *labels: str) -> list[Container]:
        """Return the containers that Compose has made for a project of this name, whoever asked it to."""
        with engine_errors(f"list the containers of the project {self.project}"):
            # One may go while it is looked at: a client does, at its end.
            return self._docker.containers.list(
                all=True,
                filters={"label": [f"{PROJECT_LABEL}={self.project}", MADE_BY_COMPOSE, *labels]},
                ignore_removed=True,
            )

    def start(self) -> None:
        """Build what changed, start the server and wait until it answers.

        For one that runs already nobody waits. It may be busy: the lecture's TCP server is, with one client.
        """
        self._expect_ours()
        before = self._running()
        described = self._described()
        self._build(partial(self._outdated, sources_in(described)))
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
            labels = [f"com.docker.compose.project={self.project}", f"com.docker.compose.network={network}"]
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
                f"expected one {service} in the lab {self.project!r}, found {len(found)}: "
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
                    code, output = server.exec_run(["python3", "healthcheck.py", self.servers])
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

    # --- hosts that are operated from outside: `socketlab.hosts.operated`

    def command_in(self, service: str) -> list[str]:
        """Return the command that operates the host of a service, beside what runs on it."""
        return [
            "docker",
            "exec",
            "--interactive",
            str(self.container(service).id),
            "python3",
            "-m",
            "lab.remote",
        ]

    def client_host_command(self, *, privilege: str = "") -> list[str]:
        """Return the command that makes a client host and operates it, until its input ends.

        Args:
            privilege: a capability that its programs have, and no other host's: with NET_ADMIN they may
                change how its own network behaves, with NET_RAW write packets by themselves.
        """
        more = ("--cap-add", privilege, "--user", "0:0") if privilege else ()
        return self.compose(
            "--progress", "quiet", "run", "--rm", "--no-TTY", "--no-deps", *more, "client", "remote",
        )  # fmt: skip

    def capture_host_command(self, container: str, *, inside: bool) -> list[str]:
        """Return the command that makes a capture host and operates it, until its input ends.

        Args:
            container: whose network it shares.
            inside: whether it may also look behind an impairment, for which it has to set firewall rules.
        """
        return [
            "env",
            f"CAPTURE_AT=container:{container}",
            *self.compose("--progress", "quiet", "run", "--rm", "--no-TTY", "--no-deps"),
            *(["--cap-add", "NET_ADMIN"] if inside else []),
            "capture",
            "remote",
        ]

    def limit_processor(self, container: str) -> None:
        """Leave a host only the processor time that no other host wants."""
        with engine_errors("limit what a host may take of the processors"):
            self._docker.containers.get(container).update(cpu_shares=2)  # the least there is

    # --- experiments

    def start_impaired(self, engine: Engine) -> None:
        """Start the server with the sidecar that impairs its network, and wait until both are at work.

        Nothing is impaired yet. Journals are JSON from here on, and the concurrent server answers, for the
        messages of an experiment share a connection: the next `make up` changes that back.

        Raises:
            EngineError: the engine cannot work here; the sidecar's own words are in the message.
        """
        if self.servers is Servers.LECTURE:
            self.servers = Servers.CONCURRENT
        variables = {"LOG_FORMAT": "json", "COMPOSE_PROFILES": "impaired", "NETEM_ENGINE": engine}
        # What is impaired, and when, is the experiment's affair, whatever the environment says.
        variables |= {"NETEM": "", "NETEM_DIRECTION": "both", "NETEM_TRAFFIC": "all"}
        self._expect_ours()
        before = self._running()
        sidecars = [_started(container) for container in self.containers("netem")]
        described = self._described(**variables)
        self._build(partial(self._outdated, sources_in(described)))
        self._remove_if_unfit(described)
        self._run("up", "--detach", "--no-deps", "server", "netem", **variables)
        self._experimenting = variables
        if self._running() != before:
            self.wait_until_answering()
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
                complaints = [line for _time, _host, line in self.log("netem") if line.startswith("netem: ")]
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

    def impair(self, spec: str, directions: str, traffic: str) -> str:
        """Have the sidecar impair, check that packets pass through it, and return its counters as JSON."""
        return self._in_sidecar(
            'netem set --direction "$1" --traffic "$2" $3 >&2 && exec netem stats --json --verify',
            directions,
            traffic,
            spec,
        )

    def sidecar_now(self) -> str:
        """Check that packets still pass through the impairment, and return its counters as JSON."""
        return self._in_sidecar("exec netem stats --json --verify")

    def restore_network(self) -> None:
        """Have the sidecar let all packets pass as they come."""
        self._in_sidecar("exec netem clear")

    def _in_sidecar(self, script: str, *arguments: str) -> str:
        sidecar = self.container("netem")
        with engine_errors("ask the sidecar"):
            done = sidecar.exec_run(["sh", "-c", script, "sh", *arguments], demux=True)
        code, (output, complaint) = done[0], cast("tuple[bytes | None, bytes | None]", done[1])
        if code:
            said = (complaint or output or b"").decode(errors="replace").strip().splitlines()
            raise EngineError(f"the sidecar refused: {said[-1] if said else f'exit code {code}'}")
        return (output or b"").decode()

    def client_journal(
        self, arguments: Sequence[str], typed: str, told: Callable[[int, int, int], None]
    ) -> list[str]:
        """Run a client of its own to its end and return the lines of its journal.

        Args:
            arguments: of the client container.
            typed: its standard input.
            told: is called with what the client says about its progress: sent, answered, of how many.

        Raises:
            EngineError: it could not be started, or could not go on.
            TraceError: it was ended by somebody else: what it has measured is gone.
        """
        name = f"{self.project}-client-{secrets.token_hex(4)}"
        command = self.compose(
            "--progress", "quiet", "run", "--rm", "--no-TTY", "--no-deps", "--name", name, "client",
            *arguments,
        )  # fmt: skip
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile(buffering=0) as keyboard:
            # Files, not pipes: they take any amount while we read what it says about its progress.
            try:
                left = typed.encode()
                while left:  # of what does not fit a part is taken first
                    left = left[keyboard.write(left) :]
                keyboard.seek(0)
            except OSError as error:
                where = tempfile.gettempdir()
                raise EngineError(
                    f"cannot keep what is to be typed in {where}: {error.strerror}; make room there"
                ) from error
            client: subprocess.Popen[bytes] | None = None
            try:
                with undisturbed():  # or it would have begun, and nobody would know it
                    client = subprocess.Popen(
                        command,
                        stdin=keyboard,
                        stdout=output,
                        stderr=subprocess.PIPE,
                        env=self.environment(**self._experimenting),
                        # Not in our process group: Ctrl-C is for us to pass on, once.
                        start_new_session=True,
                    )
                assert client.stderr is not None  # noqa: S101 - for the type checker: it is a pipe
                complaints = [line for line in client.stderr if not _tell(line, told)]
                code = client.wait()
            except BaseException:
                if client is not None:
                    self._end_client(client, name)
                raise
            finally:
                if client is not None and client.stderr is not None:
                    client.stderr.close()
            output.seek(0)
            lines = output.read().decode(errors="replace").splitlines()
        if code in {0, 3}:
            return lines
        said = complaints[-1].decode(errors="replace").strip() if complaints else f"exit code {code}"
        if code < 128:
            raise EngineError(f"the client failed: {said}")
        raise TraceError(f"it was ended from outside (exit code {code})")

    def _end_client(self, client: "subprocess.Popen[bytes]", name: str) -> None:
        """End a client that goes on, and remove its host."""
        with undisturbed():
            removed = self._remove(name)
            client.kill()
            client.wait()
            deadline = time.monotonic() + COMES_LATE_S
            # Compose may have asked for it just before it was killed: then it is there in a moment.
            while not removed and time.monotonic() < deadline:
                time.sleep(POLL_S)
                removed = self._remove(name)

    def _remove(self, name: str) -> bool:
        """Remove a container; False: there is none of this name."""
        with engine_errors("remove the client"), suppress(NotFound):
            self._docker.containers.get(name).remove(force=True)
            return True
        return False

    def mark_log(self, service: str) -> float:
        """Return the time of the last line of a service's log, by the engine's clock: see `log_since`."""
        with engine_errors(f"read the log of {service}"):
            last = self.container(service).logs(timestamps=True, tail=1, stream=False)
        text = last.decode(errors="replace").partition(" ")[0]
        return datetime.fromisoformat(text).timestamp() if text else 0.0

    def log_since(self, service: str, mark: float) -> list[str]:
        """Return what the server has logged since a mark, complete up to now.

        A log reaches the engine when it does. So the server is sent a datagram from its own host, and when
        that is in the log, all that the server had logged before it is, too.

        Raises:
            EngineError: the server does not answer any more.
            TraceError: the log does not get there.
        """
        server = self.container(service)
        with engine_errors(f"ask the {service}"):
            code, output = server.exec_run(["python3", "-c", LEAVE_A_MARK])
        said = cast("bytes", output).decode(errors="replace").strip()
        if code:
            raise EngineError(f"it does not answer any more: {said.splitlines()[-1] if said else code}")
        wanted = f'"peer": "{said}"'.encode()
        deadline = time.monotonic() + HEALTHY_WITHIN_S
        while True:
            with engine_errors(f"read the log of {service}"):
                if wanted in server.logs(tail=LAST_LINES, stream=False):
                    return server.logs(since=mark, stream=False).decode(errors="replace").splitlines()
            if time.monotonic() > deadline:
                raise TraceError("its log was cut off")
            time.sleep(POLL_S)

    def log(self, *services: str) -> list[tuple[str, str, str]]:
        """Return (time of day, container, line) of what the services' containers have logged, in order.

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
                    lines.append((time_of_day(engine_time[11:26], text), host, printable(text)))
        return sorted(lines, key=lambda line: line[0])

    def name_image(self, role: str, name: str) -> None:
        """Give the image of a host's role another name, by which other projects use it."""
        self._tag(checkout.image(role), name)

    # --- bundles

    def save_images(self, file: Path) -> list[str]:
        """Write the images of all hosts, and the base image, into a file; return their names.

        Raises:
            EngineError: one cannot be built, or written; what is in the file is then of no use.
        """
        base = self._base_in_use()
        if not self._image(base):  # BuildKit builds on an image without keeping it
            self._output("docker pull", ["docker", "pull", "--quiet", base])
        self.build(COMPOSE_PROFILES="*")
        names = [*map(checkout.image, ROLES), base]
        with file.open("wb") as output:
            self._output("docker save", ["docker", "save", *names], output)
        return names

    def load_images(self, file: Path, carried: Mapping[str, Carried]) -> list[str]:
        """Take the images of all hosts, and the base image, from a bundle.

        Args:
            file: the bundle.
            carried: what is in it.

        Returns:
            what has changed beside the images, a sentence each.

        Raises:
            EngineError: they are for other machines, of another version or on another base; or the file is
                damaged. Nothing has changed then.
        """
        base, notes = carried["base"].name, []
        chosen = checkout.chosen_base()
        if chosen not in {"", base}:
            raise EngineError(
                f"expected a bundle on the base image {chosen}, got one on {base}: remove {checkout.BASE} "
                f"from the environment and from {checkout.SETTINGS}, or save one on {chosen}"
            )
        with engine_errors("ask the engine for which machines its images are"):
            architecture = self._docker.version()["Arch"]
        if others := {each.architecture for each in carried.values()} - {architecture}:
            raise EngineError(f"expected images for {architecture}, got some for {', '.join(sorted(others))}")
        made_from = self.sources(COMPOSE_PROFILES="*", BASE_IMAGE=base)
        if any(made_from[checkout.image(role)][0] != carried[role].source for role in ROLES):
            raise EngineError(
                f"{file} carries the hosts of another version of Socket Lab: "
                "save one with the version that is here"
            )
        before = {each.name: str(self._image(each.name).get("Id", "")) for each in carried.values()}
        ours = {role: str(self._image(checkout.image(role)).get("Id", "")) for role in ROLES}
        try:
            self._output("docker load", ["docker", "load", "--quiet", "--input", str(file)])
            for role in ROLES:
                self._tag(carried[role].name, checkout.image(role))
        except BaseException:
            self._put_back(before)
            raise
        mine = set(map(checkout.image, ROLES))
        self._put_back({name: was for name, was in before.items() if name not in {*mine, base}})
        for was in ours.values():
            self._discard(was)
        if before[base] and before[base] != self._image(base).get("Id"):
            notes.append(f"{base} was another image before; labs that are built on it will build anew.")
        if self._base_in_use() != base:
            checkout.choose_base(base)
            notes.append(f"wrote {checkout.BASE}={base} into {checkout.SETTINGS}")
        return notes

    def _base_in_use(self) -> str:
        """Return the name of the base image that images are built on now."""
        return base_of(next(build for _source, build in self.sources().values()))

    def _tag(self, image: str, name: str) -> None:
        """Give an image a name."""
        with engine_errors(f"name the image {name}"):
            self._docker.images.get(image).tag(name)

    def _put_back(self, before: Mapping[str, str]) -> None:
        """Have names mean the images again that they meant before; nothing: there was none."""
        for name, was in before.items():
            now = self._image(name).get("Id", "")
            if was and now != was:
                self._tag(was, name)
                self._discard(now)
            elif now and not was:
                with suppress(APIError, NotFound):
                    self._docker.images.remove(name)

    def remove_images(self) -> tuple[list[str], list[str]]:
        """Remove the images of the checkout's hosts.

        Returns:
            the names of those that were removed, and of those that stay, for a container uses them.
        """
        removed, kept = [], []
        with engine_errors("remove the images"):
            for name in map(checkout.image, ROLES):
                try:
                    self._docker.images.remove(name)
                except ImageNotFound:
                    continue
                except APIError as error:
                    if error.status_code != HTTPStatus.CONFLICT:
                        raise
                    kept.append(name)
                else:
                    removed.append(name)
        return removed, kept


def sources_in(described: Mapping[str, Any]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return what each image is made from, as compose.yaml says: see `Lab.sources`."""
    return {
        service["image"]: (digest(service["build"]), service["build"])
        for service in described["services"].values()
        if "build" in service  # else it is a host that somebody added: an image that is there
    }


def base_of(build: Mapping[str, Any]) -> str:
    """Return the name of the base image in what compose.yaml says of an image; nothing: it has none."""
    return str(build.get("args", {}).get(checkout.BASE, ""))


def layers(image: Mapping[str, Any]) -> list[str]:
    """Return the digests of an image's layers, its base's first: every engine has the same of it."""
    return list(image.get("RootFS", {}).get("Layers") or ())


def last_line(text: str) -> str:
    """Return the last line that has something in it."""
    return next(filter(None, map(str.strip, reversed(text.splitlines()))), "")


def is_ours(container: Container) -> bool:
    """Tell whether Compose has made a container from our compose.yaml."""
    files = container.labels.get(FILES_LABEL, "").split(",")
    return any(Path(file).resolve() == COMPOSE_YAML for file in files)


def _made_from(container: Container) -> str:
    """Return from which folder or files Compose has made a container."""
    labels = container.labels
    return labels.get(FILES_LABEL) or labels.get(FOLDER_LABEL) or f"the container {container.name}"


def time_of_day(received: str, line: str) -> str:
    """Return when a line of a log was written, as HH:MM:SS and microseconds.

    Args:
        received: when the engine got it.
        line: a journal's own begins with its time; one later than `received` is of a host with another clock.
    """
    stamped = JOURNAL_TIME.match(line)
    if stamped is None:
        return received
    ahead_s = (_seconds(stamped[0]) - _seconds(received)) % DAY_S
    return received if CLOCKS_AGREE_S < ahead_s < DAY_S / 2 else stamped[0]


def _seconds(time_of_day: str) -> float:
    hours, minutes, seconds = time_of_day.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _started(container: Container) -> datetime:
    """Return when a container was started last."""
    return datetime.fromisoformat(container.attrs["State"]["StartedAt"])


def _tell(line: bytes, told: Callable[[int, int, int], None]) -> bool:
    """Pass on what a client says about its progress; False if it is something else."""
    try:
        said = json.loads(line)
        told(said["sent"], said["answered"], said["of"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return True


def projects() -> list[str]:
    """Return the names of the Compose projects that were made from this checkout."""
    with looking_at_engine("list the labs") as client:
        made = client.containers.list(all=True, filters={"label": MADE_BY_COMPOSE}, ignore_removed=True)
    return sorted({container.labels[PROJECT_LABEL] for container in made if is_ours(container)})


@dataclass(frozen=True)
class Thing:
    """Something on the engine.

    Attributes:
        kind: "container", "network" or "image".
        name: its name, or short id.
        test: the name that a test has made it under; nothing: it is no test's.
    """

    kind: str
    name: str
    test: str
    remove: Callable[[], object] = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def things(client: docker.DockerClient) -> list[Thing]:
    """Return all containers, networks and images of an engine, in the order in which they can be removed."""
    found = []
    for container in client.containers.list(all=True, ignore_removed=True):
        labels = container.labels
        # Compose's label of the project alone says nothing: see MADE_BY_COMPOSE.
        made_for = labels.get(PROJECT_LABEL, "") if ROLE_LABEL in labels and MADE_BY_COMPOSE in labels else ""
        test = _test(labels.get(TEST_LABEL, made_for))
        found.append(Thing("container", str(container.name), test, partial(container.remove, force=True)))
    for network in client.networks.list():
        labels = network.attrs.get("Labels") or {}
        test = _test(labels.get(TEST_LABEL, labels.get(PROJECT_LABEL, "")))
        found.append(Thing("network", str(network.name), test, network.remove))
    for image in client.images.list():
        for name in image.tags or [str(image.short_id)]:
            removing = partial(client.images.remove, name)
            test = _test(name.partition("/")[0]) or _test(name.rpartition(":")[2])
            found.append(Thing("image", name, test, removing))
    return found


def _test(name: str) -> str:
    return name if leases.NAME.fullmatch(name) else ""


@contextmanager
def looking_at_engine(doing: str) -> Iterator[docker.DockerClient]:
    """Connect to the engine, in the body of the `with`."""
    with engine_errors(doing), closing(connect()) as client:
        yield client


def remove_tests(names: Collection[str]) -> list[str]:
    """Remove all that was made under these names of tests; return what that was.

    Raises:
        EngineError: something could not be removed. All else has been.
    """
    removed, failed = [], []
    with looking_at_engine("remove what tests have left") as client:
        # All containers first: one can be on a network that was made under another name.
        for thing in things(client):
            if thing.test in names:
                try:
                    thing.remove()
                except NotFound:
                    continue  # a container removes itself when it ends
                except APIError as error:
                    failed.append(f"the {thing}: {error.explanation}")
                else:
                    removed.append(str(thing))
    if failed:
        raise EngineError(f"cannot remove {'; '.join(failed)}")
    return removed
