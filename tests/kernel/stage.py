"""The hosts of a lecture inside a kernel that has netem.

What are containers elsewhere are network namespaces here, and the sidecar is a plain process on the server's
host.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from socketlab.describe.scenario import Engine, Servers
from socketlab.hosts.lab import Lab, temporary
from socketlab.hosts.netns.netns_lab import NetnsLab
from tests.kernel.hosts import SERVER, on, written

SERVICES = Path("/lab/services")
PATIENCE_S = 10.0
JOURNAL = {"LOG_FORMAT": "json"}
ROOM = 4 << 20  # bytes: as much as the programs ask for


@contextmanager
def program(
    host: str, *words: str | Path, ready: str, log: Path, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python program on a host, from when its log has a word; end it if it still runs."""
    with on(host), log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *words], stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **variables}
        )
    try:
        until = time.monotonic() + PATIENCE_S
        while ready not in (said := log.read_text(encoding="utf-8")):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{words[0]}: expected {ready!r} in its log, got {said[-500:]!r}")
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def sidecar(spec: str = "", **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the sidecar on the server's host, with the kernel's engine."""
    log = Path("/tmp/sidecar.log")  # noqa: S108
    Path("/run/netem").mkdir(exist_ok=True)
    settings = {"NETEM": spec, "NETEM_ENGINE": "kernel", **JOURNAL, **variables}
    words = (SERVICES / "netem/netem.py", "run")
    with program(SERVER, *words, ready='"apply"', log=log, **settings) as process:
        yield process


@contextmanager
def lab(engine: Engine = Engine.KERNEL) -> Iterator[Lab]:
    """Make the hosts, with a sidecar at the server's, and remove them.

    Args:
        engine: of the sidecar.
    """
    # Room for what arrives, and for answers that wait, while this kernel's only processor does other things.
    written("/proc/sys/net/core/rmem_max", str(ROOM))
    written("/proc/sys/net/core/wmem_max", str(ROOM))
    with temporary(NetnsLab("claims", Servers.IDLE), engine) as made:
        if made.sidecar is None:
            raise RuntimeError(made.no_sidecar)
        yield made
