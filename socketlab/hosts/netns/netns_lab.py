"""Hosts that are network namespaces of this machine: nothing but their network is isolated.

They serve inside a kernel that has netem, where no Docker is, and they keep the seam honest: whatever a
command asks of its hosts must work here, too. Programs run as plain processes of services/, and end with the
process that has started them. `close` removes everything; a client's namespace stays until then.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from socketlab.checkout import ROOT
from socketlab.describe.scenario import Engine, Protocol, Servers
from socketlab.errors import EngineError
from socketlab.hosts.backend import Command, LogLine
from socketlab.hosts.log_times import in_order
from socketlab.hosts.netns.namespaces import Network, environment
from socketlab.hosts.operated import Host

SERVICES = ROOT / "services"
FOLDERS = {"server": "server", "netem": "netem", "client": "client", "capture": "capture"}  # of services/
WITHIN_S = 20.0
ENDS_WITHIN_S = 5.0
POLL_S = 0.02
# A host has a name and a /run of its own. The first argument is its /run, the second its name.
A_HOST = 'mount --bind "$0" /run && hostname "$1" && cd "$2" && shift 2 && exec "$@"'


class NetnsLab:
    """The hosts of a lab, as network namespaces.

    Args:
        project: of whose names the namespaces' begin.
        servers: what is to run on the server host.
    """

    def __init__(self, project: str, servers: Servers = Servers.LECTURE) -> None:
        self.name = project
        self.servers = servers
        self.can_capture = shutil.which("tcpdump") is not None
        self._network = Network(project)
        self._clients = count(1)
        self._todo = ExitStack()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._folder = Path(self._todo.enter_context(tempfile.TemporaryDirectory(prefix=f"{project}-")))

    def start(self) -> None:
        """Make the server host, and start its servers: see `Backend`."""
        if "server" in self._network.addresses:
            return
        self._network.make()
        self._network.add("server")
        self._network.set("server", "net/ipv4/ip_unprivileged_port_start", "1024")
        for role in FOLDERS:
            (self._folder / role).mkdir()
        self._begin("server", "server", "start_servers.py", self.servers)
        self._wait("server", "server", "healthcheck.py", self.servers)

    def start_sidecar(self, engine: Engine) -> None:
        """Start the sidecar at the server host's network: see `Backend`."""
        if "netem" in self._running:
            return
        self._begin("netem", "server", "netem.py", "run", NETEM_ENGINE=engine)
        self._wait("netem", "server", "netem.py", "health")

    def operate(self, role: str, *, privilege: str = "") -> Host:
        """Operate a host: see `Backend`. Programs here have every privilege anyhow."""
        del privilege
        if role != "client":
            return self._operated(role, "server", role)
        return self._operated(role, self._client(), role)

    def _client(self) -> str:
        """Make a client host, and return its name."""
        host = f"client-{next(self._clients)}"
        self._network.add(host)
        # As in compose.yaml: connections begin without what the system has learnt from earlier ones.
        self._network.set(host, "net/ipv4/tcp_no_metrics_save", "1")
        return host

    def operate_capture(self, at: Host, *, inside: bool) -> Host:
        """Make a capture host, and operate it: see `Backend`."""
        del inside
        host = next(name for name, address in self._network.addresses.items() if address == at.address)
        return self._operated(f"capture at {at.name}", host, "capture")

    def _operated(self, name: str, host: str, role: str) -> Host:
        command = self._command(host, role, sys.executable, "-m", "lab.remote")
        return Host(name, command, environment(os.environ))

    def _command(self, host: str, role: str, *words: str) -> list[str]:
        """Return the command that runs a program of a role on a host."""
        place = [str(self._folder / role), host, str(SERVICES / FOLDERS[role])]
        return self._network.inside(host, "unshare", "--uts", "sh", "-c", A_HOST, *place, *words)

    def terminal(self, protocol: Protocol, arguments: Sequence[str]) -> Command:
        """Return the command of an interactive client: see `Backend`."""
        words = self._command(self._client(), "client", sys.executable, f"{protocol}_client.py", *arguments)
        return Command(words, environment(os.environ))

    def log(self, *roles: str) -> list[LogLine]:
        """Return what the server host and the sidecar have logged: see `Backend`."""
        found = []
        for role in roles:
            if role in self._running:
                text = (self._folder / f"{role}.log").read_text(encoding="utf-8", errors="replace")
                found += in_order(role, text.splitlines())
        return sorted(found, key=lambda line: line.time)

    def machine(self) -> Mapping[str, str | int]:
        """Return what the hosts run on: see `Backend`."""
        return {
            "system": platform.system(),
            "kernel": platform.release(),
            "engine": "network namespaces",
            "cpus": os.cpu_count() or 1,
        }

    def stop(self) -> None:
        """End what was started, and remove the hosts: see `Backend`."""
        for process in reversed(self._running.values()):
            process.terminate()
            try:
                process.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()
        self._network.remove()

    def close(self) -> None:
        """Remove everything: these hosts do not outlive the process that has made them."""
        self.stop()
        self._todo.close()

    def _begin(self, role: str, host: str, *words: str, **variables: str) -> None:
        with (self._folder / f"{role}.log").open("wb") as log:
            self._running[role] = subprocess.Popen(
                self._command(host, role, sys.executable, *words),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=environment(os.environ, **variables), start_new_session=True,
            )  # fmt: skip

    def _wait(self, role: str, host: str, *check: str) -> None:
        """Wait until a check of the role's own succeeds.

        Raises:
            EngineError: the program has ended, or the check does not succeed in time.
        """
        deadline = time.monotonic() + WITHIN_S
        while True:
            done = subprocess.run(
                self._command(host, role, sys.executable, *check),
                capture_output=True, text=True, check=False, env=environment(os.environ),
            )  # fmt: skip
            if done.returncode == 0:
                return
            if self._running[role].poll() is not None or time.monotonic() > deadline:
                log = "\n".join(line.text for line in self.log(role))
                raise EngineError(f"the {role} does not work: {done.stderr.strip()}\nits log:\n{log}")
            time.sleep(POLL_S)
