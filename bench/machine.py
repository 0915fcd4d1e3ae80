"""What the bench knows of the machine: its cores, its limits, and what a process uses of it."""

import os
import platform
import resource
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UnmeasurableError

# Descriptors that a server or the load needs beside its connections.
SPARE_FILES = 100


@dataclass(frozen=True)
class Cores:
    """Which core serves and which one loads; `None` where nothing is pinned."""

    server: int | None
    load: int | None
    note: str


@dataclass(frozen=True)
class Memory:
    """The user-space memory of a process, in bytes."""

    rss: int
    pss: int
    private: int


def plan_cores() -> Cores:
    """Choose a core for the server and another for the load."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return Cores(None, None, "not pinned: there is one core, which server and load share")
    server = allowed[-1]
    # Two threads of one core slow each other down; take them only where there is nothing else.
    strangers = [core for core in allowed if core not in _siblings(server)]
    load = strangers[0] if strangers else allowed[0]
    note = f"server on core {server}, load on core {load}"
    return Cores(server, load, note if strangers else note + " (two threads of one core)")


def _siblings(core: int) -> set[int]:
    """Return the core and those that share its execution units."""
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return {core}
    siblings: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        siblings.update(range(int(first), int(last or first) + 1))
    return siblings


def pin(pid: int, core: int | None) -> None:
    """Keep a process on a core."""
    if core is None:
        return
    try:
        os.sched_setaffinity(pid, {core})
    except ProcessLookupError:
        return  # it has already ended; whoever waits for it says why
    except OSError as error:
        raise UnmeasurableError(f"cannot pin a process to core {core}: {error}") from error


def raise_file_limit(connections: int) -> int:
    """Allow as many open files as the system lets us, and return how many connections these suffice for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return connections
    return min(connections, hard - SPARE_FILES)


def memory(pid: int) -> Memory:
    """Return what a process has of memory; what the kernel holds for its sockets is not in it."""
    sizes: dict[str, int] = {}
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    for line in text.splitlines()[1:]:
        name, kibibytes = line.split()[:2]
        sizes[name] = int(kibibytes) * 1024
    return Memory(sizes["Rss:"], sizes["Pss:"], sizes["Private_Clean:"] + sizes["Private_Dirty:"])


def cpu_seconds(pid: int) -> float:
    """Return the time that a process, with all its threads, has spent on a core."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    # The name of the program, in parentheses, may hold anything; user and system time are fields 14 and 15.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def waited_seconds(pid: int) -> float:
    """Return how long a process was ready to run while its core was busy with something else.

    Of its first thread: of the others it is the server's own affair which of them runs.
    """
    try:
        fields = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return 0.0  # this kernel does not count it
    return int(fields[1]) / 1e9


def describe() -> dict[str, str | int]:
    """Return what a reader must know of this machine; not its name."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
    }
