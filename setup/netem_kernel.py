"""A kernel that has netem, for machines whose own has none: user-mode Linux in a Debian root of its own.

It is a program of Debian's package user-mode-linux, and runs as any other does: nothing is loaded into this
machine's kernel. The root is made from packages, kept in build/, and made again when the list below changes.
"""

import hashlib
import platform
import shutil
from pathlib import Path

from setup import apt, bootstrap
from setup.facts import Fact, State
from setup.machine import Machine
from setup.progress import step
from setup.shell import SetupError, run

NAME = "netem-kernel"
FOLDER = "build/netem-kernel"
# tcc: compiles SHIM; iptables: the user-space engine is compared with the kernel, too.
PACKAGES = ("iproute2", "iptables", "kmod", "python3", "tcc", "user-mode-linux")
SHIM = "services/netem/tests/kernel/xstate.c"
PROCESSORS = ("x86_64", "AMD64")  # there is no user-mode Linux for others


def root(machine: Machine) -> Path:
    """Return the folder with the system that the kernel runs."""
    return machine.repository / FOLDER / "root"


def stamp(machine: Machine) -> bytes:
    """Return a digest of what the root is made from; a cache may use it as its key."""
    digest = hashlib.sha256(" ".join((bootstrap.SUITE, *PACKAGES)).encode())
    digest.update((machine.repository / SHIM).read_bytes())
    return digest.hexdigest().encode()


def stamp_file(machine: Machine) -> Path:
    """Return the file that is written last: a root without it was cut short."""
    return machine.repository / FOLDER / "stamp"


def check(machine: Machine) -> Fact:
    """Say whether the root is there."""
    file = stamp_file(machine)
    if file.is_file() and file.read_bytes() == stamp(machine):
        return Fact(NAME, State.OK, FOLDER, needed=False)
    if platform.machine() not in PROCESSORS:
        found = f"user-mode Linux runs on x86_64, not on {platform.machine()}"
        return Fact(NAME, State.MISSING, found, needed=False)
    if not machine.administers_debian:
        found = "is made with mmdebstrap, as root on Debian or Ubuntu"
        return Fact(NAME, State.MISSING, found, "sudo make test-kernel, on Debian or Ubuntu", needed=False)
    return Fact(NAME, State.MISSING, "not made yet", "`make test-kernel` makes it", True, needed=False)


def ensure(machine: Machine) -> None:
    """See to it that there is a root with a kernel that has netem.

    Raises:
        SetupError: none can be made on this machine.
    """
    fact = check(machine)
    if fact.state is State.OK:
        return
    if not fact.automatic:
        raise fact.problem()
    folder = machine.repository / FOLDER
    # Nothing is ever mounted in it for longer than its kernel runs, and then for that kernel alone.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tar = folder / "root.tar"
    try:
        bootstrap.make(machine, NAME, "a root with user-mode Linux", PACKAGES, tar)
        unpack(tar, root(machine))
    finally:
        tar.unlink(missing_ok=True)
    shutil.copy(machine.repository / SHIM, root(machine) / "usr/lib/uml/xstate.c")
    command = ("tcc", "-shared", "-nostdlib", "-o", "/usr/lib/uml/xstate.so", "/usr/lib/uml/xstate.c")
    apt.succeed(run("chroot", root(machine), *command), "tcc")
    stamp_file(machine).write_bytes(stamp(machine))


def unpack(tar: Path, folder: Path) -> None:
    """Unpack a tar file of a system, but for its devices: the kernel in it makes its own.

    Raises:
        SetupError: there is no room, or no tar.
    """
    folder.mkdir()
    with step(NAME, "unpacking it"):
        names = ("--exclude=./dev/*", "--numeric-owner")
        apt.succeed(run("tar", "--extract", f"--file={tar}", f"--directory={folder}", *names), "tar")
    for name in ("lab", "results"):  # where the kernel's machine finds the checkout, and leaves what it found
        (folder / name).mkdir()
    modules = folder / "usr/lib/modules"
    if modules.exists():
        raise SetupError(f"{NAME}: expected no modules in {modules}, the kernel's are elsewhere")
    modules.symlink_to("uml/modules")
