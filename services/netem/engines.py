"""Which engine impairs here: the kernel's netem where it works, else the queue to user space; or neither."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import kernel
import userspace
from engine import Engine
from lab.failures import Failure
from lab.guard import Guard, Taken
from netem_impairment import Directions

AUTO = "auto"


class Kind(NamedTuple):
    """An engine that can be asked for.

    Attributes:
        probe: returns why it cannot impair an interface in these directions, or None; leaves nothing behind.
        make: makes it. It removes what a killed one of its kind has left.
        sweep: removes what a killed one of this kind has left.
    """

    probe: Callable[[str, Directions], str | None]
    make: Callable[[str], Engine]
    sweep: Callable[[], None]


# In the order in which they are tried.
KINDS = {
    "kernel": Kind(kernel.probe, kernel.KernelEngine, kernel.sweep),
    "userspace": Kind(
        lambda interface, _either: userspace.probe(interface), userspace.UserspaceEngine, userspace.sweep
    ),
}

# Guards, each for one program at a time in a network.
AT_WORK, PROBING = "netem-sidecar", "netem-probing"
ENDING_S = 1.5  # a sidecar that is stopped is gone within a second
PROBING_S = 10.0

PROC_VERSION = Path("/proc/version")
PROC_STATUS = Path("/proc/self/status")
CAP_NET_ADMIN, CAP_NET_RAW = 12, 13

CAPABILITIES = "give it the capabilities NET_ADMIN and NET_RAW (Compose: cap_add)"
MODPROBE = "`sudo modprobe sch_netem` or `sudo modprobe -a nfnetlink_queue xt_NFQUEUE`"
# What to do where neither works, by what the kernel's version says of the system.
REMEDIES = {
    "linuxkit": "Docker Desktop: update it, or run the lab on an engine in a Linux virtual machine of yours",
    "microsoft": f"WSL2: `wsl --update` in Windows, then in the distribution {MODPROBE}",
    "azure": "GitHub runner: `sudo apt-get install linux-modules-extra-$(uname -r)`, then"
    " `sudo modprobe sch_netem`",
    "": f"Linux: on the machine {MODPROBE}; where there is no such module, first install the package"
    " linux-modules-extra-$(uname -r) (Ubuntu) or kernel-modules-extra (Fedora, RHEL), or a kernel that is"
    " not cut down (Debian: linux-image-amd64)",
}


def choose(wanted: str, interface: str, directions: Directions) -> tuple[Engine, str]:
    """Return an engine that works here, and why it is this one.

    What a killed sidecar has left in this network is removed, whichever engine it had; so the caller holds
    the guard `alone`.

    Args:
        wanted: one of `KINDS`, or `auto`.
        interface: what is to be impaired.
        directions: in which directions, to begin with.

    Raises:
        Failure: this container lacks the capability, the engine that was asked for cannot be used, or with
            `auto` none can; says what to do.
    """
    if not has_capability(CAP_NET_ADMIN):
        raise Failure(f"this container may not change its network: {CAPABILITIES}")
    problems: dict[str, str] = {}
    for name, kind in KINDS.items():
        if wanted not in {AUTO, name}:
            continue
        with _probing():
            problem = kind.probe(interface, directions)
        if problem is None:
            for other, left in KINDS.items():
                if other != name:
                    left.sweep()
            why = (
                "asked for" if wanted == name else _joined(problems) or "the first choice, and it works here"
            )
            return kind.make(interface), why
        problems[name] = problem
    if wanted == AUTO:
        raise Failure(f"no engine works here: {_joined(problems)}; {remedy()}")
    other = next(name for name in KINDS if name != wanted)
    raise Failure(
        f"the engine {wanted} does not work here: {problems[wanted]}; try NETEM_ENGINE={other} or {AUTO}"
    )


def problems(interface: str = "lo") -> dict[str, str | None]:
    """Return for each engine why it cannot work here, or None; changes nothing."""
    with _probing():
        return {name: kind.probe(interface, Directions.BOTH) for name, kind in KINDS.items()}


def alone() -> Guard:
    """Return the guard that lets one sidecar be at work in a network namespace.

    It is for the namespace and not for an interface: the user-space engine has two queues there, and either
    engine removes whatever it finds of its own.

    Raises:
        Failure: another sidecar is at work here.
    """
    try:
        return Guard(AT_WORK, ENDING_S)
    except Taken as taken:
        raise Failure(
            f"another sidecar is at work in this network ({taken.by or 'just starting'}), expected none:"
            " stop it first, or use `netem set` in its container"
        ) from taken


@contextmanager
def _probing() -> Iterator[None]:
    """Let one program at a time try what works in a network: each uses the same names for it."""
    try:
        with Guard(PROBING, PROBING_S):
            yield
    except Taken as taken:
        raise Failure(
            f"another program has been trying for {PROBING_S:g} s which engines work here: expected less than"
            " one; look for a `netem probe` that is stopped"
        ) from taken


def _joined(problems: dict[str, str]) -> str:
    return "; ".join(f"{name} does not work: {problem}" for name, problem in problems.items())


def has_capability(number: int) -> bool:
    """Tell whether this process has a capability."""
    status = dict(line.split(":", 1) for line in PROC_STATUS.read_text(encoding="utf-8").splitlines())
    return bool(int(status["CapEff"], 16) >> number & 1)


def remedy() -> str:
    """Return what to do on this system so that an engine works, in one line."""
    if not has_capability(CAP_NET_RAW):
        return f"this container may not send packets as they are: {CAPABILITIES}"
    version = PROC_VERSION.read_text(encoding="ascii", errors="replace").lower()
    return next(advice for sign, advice in REMEDIES.items() if sign in version)
