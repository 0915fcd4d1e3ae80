"""A lab with traffic on it, to be disturbed; and what must hold of any disturbance.

What holds of every fault:

1. The command ends by itself; it shows no traceback; what it complains about is one line.
2. A message that nobody can know the fate of is unmeasured. None is called lost that the fault has taken.
3. Over TCP the bytes that came are the first of those that were sent, each once and in order. When they are
   not all, the run says so.
4. The next experiment on the same lab is answered in full, no later than if the lab had been removed and
   made anew: `allowed_s`, from an undisturbed experiment and an undisturbed start in the same run.
5. No client is left, and the network is as clean as before.
"""

import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from docker.errors import APIError, NotFound
from docker.models.containers import Container
from netem_impairment import leases
from numbered import message

from campaigns.faults.outcome import Broken, Seen, allowed_s
from campaigns.outcome import Unmeasurable
from socketlab.checkout import ROOT
from socketlab.describe.scenario import Engine
from socketlab.errors import LabError
from socketlab.hosts.docker.compose_project import ComposeProject
from socketlab.hosts.docker.docker_engine import connect
from tests.complaints import complaints

COUNT, RATE, SIZE = 200, 100, 64  # messages, a second, bytes: two seconds of traffic
AGAIN = 20  # messages of an experiment that shows that the lab is as before
BEGUN = 20  # packets on the way to the server: the traffic is under way
LASTS_S = 0.5  # a fault that heals in the traffic
PATIENCE_S = 90.0  # of ours with a command: a TCP client gives up after 60 s in which no byte comes
NOT_RESTORED = "the network was not restored"
PROGRAM = ("-m", "socketlab")
LOST = ("lost", "lost going", "lost coming back")

# In a container: the program that an experiment needs there: its server, its client, or the sidecar.
THE_PROGRAM = """
import os, sys
PROGRAMS = {b"server.py", b"stream.py", b"udp_client.py", b"tcp_client.py", b"netem"}
def programs():
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                words = open(f"/proc/{name}/cmdline", "rb").read().split(bytes(1))
            except (FileNotFoundError, ProcessLookupError):
                continue
            if words[0] != b"sh" and PROGRAMS & {word.rpartition(b"/")[2] for word in words[:2]}:
                yield int(name)
"""
SIGNAL_THE_PROGRAM = f"""{THE_PROGRAM}
for number in programs():
    os.kill(number, int(sys.argv[1]))
    print(number)
"""


def eventually(what: str, look: Callable[[], Any], within_s: float = 20.0) -> Any:
    """Return what is seen as soon as it is true.

    Raises:
        Broken: it does not become so.
    """
    deadline = time.monotonic() + within_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise Broken(f"waited {within_s:g} s in vain for {what}")
        time.sleep(0.02)
    return found


def descendants(pid: int) -> list[int]:
    """Return the processes of this machine that a process has started, and those that these have."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError, IndexError):
                stat = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                parents.setdefault(int(stat[1]), []).append(int(folder.name))
    found = list(parents.get(pid, ())) if pid > 1 else []
    for child in found:
        found += parents.get(child, ())
    return found


class Running:
    """A command of the lab that runs, as somebody at a terminal has started it."""

    def __init__(
        self, command: list[str], file: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.command = command
        self.file = file
        self.begun = time.monotonic()
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        self._err = tempfile.TemporaryFile()  # noqa: SIM115
        # A group of its own, as a shell gives one to each command: Ctrl-C goes to all that is in it.
        self.process = subprocess.Popen(
            ["env", "--default-signal=INT", *command],
            stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._err, cwd=ROOT, start_new_session=True,
            env=dict(os.environ | dict(environment or {})),
        )  # fmt: skip

    def interrupt(self, number: signal.Signals) -> None:
        """Press Ctrl-C, which all of the group get; any other signal is for the command alone."""
        if self.process.poll() is not None:
            raise Broken("expected the command to run when it is interrupted, it has ended")
        if number is signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def children(self) -> list[str]:
        """Return the command lines of all that it has started and that still runs."""
        found = []
        for pid in descendants(self.process.pid):
            with suppress(OSError):
                found.append(Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " "))
        return found

    def kill(self) -> None:
        """End it and all that it has started, at once."""
        # Once it was waited for, its number may be anybody's: on a busy machine they come round soon.
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._written()

    def _written(self) -> tuple[str, str]:
        said = []
        for file in (self._out, self._err):
            if not file.closed:
                file.seek(0)
                said.append(file.read().decode(errors="replace"))
                file.close()
        return (said[0], said[1]) if said else ("", "")

    def end(self, within_s: float = PATIENCE_S, *, ours: bool = True) -> Seen:
        """Wait for its end, and return what a user sees of it and what its result says.

        Args:
            within_s: so long.
            ours: it is `socketlab`, whose exit codes and complaints have a form.

        Raises:
            Broken: it does not end, shows a traceback, or complains in more than a line.
        """
        try:
            code = self.process.wait(within_s)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise Broken(f"expected an end within {within_s:g} s, the command still runs") from error
        out, err = self._written()
        lines = [line for line in (err or out).splitlines() if line.strip()]
        # A hint in it is called as we have called the command: by a path of this machine.
        last = lines[-1].replace(f"{sys.executable} -m socketlab", "socketlab") if lines else ""
        seen = Seen(exit_code=code, said=last, took_s=time.monotonic() - self.begun)
        if "Traceback" in out + err:
            raise Broken(f"expected a line, it shows a traceback that ends with {seen.said!r}", seen)
        complained = complaints(err)
        if ours and code in {1, 2} and not (len(complained) == 1 and complained[0].startswith("socketlab: ")):
            raise Broken(f"expected one line 'socketlab: …', it says {err[-300:]!r}", seen)
        if code in {0, 4} and self.file is not None:
            told = json.loads(self.file.read_text(encoding="utf-8"))["results"]
            for result in told:
                add_result(seen, result)
        return seen


def add_result(seen: Seen, result: Mapping[str, Any]) -> None:
    """Add what a result says to what was seen, and check what must hold of any.

    Raises:
        Broken: a message is called lost in a measurement that broke, or bytes are not those that were sent.
    """
    part = result.get("story") or result["connection"]
    told = part.get("messages") or part["lines"]
    for each in told:
        seen.fates[each["fate"]] = seen.fates.get(each["fate"], 0) + 1
    unsent = sum(each["fate"] == "unmeasured" and each.get("sent") is None for each in told)
    reasons = [*part["faults"], *([f"TCP: {part['gave_up']}"] if part.get("gave_up") else [])]
    if unsent and not part["faults"]:
        reasons.append(f"{unsent} messages could not be sent")
    seen.reported = "; ".join(dict.fromkeys(filter(None, [seen.reported, *reasons])))
    lost = sum(seen.fates.get(fate, 0) for fate in LOST)
    if part["faults"] and lost:
        raise Broken(f"expected messages to be unmeasured, {lost} are called lost: {seen.reported}", seen)
    if result["exit_code"] == 4 and not part["faults"] and unsent != seen.fates.get("unmeasured"):
        raise Broken(
            "the exit code says that something was not measured, and the result does not say what", seen
        )
    if part.get("bytes"):
        add_bytes(seen, part["bytes"], result["experiment"]["stream"])
        if seen.came_bytes != seen.expected_bytes and not reasons:
            raise Broken(f"{seen.came_bytes} of {seen.expected_bytes} bytes came, and nobody says why", seen)


def add_bytes(seen: Seen, told: Mapping[str, Any], stream: Mapping[str, Any]) -> None:
    """Compare the bytes that came with as many of those that were sent.

    Raises:
        Broken: they are not the same: one was lost, repeated, damaged or came out of order.
    """
    whole = b"".join(message(n, stream["size"], line=True).upper() for n in range(1, stream["count"] + 1))
    seen.expected_bytes, seen.came_bytes = told["expected"], told["came"]
    if hashlib.sha256(whole[: told["came"]]).hexdigest() != told["sha256_came"]:
        raise Broken(
            f"the {told['came']} bytes that came are not the first ones of those that were sent", seen
        )


class Scene:
    """A lab, with traffic over a protocol.

    Args:
        protocol: udp or tcp.
        folder: for results.
        address: of an engine; None: this machine's.
    """

    def __init__(self, protocol: str, folder: Path, address: str | None = None) -> None:
        self.protocol = protocol
        self.folder = folder
        self.address = address
        self.environment = {"DOCKER_HOST": address} if address else {}
        self.lab = ComposeProject(leases.take(), address=address)
        self.engine = connect(address)
        # Undisturbed: making the hosts from nothing, and an experiment on them. None: nobody has tried.
        self.start_s: float | None = None
        self.usual_s: float | None = None
        self.fit = False  # it is up, and as after an experiment

    def stop(self) -> None:
        """Remove what there is of the lab: the next traffic finds another one."""
        self.fit = False
        self.lab.stop()

    def close(self) -> list[str]:
        """Remove the lab; return what is left of it."""
        self.lab.stop()
        left = self.everything()
        self.lab.close()
        self.engine.close()
        return left

    # --- what is there

    def everything(self, project: str = "") -> list[str]:
        """Return the names of all that there is of the lab on the engine, or of another one."""
        label = f"com.docker.compose.project={project or self.lab.name}"
        wanted: dict[str, str | list[str] | bool] = {"label": label}
        found = [
            str(one.name)
            for one in self.engine.containers.list(all=True, filters=wanted, ignore_removed=True)
        ]
        found += [str(one.name) for one in self.engine.networks.list(filters=wanted)]
        return sorted(found)

    def left_over(self) -> list[str]:
        """Return what should not be there between two runs: clients, and an impairment."""
        left = [name for name in self.everything() if "-client-" in name]
        with suppress(LabError, APIError, NotFound):  # no sidecar at work: no impairment
            code, shown = self.lab.container("netem").exec_run(["netem", "show"])
            if code == 0 and b"nothing" not in cast("bytes", shown):
                left.append(f"an impairment: {cast('bytes', shown).decode(errors='replace').strip()}")
        return left

    @property
    def server(self) -> Container:
        """The server's container."""
        return self.lab.container("server")

    @property
    def sidecar(self) -> Container:
        """The sidecar's."""
        return self.lab.container("netem")

    @property
    def client(self) -> Container:
        """The container of the client that sends."""
        found = self.engine.containers.list(filters={"name": f"{self.lab.name}-client-"})
        if len(found) != 1:
            raise Broken(f"expected one client at work, found {len(found)}")
        return found[0]

    def network(self) -> Any:
        """Return the lab's network."""
        return self.engine.networks.get(f"{self.lab.name}_lab")

    def signal(self, container: Container, number: signal.Signals) -> None:
        """Send a signal to the program of a container, not to its first process, which would ignore it."""
        code, said = container.exec_run(["python3", "-c", SIGNAL_THE_PROGRAM, str(int(number))])
        if code or not said:
            raise Unmeasurable(f"the program of {container.name} could not be found: {said!r}")

    # --- traffic

    def command(self, name: str, *arguments: str, program: Sequence[str] = PROGRAM) -> list[str]:
        """Return a command line of `socketlab` for this lab."""
        return [sys.executable, *program, name, *arguments, "--project", self.lab.name]

    def start(
        self,
        *arguments: str,
        count: int = COUNT,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> Running:
        """Start an experiment, as somebody types it."""
        file = self.folder / f"{secrets.token_hex(4)}.json"
        options = [
            "--engine",
            "userspace",
            "--netem",
            "delay 1ms",
            "--count",
            str(count),
            "--rate",
            str(RATE),
        ]
        options += ["--timeline", "none", "--json", str(file), *arguments]
        command = self.command(f"lossy-{self.protocol}", *options, program=program)
        return Running(command, file, self.environment | dict(environment or {}))

    def ready(self) -> None:
        """Have the lab up, and know how long that takes from nothing, and an experiment on it.

        Raises:
            Unmeasurable: one fails without a fault, too.
        """
        if self.usual_s is None or not self.fit:
            self.lab.images.build(COMPOSE_PROFILES="impaired")  # is no part of a start
            begun = time.monotonic()
            self.lab.start()
            self.lab.start_sidecar(Engine.USERSPACE)
            self.start_s = time.monotonic() - begun
            begun = time.monotonic()
            if (usual := self.start(count=AGAIN).end()).exit_code:
                raise Unmeasurable(f"an experiment fails without a fault, too: {usual.said}")
            self.usual_s, self.fit = time.monotonic() - begun, True

    @contextmanager
    def traffic(self, *arguments: str, count: int = COUNT) -> Iterator[Running]:
        """Start an experiment; the body begins when its messages arrive at the server."""
        self.ready()
        running = self.start(*arguments, count=count)
        try:
            self.wait_for_messages(running)
            yield running
        finally:
            running.kill()

    def wait_for_messages(self, running: Running) -> None:
        """Wait until so many packets of the traffic have come to the sidecar."""

        def under_way() -> bool:
            if running.process.poll() is not None:
                if (ended := running.end()).exit_code == 0:
                    raise Unmeasurable("all messages were answered before their traffic was seen")
                raise Broken(f"the traffic has not begun: {ended.said}")
            code, counters = self.sidecar.exec_run(["netem", "stats", "--json"])
            directions = json.loads(cast("bytes", counters))["directions"] if code == 0 else {}
            to_server = directions.get("ingress", {})
            return bool(to_server.get("spec")) and to_server["packets"] > BEGUN

        eventually("traffic at the server", under_way, max(PATIENCE_S, self.allowed_s()))

    # --- afterwards

    def allowed_s(self) -> float:
        """Return how long a recovery may take on this lab."""
        if self.usual_s is None or self.start_s is None:
            raise Unmeasurable("nobody has measured what an experiment takes without a fault")
        return allowed_s(self.usual_s, self.start_s)

    def recover(self, seen: Seen) -> Seen:
        """Run experiments on the lab until one is answered in full, and add how long that took.

        Raises:
            Broken: it took too long, or something is left.
        """
        allowed, begun = self.allowed_s(), time.monotonic()
        seen.attempts, seen.usual_s, seen.start_s = 0, self.usual_s, self.start_s
        if NOT_RESTORED not in seen.reported:  # what it has said itself, is for the next run to mend
            seen.left = self.left_over()
        while True:
            seen.attempts += 1
            again = self.start(count=AGAIN).end()
            seen.recovery_s = time.monotonic() - begun
            if (again.exit_code, again.fates) == (0, {"answered": AGAIN}):
                break
            seen.meanwhile = again.said
            if seen.recovery_s > 3 * allowed:
                raise Broken(f"the lab does not recover: {again.said}", seen)
        seen.left += self.left_over()
        if seen.left:
            raise Broken(f"expected nothing to be left, there is {', '.join(seen.left)}", seen)
        if seen.recovery_s > allowed:
            # The machine may be busier by now than when the lab was made: what would another one take?
            self._compare_with_another(seen)
            allowed = allowed_s(seen.usual_s or 0, seen.start_s or 0)
            if seen.recovery_s > allowed:
                raise Broken(
                    f"expected the lab back within {allowed:.1f} s (usual: {seen.usual_s:.1f} s, a start: "
                    f"{seen.start_s:.1f} s), it took {seen.recovery_s:.1f} s",
                    seen,
                )
        return seen

    def _compare_with_another(self, seen: Seen) -> None:
        """Measure what is usual again, on another lab, and keep the longer times."""
        other = Scene(self.protocol, self.folder, self.address)
        try:
            other.ready()
        finally:
            other.close()
        seen.usual_s = max(filter(None, (seen.usual_s, other.usual_s)))
        seen.start_s = max(filter(None, (seen.start_s, other.start_s)))


def expect_code(seen: Seen, codes: Collection[int]) -> None:
    """Check the exit code.

    Raises:
        Broken: it is another.
    """
    if seen.exit_code not in codes:
        raise Broken(
            f"expected exit code {' or '.join(map(str, codes))}, got {seen.exit_code}: {seen.said}", seen
        )
