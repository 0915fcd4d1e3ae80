"""The whole sidecar at a host, in mounts of its own as in a container: its log, its command, its end."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.engine_process import NETEM, PATIENCE_S
from tests.impairment.hosts import Host

PROGRAM = str(NETEM / "netem.py")
NAME = "impaired"  # of the host, in the file that it shares with its sidecar
# What an engine gives a container that shares a host's network: that host's name and its /etc/hosts, but a
# /run of its own.
CONTAINER = (
    'mount -t tmpfs none /run && mount --bind "$1" /etc/hosts && hostname "$2" && shift 2 && exec "$@"'
)


class SidecarProcess:
    """A sidecar that runs at a host.

    Args:
        host: where.
        folder: for its log and its hosts file.
        words: arguments of `netem run`.
        hosts_file: what its hosts file says; by default that the host runs.
    """

    def __init__(self, host: Host, folder: Path, *words: str, hosts_file: str | None = None) -> None:
        self.hosts_file = folder / "hosts"
        self.hosts_file.write_text(f"{host.address} {NAME}\n" if hosts_file is None else hosts_file)
        self._log = folder / "log"
        inside = (
            "sh",
            "-c",
            CONTAINER,
            "sh",
            str(self.hosts_file),
            NAME,
            sys.executable,
            PROGRAM,
            "run",
            *words,
        )
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                host.command("unshare", "--uts", *inside),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def log(self) -> list[str]:
        """Return what it has written, without the time and without what fills columns."""
        lines = self._log.read_text().splitlines()
        return [" ".join((line[16:] if line[2:3] == ":" else line).split()) for line in lines]

    def call(self, *words: str) -> tuple[int, str]:
        """Run `netem` in its container; return exit code and output."""
        pid = str(self.process.pid)
        done = subprocess.run(
            ["nsenter", "--target", pid, "--mount", "--net", "--uts", sys.executable, PROGRAM, *words],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def answer(self, command: str) -> dict[str, Any]:
        """Return what `netem show` or `netem stats` says."""
        code, output = self.call(command, "--json")
        assert code == 0, output
        answer: dict[str, Any] = json.loads(output)
        return answer

    def wait_for(self, what: str, check: Callable[[], object], within_s: float = PATIENCE_S) -> None:
        """Wait until something is so."""
        give_up = time.monotonic() + within_s
        while not check():
            assert time.monotonic() < give_up, (what, self.call("show"), self.log())
            time.sleep(0.02)

    def wait_until_working(self) -> None:
        """Wait until its healthcheck says so."""
        self.wait_for("a sidecar at work", lambda: self.call("health")[0] == 0)

    def ended(self) -> int:
        """Wait for its end; return its exit code."""
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(("it has not ended", self.call("show"), self.log())) from None

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Send a signal, and wait for the end."""
        self.process.send_signal(signum)
        return self.ended()

    def close(self) -> None:
        """Kill it, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
