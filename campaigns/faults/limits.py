"""Faults of what a host may take: memory, processes, descriptors."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import cast

from docker.models.containers import Container

from campaigns.faults.fault import DISTURBED, MEASURED, Fault, in_traffic
from campaigns.faults.hosts import server, sidecar
from campaigns.faults.outcome import Broken
from campaigns.faults.scene import THE_PROGRAM, Scene, eventually
from campaigns.outcome import Unmeasurable

KILLED = 128 + signal.SIGKILL
TOO_MUCH_MB = 300  # a host of ours has 256
TAKE = f"x = b'x' * ({TOO_MUCH_MB} << 20)"
# Makes processes until there may be no more, says so, and holds them; at the latest the clock ends them.
FORK = """
import os, signal
def hold():
    signal.alarm(15)
    signal.pause()
try:
    while os.fork():
        pass
except OSError:
    print("full", flush=True)
hold()
"""
# Everything here is done inside the host: no process of another one has a number there.
RELEASE = """
import os, signal
for name in os.listdir("/proc"):
    if name.isdecimal() and int(name) != os.getpid():
        try:
            words = open(f"/proc/{name}/cmdline", "rb").read()
        except FileNotFoundError:
            continue
        if b"def hold" in words:
            os.kill(int(name), signal.SIGKILL)
"""
# Lets the program open so many more descriptors than it has.
LIMIT = f"""{THE_PROGRAM}
import resource
for number in programs():
    _soft, hard = resource.prlimit(number, resource.RLIMIT_NOFILE)
    open_now = len(os.listdir("/proc/%d/fd" % number))
    most = min(hard, open_now + int(sys.argv[1]))
    resource.prlimit(number, resource.RLIMIT_NOFILE, (most, hard))
"""


def memory(which: Callable[[Scene], Container]) -> Callable[[Scene], AbstractContextManager[None]]:
    """Have another program of the host take more memory than the host may have."""

    @contextmanager
    def inject(scene: Scene) -> Iterator[None]:
        code, said = which(scene).exec_run(["python3", "-c", TAKE])
        if code != KILLED:
            raise Broken(f"expected the kernel to end it ({KILLED}), it ended with {code}: {said!r}")
        yield

    return inject


def processes(which: Callable[[Scene], Container]) -> Callable[[Scene], AbstractContextManager[None]]:
    """Have other programs of the host take all processes that it may have."""

    @contextmanager
    def inject(scene: Scene) -> Iterator[None]:
        container = which(scene)
        api = scene.engine.api
        made = api.exec_create(container.id, ["python3", "-c", FORK])["Id"]
        stream = cast("Iterator[bytes]", api.exec_start(made, stream=True))
        if b"full" not in next(stream):
            raise Broken("expected the limit of processes to be reached")
        try:
            yield
        finally:
            container.exec_run(["python3", "-c", RELEASE])  # may be refused: then the clock ends them
            eventually("the processes' end", lambda: not api.exec_inspect(made)["Running"])

    return inject


@contextmanager
def descriptors(scene: Scene) -> Iterator[None]:
    """Let the server open no more descriptors than it has; what it could open is given back in the end."""
    limit_descriptors(scene, 0)
    try:
        yield
    finally:
        limit_descriptors(scene, 1 << 20)


def limit_descriptors(scene: Scene, more: int) -> None:
    """Let the server's program open so many more descriptors."""
    code, said = scene.server.exec_run(["python3", "-c", LIMIT, str(more)])
    if code:
        raise Unmeasurable(f"the limit could not be set: {cast('bytes', said).decode(errors='replace')}")


FAULTS = (
    Fault("server's memory full", "limits", "another program of its host takes more than 256 MB",
          in_traffic(memory(server), (MEASURED, DISTURBED))),
    Fault("sidecar's memory full", "limits", "another program of its container takes more than 256 MB",
          in_traffic(memory(sidecar), (MEASURED, DISTURBED))),
    Fault("server's processes full", "limits", "other programs take all 32 processes for 0.5 s",
          in_traffic(processes(server), (MEASURED, DISTURBED))),
    Fault("server's processes stay full", "limits", "other programs take all 32 processes until the end",
          # What is asked of it there is a single process; the kernel lets one that is made outside join.
          in_traffic(processes(server), (MEASURED, DISTURBED), heals=False)),
    Fault("sidecar's processes stay full", "limits", "the same in the sidecar's container",
          in_traffic(processes(sidecar), (DISTURBED,), heals=False)),
    Fault("no descriptor left", "limits", "the server may open nothing more for 0.5 s",
          in_traffic(descriptors, (MEASURED, DISTURBED))),
)  # fmt: skip
