"""Facts about this machine and its engine that set-up does nothing about, but the doctor tells."""

import json
import locale
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from setup import base_image, docker, remedies
from setup.facts import Fact, State
from setup.machine import Machine
from setup.shell import run
from socketlab import checkout

LEAST_MEMORY_GIB = 1.0
LEAST_DISK_GIB = 2.0
GIB = 2**30
REGISTRY_PATIENCE_S = 5.0


def system(machine: Machine) -> Fact:
    """Say what system this is."""
    if machine.wsl == 1:
        remedy = "in Windows: wsl --set-version DISTRIBUTION 2"
        return Fact("system", State.MISSING, f"{machine.title} in WSL1, which cannot run containers", remedy)
    where = " in WSL2" if machine.wsl else ""
    where += " in what looks like a container" if machine.container else ""
    return Fact("system", State.OK, f"{machine.title}{where}, {platform.machine()}, kernel {machine.kernel}")


def tool(machine: Machine, name: str) -> Fact:
    """Say whether a program is there, and which version."""
    path = shutil.which(name)
    if not path:
        return Fact(name, State.MISSING, "not on the PATH", remedies.install(machine, name))
    outcome = run(name, "--version", timeout_s=docker.PATIENCE_S)
    if not outcome.ok:
        # macOS has a stand-in for both that asks for the developer tools.
        found = f"{path} does not run: {outcome.err[:100]}"
        return Fact(name, State.UNKNOWN, found, remedies.install(machine, name))
    return Fact(name, State.OK, f"{outcome.out.splitlines()[0]}, {path}" if outcome.out else path)


def terminal() -> Fact:
    """Say whether answers beyond ASCII can be shown, and whether anybody looks."""
    encoding = locale.getpreferredencoding(do_setlocale=False)
    if encoding.upper().replace("-", "") != "UTF8":
        found = f"{encoding} and not UTF-8"
        return Fact("terminal", State.MISSING, found, "export LC_ALL=C.UTF-8", needed=False)
    where = "on a terminal" if sys.stdout.isatty() else "not on a terminal"
    return Fact("terminal", State.OK, f"{encoding}, {where}", needed=False)


def rights() -> Iterator[Fact]:
    """Say whether we may use the engine's socket, where it is a file on this machine."""
    kind, _, path = docker.endpoint().partition("://")
    if kind != "unix" or not Path(path).exists():
        return
    if os.access(path, os.R_OK | os.W_OK):
        yield Fact("socket", State.OK, f"{path} is readable and writable")
    else:
        yield Fact("socket", State.MISSING, f"no right to use {path}", remedies.join_group())


def resources(machine: Machine) -> Iterator[Fact]:
    """Say what the engine has to give, in its own words."""
    outcome = run("docker", "info", "--format", "{{json .}}", timeout_s=docker.PATIENCE_S)
    try:
        info: dict[str, Any] = json.loads(outcome.out)
        memory, cpus, cgroup = info["MemTotal"] / GIB, info["NCPU"], info["CgroupVersion"]
        folder, forwarding = Path(info["DockerRootDir"]), info["IPv4Forwarding"]
    except (ValueError, KeyError, TypeError):
        yield Fact("resources", State.UNKNOWN, "`docker info` does not tell them", needed=False)
        return
    found = f"{memory:.1f} GiB, {cpus} CPUs"
    if memory >= LEAST_MEMORY_GIB:
        yield Fact("memory", State.OK, found)
    else:
        remedy = f"give the engine {LEAST_MEMORY_GIB:.0f} GiB or more (Docker Desktop: Settings, Resources)"
        yield Fact("memory", State.MISSING, found, remedy)
    yield disk(folder) if docker.endpoint().startswith("unix:") else out_of_sight(folder)
    yield Fact("cgroups", State.OK, f"version {cgroup}", needed=False)
    if forwarding:
        yield Fact("forwarding", State.OK, "IPv4 forwarding is on", needed=False)
    else:
        remedy = f"{remedies.sudo(machine)}sysctl -w net.ipv4.ip_forward=1"
        found = "IPv4 forwarding is off: containers reach nothing outside"
        yield Fact("forwarding", State.MISSING, found, remedy, needed=False)


def disk(folder: Path) -> Fact:
    """Say how much room the engine has for images."""
    try:
        free = shutil.disk_usage(folder).free / GIB
    except OSError:  # it is in Docker Desktop's virtual machine
        return out_of_sight(folder)
    if free >= LEAST_DISK_GIB:
        return Fact("disk", State.OK, f"{free:.0f} GiB free in {folder}")
    remedy = f"make room, {LEAST_DISK_GIB:.0f} GiB in all (docker system df shows what the engine holds)"
    return Fact("disk", State.MISSING, f"{free:.1f} GiB free in {folder}", remedy)


def out_of_sight(folder: Path) -> Fact:
    """Say that the engine's disk is not one of this machine's."""
    return Fact("disk", State.UNKNOWN, f"{folder} of the engine cannot be seen from here", needed=False)


def registry() -> Fact:
    """Say whether a registry answers; asks for the image's description alone, and keeps nothing."""
    image = base_image.REGISTRY_IMAGE
    outcome = run("docker", "manifest", "inspect", image, timeout_s=REGISTRY_PATIENCE_S)
    if outcome.ok:
        return Fact("registry", State.OK, f"{image} can be pulled", needed=False)
    if outcome.code is None:
        return Fact("registry", State.UNKNOWN, outcome.err, needed=False)
    return Fact("registry", State.MISSING, f"none answers that has {image}", needed=False)


def impairment() -> Fact:
    """Say by what a network can be impaired here: the sidecar tries it on a network of its own."""
    name, sidecar = "impairment", checkout.image("netem")
    if not run("docker", "image", "inspect", sidecar, timeout_s=docker.PATIENCE_S).ok:
        return Fact(name, State.UNKNOWN, "to be asked when the sidecar's image is there", needed=False)
    outcome = run("docker", "run", "--rm", "--network=none", "--cap-drop=ALL", "--cap-add=NET_ADMIN",
                  "--cap-add=NET_RAW", "--read-only", "--tmpfs=/run", sidecar, "probe",
                  timeout_s=docker.PATIENCE_S)  # fmt: skip
    if outcome.ok:
        return Fact(name, State.OK, outcome.out, needed=False)
    if not outcome.out:
        return Fact(name, State.UNKNOWN, outcome.err[:100], needed=False)
    return Fact(name, State.MISSING, outcome.out, outcome.err.removeprefix("netem: "), needed=False)


def c_compiler(machine: Machine) -> Fact:
    """Say whether the benchmark's C server can be compiled."""
    path = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if path:
        return Fact("C compiler", State.OK, path, needed=False)
    remedy = remedies.install(machine, "C compiler")
    return Fact("C compiler", State.MISSING, "none; only `make bench` needs one", remedy, needed=False)
