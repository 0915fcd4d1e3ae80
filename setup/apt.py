"""Debian's package tools: installing packages, and fetching one from another release."""

import os
import threading
from functools import cache
from pathlib import Path

from setup.machine import Machine
from setup.progress import step
from setup.shell import Outcome, SetupError, last_lines, run

KEYRING = "usr/share/keyrings/debian-archive-keyring.gpg"


def apt_get(*arguments: str | Path, cwd: Path | None = None) -> Outcome:
    """Run apt-get so that it never asks a question."""
    environment = {
        **os.environ,
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        "NEEDRESTART_SUSPEND": "1",  # Ubuntu would restart services that have nothing to do with us
    }
    options = (
        # Another apt may be at work (automatic upgrades): wait for its lock instead of failing.
        "DPkg::Lock::Timeout=120",
        # A configuration file from an earlier installation stays, with no question asked.
        "Dpkg::Options::=--force-confold",
    )
    command = ("apt-get", "--quiet", *(f"-o{option}" for option in options), *arguments)
    return run(*command, env=environment, cwd=cwd)


def succeed(outcome: Outcome, command: str) -> None:
    """Raise SetupError with the end of the command's output unless it succeeded."""
    if not outcome.ok:
        raise SetupError(f"`{command}` failed:\n{last_lines(outcome.err or outcome.out)}")


_alone = threading.RLock()  # apt-get update fails where another one is at work


@cache
def update(machine: Machine) -> None:
    """Fetch the package lists, once in a process."""
    del machine  # the key of the cache
    with _alone, step("apt", "fetching the package lists with apt-get"):
        succeed(apt_get("update"), "apt-get update")


def update_if_empty(machine: Machine) -> None:
    """Fetch the package lists where there are none, as in a fresh image."""
    with _alone:
        if not any((machine.files / "var/lib/apt/lists").glob("*_Packages*")):
            update(machine)


def candidate(machine: Machine, package: str) -> str:
    """Return the version apt would install, or an empty string where it knows none."""
    update_if_empty(machine)
    outcome = run("apt-cache", "policy", package, env={**os.environ, "LC_ALL": "C.UTF-8"})
    for line in outcome.out.splitlines():
        key, _, value = line.strip().partition(": ")
        if key == "Candidate" and value != "(none)":
            return value
    return ""


def install(machine: Machine, item: str, *packages: str) -> None:
    """Install packages, without what they only recommend.

    Raises:
        SetupError: apt-get could not, with fresh package lists either.
    """

    def attempt() -> None:
        with _alone, step(item, f"installing {', '.join(packages)} with apt-get"):
            outcome = apt_get("install", "--yes", "--no-install-recommends", *packages)
            succeed(outcome, f"apt-get install {' '.join(packages)}")

    update_if_empty(machine)
    try:
        attempt()
    except SetupError:
        update(machine)  # old lists name packages that the mirror has replaced since
        attempt()


def download(machine: Machine, package: str, sources: list[str], folder: Path) -> Path:
    """Fetch a package file from other sources than the system's, which stay untouched; needs no root.

    Args:
        machine: where the keyring is.
        package: its name.
        sources: lines as in sources.list.
        folder: an empty folder for the package file and for apt's own files.

    Raises:
        SetupError: the lists or the package could not be fetched.
    """
    state = folder / "apt"
    for name in ("lists/partial", "cache/archives/partial"):
        (state / name).mkdir(parents=True)
    (state / "status").touch()  # as if nothing were installed
    signed = [line.replace("deb ", f"deb [signed-by={machine.files / KEYRING}] ", 1) for line in sources]
    (state / "sources.list").write_text("\n".join(signed) + "\n", encoding="utf-8")
    settings = {
        "Dir::State": state,
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferences": "-",
        "Dir::Etc::preferencesparts": "-",
        "Acquire::Languages": "none",
        # As root apt fetches as the user _apt, who may not enter our folder.
        "APT::Sandbox::User": "root",
    }
    options = [f"-o{key}={value}" for key, value in settings.items()]
    succeed(apt_get(*options, "update"), "apt-get update")
    succeed(apt_get(*options, "download", package, cwd=folder), f"apt-get download {package}")
    found = list(folder.glob(f"{package}_*.deb"))
    if len(found) != 1:
        raise SetupError(f"`apt-get download {package}` left {len(found)} package files, expected one")
    return found[0]
