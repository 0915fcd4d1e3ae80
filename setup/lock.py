"""What is installed, to the byte: a file in `requirements/` for each extra of pyproject.toml.

pyproject.toml says what we need, and from which version on. A lock says which version that is today, of it
and of all that it needs in turn, with the digests of the files that its publisher made of it, for every
system and Python: pip takes no others. So what is installed is what the tests ran with, and nobody on the way
can change it. No file names an address: packages come from where pip of this machine is told to look.
"""

import hashlib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from setup import apt, venv
from setup.machine import Machine
from setup.progress import step
from setup.shell import run, temporary_folder

NAME = "lock"
FOLDER = "requirements"
OLDEST_PYTHON = "3.11"  # as pyproject.toml has it; newer ones get what differs by a marker
WORDS = """\
# Made by `make lock` from pyproject.toml: do not edit.
# for {digest}
"""


def description(machine: Machine) -> dict[str, Any]:
    """Return pyproject.toml as data."""
    return tomllib.loads((machine.repository / "pyproject.toml").read_text(encoding="utf-8"))


def file_of(machine: Machine, extra: str) -> Path:
    """Return the lock of an extra."""
    return machine.repository / FOLDER / f"{extra}.txt"


def extras(described: dict[str, Any]) -> list[str]:
    """Return the names of all extras."""
    return sorted(described["project"]["optional-dependencies"])


def ours(described: dict[str, Any]) -> list[str]:
    """Return the names of the packages that we need and make ourselves: no lock has them."""
    return sorted(described.get("tool", {}).get("uv", {}).get("sources", {}))


def digest(described: dict[str, Any]) -> str:
    """Return a digest of what pyproject.toml says about packages: a lock has that which it was made for."""
    project = described["project"]
    wanted = [described["build-system"]["requires"], project["requires-python"], project["dependencies"],
              project["optional-dependencies"]]  # fmt: skip
    return hashlib.sha256(json.dumps(wanted, sort_keys=True, allow_nan=False).encode()).hexdigest()[:16]


def renew(machine: Machine, *, upgrade: bool) -> None:
    """Make the locks of all extras anew. They agree: a package has one version in all of them.

    Args:
        machine: this machine.
        upgrade: take the newest versions; else those of today's locks, as far as pyproject.toml allows.

    Raises:
        SetupError: uv could not be installed, or does not find what we need.
    """
    if file_of(machine, NAME).is_file():
        venv.ensure(machine, NAME)
    described = description(machine)
    with temporary_folder() as folder:
        build = folder / "build.in"
        build.write_text("\n".join(described["build-system"]["requires"]) + "\n", encoding="utf-8")
        everything, today = folder / "everything.txt", folder / "today.txt"
        today.write_text("" if upgrade else versions(machine), encoding="utf-8")
        everything.write_text(today.read_text(encoding="utf-8"), encoding="utf-8")  # uv keeps what is there
        names = extras(described)
        with step(NAME, f"looking for what {', '.join(names)} need with uv"):
            compile_to(machine, everything, build, names)
        for extra in names:
            target = folder / f"{extra}.txt"
            with step(NAME, f"{FOLDER}/{extra}.txt"):
                compile_to(machine, target, build, [extra], "--generate-hashes", "--constraints", everything)
            file = file_of(machine, extra)
            file.parent.mkdir(exist_ok=True)
            pins = target.read_text(encoding="utf-8")
            file.write_text(WORDS.format(digest=digest(described)) + pins, encoding="utf-8")
    for file in (machine.repository / FOLDER).glob("*.txt"):
        if file.stem not in names:
            file.unlink()


def versions(machine: Machine) -> str:
    """Return the versions in all locks, without digests."""
    lines = {
        line.removesuffix("\\").strip()
        for file in sorted((machine.repository / FOLDER).glob("*.txt"))
        for line in file.read_text(encoding="utf-8").splitlines()
        if line[:1].isalnum()
    }
    return "".join(f"{line}\n" for line in sorted(lines))


def compile_to(
    machine: Machine, target: Path, build: Path, names: Sequence[str], *options: str | Path
) -> None:
    """Have uv write what some extras, ourselves and the building of us need."""
    uv = machine.repository / venv.FOLDER / "bin/uv"
    outcome = run(
        uv, "pip", "compile", "--quiet", "--universal", "--no-header", "--no-annotate", "--no-config",
        "--python-version", OLDEST_PYTHON, *(f"--extra={name}" for name in names), *options,
        *(f"--no-emit-package={name}" for name in ours(description(machine))),
        "--output-file", target, machine.repository / "pyproject.toml", build,
        cwd=machine.repository,
    )  # fmt: skip
    apt.succeed(outcome, "uv pip compile")
