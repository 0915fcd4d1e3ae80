"""Hosts to look at from inside: those of the lab, and others that lack what is to be shown."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from socketlab.hosts.operated import Host

INSIDE = Path(__file__).parent / "inside"


def probe(host: Host, name: str, *arguments: object, program: str = "python3") -> Any:
    """Run a program of the folder inside/ on a host to its end; return what it printed, as data."""
    started = host.start(program, "-c", (INSIDE / f"{name}.py").read_text("utf-8"), *map(str, arguments))
    # Before it begins: for each request the host needs a thread, which it may not get any more.
    code = host.begin("program", started.pid, "wait", 30)
    with suppress(BrokenPipeError):  # most wait for nothing
        started.type("\n")
    assert host.finished(code) == 0, started.written()
    return json.loads(started.written()[0])


def status(host: Host, pid: int | str = "self") -> dict[str, str]:
    """Return what /proc says of a process."""
    lines = host.read(f"/proc/{pid}/status").splitlines()
    return {key: value.strip() for key, _colon, value in (line.partition(":") for line in lines)}


@dataclass(frozen=True)
class Mount:
    """A line of /proc/self/mountinfo: proc_pid_mountinfo(5)."""

    place: str
    kind: str
    options: frozenset[str]


def mounts(host: Host) -> list[Mount]:
    """Return what is mounted on a host."""
    found = []
    for line in host.read("/proc/self/mountinfo").splitlines():
        before, _dash, after = line.partition(" - ")
        words = before.split()
        found.append(Mount(words[4], after.split()[0], frozenset(words[5].split(","))))
    return found


def docker_run(image: str, *options: str) -> Sequence[str]:
    """Return the command that makes a host as Docker does when it is told nothing, but for some options."""
    return ["docker", "run", "--rm", "--interactive", "--init", *options, image, "remote"]


def address_of(host: Host) -> str:
    """Return the address of a host that is on no network of the lab's."""
    return str(host.function("socket", "gethostbyname", host.function("socket", "gethostname")))
