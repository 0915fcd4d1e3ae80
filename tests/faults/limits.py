"""Faults of what a host may take: memory, processes, descriptors."""

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import cast

from docker.models.containers import Container

from tests.faults.fault import DISTURBED, MEASURED, Fault, in_traffic
from tests.faults.hosts import server, sidecar
from tests.faults.outcome import Broken, CannotBeTried
from tests.faults.scene import Scene, descendants, eventually

KILLED = 128 + signal.SIGKILL
TOO_MUCH_MB = 300  # a host of ours has 256
TAKE = f"x = b'x' * ({TOO_MUCH_MB} << 20)"
# Makes processes until there may be no more, says so, and holds them.
FORK = """
import os, signal
try:
    while True:
        if not os.fork():
            signal.pause()
except OSError:
    print("full", flush=True)
    signal.pause()
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
        parent = int(api.exec_inspect(made)["Pid"])
        try:
            yield
        finally:
            # From here: inside nothing can be started any more.
            for pid in (*descendants(parent), parent):
                os.kill(pid, signal.SIGKILL)
            eventually("the processes' end", lambda: not api.exec_inspect(made)["Running"])

    return inject


@contextmanager
def descriptors(scene: Scene) -> Iterator[None]:
    """Let the server open no more descriptors than it has; what it could open is given back in the end."""
    if os.geteuid() != 0:
        raise CannotBeTried("only root may change another process's limits (prlimit(2))")
    pid = program(scene.server)
    _soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(list(Path(f"/proc/{pid}/fd").iterdir())), hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))


def program(container: Container) -> int:
    """Return the number of a container's program, as this machine has it."""
    container.reload()
    if not (found := descendants(int(container.attrs["State"]["Pid"]))):
        raise CannotBeTried("the engine's processes are not this machine's, or cannot be seen")
    return found[0]


FAULTS = (
    Fault("server's memory full", "limits", "another program of its host takes more than 256 MB",
          in_traffic(memory(server), (MEASURED, DISTURBED))),
    Fault("sidecar's memory full", "limits", "another program of its container takes more than 256 MB",
          in_traffic(memory(sidecar), (MEASURED, DISTURBED))),
    Fault("server's processes full", "limits", "other programs take all 32 processes for 0.5 s",
          in_traffic(processes(server), (MEASURED, DISTURBED))),
    Fault("server's processes stay full", "limits", "other programs take all 32 processes until the end",
          in_traffic(processes(server), (DISTURBED,), heals=False)),
    Fault("sidecar's processes stay full", "limits", "the same in the sidecar's container",
          in_traffic(processes(sidecar), (DISTURBED,), heals=False)),
    Fault("no descriptor left", "limits", "the server may open nothing more for 0.5 s",
          in_traffic(descriptors, (MEASURED, DISTURBED))),
)  # fmt: skip
