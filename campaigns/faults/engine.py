"""Faults of the engine, and of building images: on an engine that nobody else uses."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound

from campaigns.faults.commands import interrupt
from campaigns.faults.fault import DISTURBED, Fault
from campaigns.faults.outcome import Broken, Seen
from campaigns.faults.scene import Running, Scene, eventually, expect_code
from campaigns.outcome import Unmeasurable
from socketlab import checkout
from socketlab.checkout import ROOT

ENDS_WITHIN_S = 30.0
REFUSED = 1
CONTAINERD = "containerd.sock"
HOSTS = ("server", "client", "netem")


class OwnEngine:
    """An engine beside the machine's own: in another network, with other mounts.

    As on most machines containerd is a process of its own: it, and the containers, survive dockerd.

    Args:
        folder: all that it keeps is here.

    Raises:
        Unmeasurable: there cannot be one here.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix://{folder / 'docker.sock'}"
        self._daemon: subprocess.Popen[bytes] | None = None
        apart = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--propagation", "private"]
        hold = ["sh", "-c", "ip link set lo up && echo made && exec sleep infinity"]
        self._namespaces = subprocess.Popen([*apart, *hold], stdout=subprocess.PIPE)
        assert self._namespaces.stdout is not None
        if not self._namespaces.stdout.readline():
            raise Unmeasurable("network and mount namespaces cannot be made here")
        (folder / "containerd.toml").write_text("version = 2\n", encoding="ascii")
        files = {"--config": "containerd.toml", "--root": "images", "--state": "run", "--address": CONTAINERD}
        self._containerd = self._started("containerd", *self._options(files))

    def _options(self, files: Mapping[str, str]) -> list[str]:
        return [word for option, name in files.items() for word in (option, str(self.folder / name))]

    def _started(self, *command: str) -> subprocess.Popen[bytes]:
        inside = ["nsenter", "--target", str(self._namespaces.pid), "--net", "--mount"]
        # It is told to end when whoever has started it ends.
        inside += ["setpriv", "--pdeathsig", "TERM"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen([*inside, *command], stdout=log, stderr=log)

    def start(self) -> None:
        """Start dockerd, and wait until it answers."""
        # Not as this machine's is set up.
        (self.folder / "daemon.json").write_text("{}", encoding="ascii")
        files = {
            "--config-file": "daemon.json",
            "--data-root": "data",
            "--exec-root": "exec",
            "--pidfile": "pid",
        }
        options = [*self._options(files | {"--containerd": CONTAINERD}), "--host", self.address]
        self._daemon = self._started("dockerd", "--bridge", "none", *options)
        eventually("the engine", self._answers, ENDS_WITHIN_S)

    def _answers(self) -> bool:
        if self._daemon is None or any(one.poll() is not None for one in (self._containerd, self._daemon)):
            said = (self.folder / "log").read_text(errors="replace").splitlines() or ["it says nothing"]
            raise Unmeasurable(f"a second engine does not run here: {said[-1]}")
        try:
            with closing(docker.DockerClient(base_url=self.address)) as client:
                return bool(client.ping())
        except DockerException:
            return False

    def end(self, number: signal.Signals) -> None:
        """End dockerd, with this signal, and wait for that."""
        if self._daemon is not None:
            self._daemon.send_signal(number)
            self._daemon.wait(ENDS_WITHIN_S)
            self._daemon = None

    def close(self) -> None:
        """End it all."""
        self.end(signal.SIGTERM)
        self._containerd.terminate()
        self._containerd.wait(ENDS_WITHIN_S)
        self._namespaces.kill()
        self._namespaces.communicate()

    def load(self, images: list[str]) -> None:
        """Copy images of this machine's engine."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved:
            loading = ["docker", "--host", self.address, "load", "--quiet"]
            done = subprocess.run(loading, stdin=saved.stdout, capture_output=True, text=True, check=False)
        if done.returncode or saved.returncode:
            raise Unmeasurable(f"the images could not be copied: {done.stderr.strip()}")


@contextmanager
def own_engine(scene: Scene) -> Iterator[tuple[OwnEngine, str]]:
    """Start an engine with the lab's images; the body gets it and the name of what they begin with."""
    if os.geteuid() != 0 or not (shutil.which("dockerd") and shutil.which("containerd")):
        raise Unmeasurable("it needs an engine of its own: root, and dockerd and containerd on this machine")
    folder = scene.folder / "engine"
    folder.mkdir()
    engine = OwnEngine(folder)
    scene.lab.images.build(COMPOSE_PROFILES="impaired")
    shown = subprocess.run(
        scene.lab.compose("config", "--format", "json"), capture_output=True, text=True, check=True, cwd=ROOT
    )
    base = json.loads(shown.stdout)["services"]["server"]["build"]["args"]["BASE_IMAGE"]
    try:
        scene.engine.images.get(base)
    except ImageNotFound as error:
        raise Unmeasurable(f"the image {base}, which ours begin with, is not on this machine") from error
    try:
        engine.start()
        engine.load([base, *(f"socketlab/{host}" for host in HOSTS)])
        yield engine, base
    finally:
        engine.close()
        shutil.rmtree(folder)


def on_own_engine(run: Callable[[Scene, OwnEngine, str], Seen]) -> Callable[[Scene], Seen]:
    """Return what does something with a lab on an engine of its own."""

    def there(scene: Scene) -> Seen:
        with own_engine(scene) as (engine, base):
            other = Scene(scene.protocol, engine.folder, engine.address)
            try:
                seen = run(other, engine, base)
            finally:
                left = other.close()
        if left:
            raise Broken(f"expected nothing to be left, there is {', '.join(left)}", seen)
        return seen

    return there


def ended(number: signal.Signals, scene: Scene, engine: OwnEngine, _base: str) -> Seen:
    """End the engine with a signal, in traffic, and start it again."""
    with scene.traffic() as running:
        begun = time.monotonic()
        engine.end(number)
        engine.start()
        away_s = time.monotonic() - begun
        seen = running.end()
    seen.figures["the engine was away for, in s"] = round(away_s, 1)
    expect_code(seen, (REFUSED, DISTURBED))
    return scene.recover(seen)


def interrupted_build(number: signal.Signals, scene: Scene, _engine: OwnEngine, base: str) -> Seen:
    """Interrupt an experiment while images are built."""
    try:
        scene.engine.containers.run(base, ["python3", "--version"], remove=True, network_mode="none")
    except DockerException as error:
        raise Unmeasurable(f"images that begin with {base} are not built without a network") from error

    def at_build(_scene: Scene, running: Running) -> bool:
        return any(" build " in line for line in running.children())

    def outdate() -> None:
        # The label of another host's source: the server's image is not what it should be.
        scene.engine.images.get(checkout.image("client")).tag(checkout.image("server"))

    seen = interrupt(at_build, number, scene, outdate)
    # What was interrupted is to be done all the same: that is no recovery.
    begun = time.monotonic()
    scene.lab.images.build(COMPOSE_PROFILES="impaired")
    seen.figures["the build takes, in s"] = round(time.monotonic() - begun, 1)
    return scene.recover(seen)


FAULTS = (
    *(
        Fault(f"{name} at build", "interrupt", f"{name} while images are built",
              on_own_engine(partial(interrupted_build, number)), protocols=("udp",))
        for number, name in ((signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"))
    ),
    Fault("engine restarted", "engine", "dockerd is told to end under the lab, and started again",
          on_own_engine(partial(ended, signal.SIGTERM))),
    Fault("engine killed", "engine", "SIGKILL to dockerd under the lab, and it is started again (not listed)",
          on_own_engine(partial(ended, signal.SIGKILL)), protocols=("udp",)),
)  # fmt: skip
