"""The virtual environment with the host-side program and its tools.

A stamp says what was installed from what. It is written last: an installation that was cut short has none,
and is done again.
"""

import hashlib
import importlib.util
import platform
import shutil
import sys
from pathlib import Path

from setup import apt, remedies
from setup.facts import Fact, State
from setup.machine import Machine
from setup.progress import step
from setup.shell import SetupError, run

NAME = "venv"
FOLDER = ".venv"
OURS = ("services/netem", ".")  # our distributions: a package, and before it what it needs of ours
BASE = "base"  # an extra that adds nothing: what the lab itself needs
# To the byte what setup/lock.py has found, and nothing that would be built here by its own code.
LOCKED_ALONE = ("--require-hashes", "--only-binary=:all:")


def python_in(machine: Machine) -> Path:
    """Return the environment's interpreter."""
    return machine.repository / FOLDER / "bin/python"


def stamp_file(machine: Machine, extra: str) -> Path:
    """Return the file that says what an extra was installed from."""
    return machine.repository / FOLDER / f"socketlab-{extra}.stamp"


def stamp(machine: Machine, extra: str) -> bytes:
    """Return a digest of all that the environment depends on, also its place: it cannot be moved."""
    digest = hashlib.sha256(f"{extra} {platform.python_version()} {machine.repository}\n".encode())
    for name in (*(f"{folder}/pyproject.toml" for folder in OURS), f"requirements/{extra}.txt"):
        file = machine.repository / name
        digest.update(name.encode() + (file.read_bytes() if file.is_file() else b""))
    return digest.hexdigest().encode()


def check(machine: Machine, extra: str = BASE) -> Fact:
    """Say whether the environment has what an extra names, as pyproject.toml has it today."""
    remedy = "`make up` makes it"
    file = stamp_file(machine, extra)
    if not (file.is_file() and python_in(machine).exists()):
        return Fact(NAME, State.MISSING, f"{FOLDER} is not made yet", remedy, automatic=True)
    if file.read_bytes() != stamp(machine, extra):
        return Fact(NAME, State.MISSING, f"{FOLDER} is out of date", remedy, automatic=True)
    return Fact(NAME, State.OK, f"{FOLDER}, Python {platform.python_version()}")


def ensure(machine: Machine, *extras: str) -> None:
    """See to it that the environment has what some extras of pyproject.toml name; none: what the lab needs.

    Raises:
        SetupError: Python cannot make environments here, or the packages could not be installed.
    """
    wanted = [extra for extra in extras or (BASE,) if check(machine, extra).state is not State.OK]
    if not wanted:
        return
    python = python_in(machine)
    if not usable(python):
        create(machine)
    pip = (python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--no-deps")
    locked = [word for extra in wanted for word in ("-r", machine.repository / f"requirements/{extra}.txt")]
    with step(NAME, f"installing socketlab[{','.join(wanted)}] and what it needs into {FOLDER} with pip"):
        apt.succeed(run(*pip, *LOCKED_ALONE, *locked, cwd=machine.repository), "pip install")
        # What builds ourselves is one of them: pip is not to fetch another.
        ours = [word for folder in OURS for word in ("-e", machine.repository / folder)]
        ourselves = ("--no-build-isolation", "--no-index", *ours)
        apt.succeed(run(*pip, *ourselves, cwd=machine.repository), "pip install")
    for extra in {BASE, *wanted}:  # each has what the lab needs, too
        stamp_file(machine, extra).write_bytes(stamp(machine, extra))


def usable(python: Path) -> bool:
    """Tell whether an environment is complete and belongs to the Python that runs now."""
    outcome = run(python, "-c", "import pip, platform; print(platform.python_version())")
    return outcome.out == platform.python_version()


def create(machine: Machine) -> None:
    """Make an empty environment, in the place of an unusable one.

    Raises:
        SetupError: this Python lacks what it takes, and set-up may not install it.
    """
    # Debian keeps ensurepip in a package of its own.
    if importlib.util.find_spec("ensurepip") is None:
        package = f"python3.{sys.version_info.minor}-venv"
        if not machine.administers_debian:
            remedy = remedies.install(machine, package)
            raise SetupError(f"{NAME}: this Python cannot make environments\n  -> {remedy}")
        apt.install(machine, NAME, package)
    with step(NAME, f"making {FOLDER} with Python {platform.python_version()}"):
        command = (sys.executable, "-m", "venv", "--clear", machine.repository / FOLDER)
        apt.succeed(run(*command), "python3 -m venv")


def remove(machine: Machine) -> None:
    """Remove the environment.

    Raises:
        SetupError: what is there is no environment.
    """
    folder = machine.repository / FOLDER
    if not folder.exists():
        return
    if folder.is_symlink() or not (folder / "pyvenv.cfg").is_file():
        raise SetupError(f"{NAME}: {folder} is no virtual environment; it stays")
    shutil.rmtree(folder)
    print(f"{NAME}: removed {FOLDER}", flush=True)
