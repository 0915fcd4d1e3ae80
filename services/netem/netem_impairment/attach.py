"""Impair the network of any container that runs, by a sidecar that is attached to it and operated from here.

    with attach("my-redis") as network:
        network.set("delay 50ms loss 10% seed 1", traffic="tcp:6379")
        ...
        print(network.stats()["directions"]["egress"]["dropped"])

It needs the command `docker` and nothing else. The sidecar has a lease (leases.py): when this program is
killed, the next `remove_left` finds it. When the container ends or is restarted, so does the sidecar, and the
next call says so: nothing is ever unimpaired in silence.
"""

import json
import select
import subprocess
import time
from types import TracebackType
from typing import Any, Self

from . import leases, sidecar_image
from .docker_command import COMMAND, AttachError, docker

__all__ = ["AttachError", "Attached", "attach", "remove_left"]

KIND = "netem"  # of the leases
LABEL = "org.socketlab.lease"
BEGIN_S = 60.0  # for a sidecar to be at work, on an engine that is busy with others
ANSWER_S = 10.0  # the sidecar itself gives up after 4 s
STOP_S = 10  # it needs one at most: packets that wait in the kernel
USAGE = 2  # the exit code of a request that is refused
CONTAINER = (
    *("--init", "--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW"),
    *("--security-opt", "no-new-privileges:true", "--read-only", "--tmpfs", "/run:size=1m,mode=755"),
    *("--memory", "256m", "--pids-limit", "32"),
)


class Attached:
    """A sidecar at work in a container's network, and one connection to it.

    Attributes:
        container: as it was named.
        name: of the sidecar's own container.
    """

    def __init__(self, container: str, name: str) -> None:
        self.container, self.name = container, name
        self._detached = False
        self._control = subprocess.Popen(
            [COMMAND, "exec", "--interactive", name, "netem", "control"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us, who then detach
        )  # fmt: skip

    def __enter__(self) -> Self:
        """Return itself: it is attached already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Detach."""
        self.detach()

    def set(self, spec: str, directions: str = "both", traffic: str = "all") -> dict[str, Any]:
        """Impair so from the next packet on; return what is impaired, as `netem show --json` has it.

        Args:
            spec: in tc-netem(8)'s language.
            directions: `ingress`, `egress` or `both`, as the container sees it.
            traffic: `all` (but DNS), `udp`, `tcp:6379`, ...

        Raises:
            AttachError: it is refused, and nothing has changed; or the sidecar has ended.
        """
        return self._ask(command="set", spec=spec, directions=directions, traffic=traffic)

    def stats(self, *, verify: bool = False) -> dict[str, Any]:
        """Return what has been counted since the last `set`, as `netem stats --json` has it.

        Args:
            verify: check first that packets pass through the impairment.

        Raises:
            AttachError: they do not; the container is on no network now; or the sidecar has ended.
        """
        found = self._ask(command="stats", **({"verify": "yes"} if verify else {}))
        if found["engine"] is None:  # the container was disconnected just now, or is about to be gone
            raise AttachError("a network that is impaired", found["reason"], "connect it again, or detach")
        return found

    def clear(self) -> dict[str, Any]:
        """Let the packets pass as if there were no sidecar, until the next `set`.

        Raises:
            AttachError: the sidecar has ended.
        """
        return self._ask(command="clear")

    def detach(self) -> None:
        """Remove the sidecar: then the network is as it was before. A second time it does nothing.

        Raises:
            AttachError: the network may not be as before; the message says why.
        """
        if self._detached:
            return
        self._detached = True
        self._control.kill()
        self._control.communicate()
        _remove(self.name)

    def wait_until_at_work(self, within_s: float) -> None:
        """Wait until packets pass through the sidecar.

        Raises:
            AttachError: it has ended, or they do not in that time.
        """
        until = time.monotonic() + within_s
        # The first answer comes when the engine has started what answers.
        while (answer := self._answer(max(within_s, ANSWER_S), command="health"))["exit"]:
            if time.monotonic() > until:
                expected = f"a sidecar at work within {within_s:g} s"
                raise AttachError(expected, answer["error"], f"see docker exec {self.name} netem probe")
            time.sleep(0.02)

    def _ask(self, **request: str) -> dict[str, Any]:
        answer = self._answer(ANSWER_S, **request)
        if answer["exit"] == USAGE:
            raise AttachError(
                f"{request} to be understood", answer["error"], "correct it: nothing has changed"
            )
        if answer["exit"]:
            raise AttachError(f"{request['command']} to be done", answer["error"], "mend it, or detach")
        result: dict[str, Any] = answer["answer"]
        return result

    def _answer(self, within_s: float, **request: str) -> dict[str, Any]:
        """Return the answer to a request, as it came."""
        stdin, stdout = self._control.stdin, self._control.stdout
        if self._detached or stdin is None or stdout is None:
            raise AttachError("a sidecar that is attached", "one that is detached", "attach another")
        try:
            stdin.write(json.dumps(request, allow_nan=False).encode() + b"\n")
            stdin.flush()
            line = stdout.readline() if select.select([stdout], [], [], within_s)[0] else None
        except BrokenPipeError:
            line = b""
        if line is None:
            self._control.kill()  # what it answers later must not pass for the answer to another request
            raise AttachError(f"an answer within {within_s:.1f} s", "none", f"see docker logs {self.name}")
        if not line.endswith(b"\n"):
            said = docker("logs", "--tail", "1", self.name, to="read the sidecar's log", errors_too=True)
            got = f"the end of the connection to it; it said last: {said}"
            raise AttachError("a sidecar at work", got, "mend that, and attach another")
        answer: dict[str, Any] = json.loads(line)
        return answer


def attach(
    container: str, *, image: str = "", engine: str = "auto", interface: str = "", within_s: float = BEGIN_S
) -> Attached:
    """Attach a sidecar to a container's network; it is at work then, and impairs nothing yet.

    Args:
        container: its name or id.
        image: the sidecar's; empty: one that is built when there is none.
        engine: `auto`, `kernel` or `userspace`.
        interface: what to impair; empty: the only one.
        within_s: how long it may take to be at work.

    Raises:
        AttachError: it cannot be done; nothing is left of it.
    """
    network = _network(container)
    image = image or sidecar_image.built()
    try:
        name = leases.take(KIND)
    except leases.LeaseError as error:
        raise AttachError("a lease for the sidecar", str(error), "mend it, and try again") from error
    words = ("run", "--engine", engine, *(("--interface", interface) if interface else ()))
    attached = None
    try:
        about = ("--name", name, "--label", f"{LABEL}={name}", "--network", f"container:{network}")
        docker("run", "--detach", *about, *CONTAINER, image, *words, to=f"start a sidecar beside {container}")
        attached = Attached(container, name)
        attached.wait_until_at_work(within_s)
    except BaseException:
        if attached:
            attached.detach()
        else:
            _remove(name)
        raise
    return attached


def remove_left() -> list[str]:
    """Remove the sidecars of programs that have ended without detaching; return their names.

    Raises:
        AttachError: one cannot be removed; it is tried again the next time.
    """
    removed = []
    for name in leases.known(KIND):
        if leases.is_free(name):
            removed += [name] if _remove(name) else []
    return removed


def _network(container: str) -> str:
    """Return the id of the container whose network a container has.

    Raises:
        AttachError: it does not run, or has the machine's own network, or none.
    """
    about = "{{.Id}} {{.State.Running}} {{.HostConfig.NetworkMode}}"
    while True:
        found = docker("container", "inspect", "--format", about, container, to=f"find {container}")
        identity, running, mode = found.split(" ", 2)
        if running != "true":
            raise AttachError(f"a container {container} that runs", "one that does not", "start it first")
        if mode in ("host", "none"):
            got = {"host": "the machine's own", "none": "none"}[mode]
            raise AttachError(f"a network of the container {container}", got, "give it one: docker network")
        if not mode.startswith("container:"):
            return identity
        container = mode.removeprefix("container:")


def _remove(name: str) -> bool:
    """Stop and remove a sidecar, and give its name back; say whether there was one.

    Raises:
        AttachError: it cannot be removed, or did not end by itself.
    """
    ours = ("container", "ls", "--all", "--quiet", "--filter", f"label={LABEL}={name}")
    if found := docker(*ours, to="look for a sidecar"):
        docker("stop", "--time", str(STOP_S), found, to="end a sidecar")
        code = docker("container", "inspect", "--format", "{{.State.ExitCode}}", found, to="see how it ended")
        docker("container", "rm", "--force", found, to="remove a sidecar")
    leases.give_back(name)
    if found and code == "137":
        got = f"one that was killed after {STOP_S} s"
        raise AttachError("a sidecar that ends", got, "restart the container: its network may be impaired")
    return bool(found)
