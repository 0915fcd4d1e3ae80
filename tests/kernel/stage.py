"""The hosts of a lecture inside a kernel that has netem.

What are containers elsewhere are network namespaces here, each with a process in it that operates it, and the
sidecar is a plain process on the server's host.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from socketlab.hosts.operated import Host
from socketlab.hosts.stage import Stage
from tests.kernel.hosts import ADDRESSES, CLIENT, SERVER, hosts, on, written
from tests.kernel.wire import command

SERVICES = Path("/lab/services")
PATIENCE_S = 10.0
JOURNAL = {"LOG_FORMAT": "json"}
ROOM = 4 << 20  # bytes: as much as the programs ask for
NAMES = {CLIENT: "client", SERVER: "server"}
# A host's name belongs to it alone, as its network does.
NAMED = 'hostname "$1" && shift && exec "$@"'


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
def stage(**variables: str) -> Iterator[Stage]:
    """Make the hosts, with the sidecar at the server's, and remove them.

    Args:
        variables: of the sidecar's environment; its engine is the kernel's, unless they say otherwise.
    """
    # Room for what arrives, and for answers that wait, while this kernel's only processor does other things.
    written("/proc/sys/net/core/rmem_max", str(ROOM))
    written("/proc/sys/net/core/wmem_max", str(ROOM))
    names = Path("/tmp/hosts")  # noqa: S108 - a file system of the test's own kernel
    names.write_text("".join(f"{ADDRESSES[host]} {name}\n" for host, name in NAMES.items()), encoding="ascii")
    command("mount", "--bind", str(names), "/etc/hosts")
    with ExitStack() as todo:
        todo.callback(command, "umount", "/etc/hosts")
        todo.enter_context(hosts())
        with on(CLIENT):
            written("/proc/sys/net/ipv4/tcp_no_metrics_save", "1")  # as compose.yaml has it
        todo.enter_context(sidecar(**variables))

        def operated(role: str, place: str, folder: str) -> Host:
            words = ("nsenter", f"--net=/run/netns/{place}", "unshare", "--uts", "sh", "-c", NAMED, "sh")
            program = ("env", f"--chdir={SERVICES / folder}", sys.executable, "-m", "lab.remote")
            made = Host(role, [*words, NAMES[place], *program])
            todo.callback(made.close)
            return made

        yield Stage(
            server=operated("server", SERVER, "server"),
            client=operated("client", CLIENT, "client"),
            other=operated("other", CLIENT, "client"),  # shares its network: no claim here looks at it
            sidecar=operated("netem", SERVER, "netem"),
            netem=(sys.executable, "netem.py"),
        )
