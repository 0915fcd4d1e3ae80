"""The Compose plugin of the docker client."""

import os
import re
import shutil
from pathlib import Path

from setup import apt, mirrors, remedies
from setup.docker import PATIENCE_S
from setup.facts import Fact, State
from setup.machine import Machine
from setup.progress import step
from setup.shell import run, temporary_folder

NAME = "compose"
OLDEST = (2, 20)  # the first with `depends_on: … required: false`
# Whose package it is: Docker's own, Ubuntu's, Debian's (whose version may be 1, which is another program).
PACKAGES = ("docker-compose-plugin", "docker-compose-v2", "docker-compose")
# The release whose package is one file that needs nothing but libc, so that it runs on Debian 12 too.
DONOR = "trixie"


def parse_version(text: str) -> tuple[int, int] | None:
    """Return major and minor of a version such as `v2.26.1-4`, None where it is none.

    A Debian epoch (`1:2.26`) is left out.
    """
    found = re.match(r"(?:\d+:)?v?(\d+)\.(\d+)", text.strip())
    return (int(found[1]), int(found[2])) if found else None


def check(machine: Machine) -> Fact:
    """Say whether the client has a Compose plugin that is new enough."""
    remedy = remedies.compose(machine)
    automatic = machine.administers_debian or bool(mirrors.lines_for(machine, DONOR))
    outcome = run("docker", "compose", "version", "--short", timeout_s=PATIENCE_S)
    if outcome.ok:
        version = parse_version(outcome.out)
        if version is None:
            return Fact(NAME, State.UNKNOWN, f"`docker compose version` printed {outcome.out[:100]!r}")
        if version >= OLDEST:
            return Fact(NAME, State.OK, outcome.out)
        found = f"{outcome.out} is too old, {'.'.join(map(str, OLDEST))} is needed"
        return Fact(NAME, State.MISSING, found, remedy, automatic)
    if outcome.missing:
        return Fact(NAME, State.MISSING, "there is no `docker` on the PATH", remedy, automatic)
    # Without the plugin the client takes `compose` for an unknown command, or `--short` for its own option.
    if re.search(r"is not a docker command|unknown command|unknown flag", outcome.err):
        return Fact(NAME, State.MISSING, "the docker client has no Compose plugin", remedy, automatic)
    reason = (outcome.err or f"ended with {outcome.code}").splitlines()[0]
    return Fact(NAME, State.UNKNOWN, f"`docker compose version`: {reason}", remedy)


def ensure(machine: Machine) -> None:
    """See to it that `docker compose` works.

    Raises:
        SetupError: it does not, and set-up knows no source for it here.
    """
    fact = check(machine)
    if fact.state is State.OK:
        return
    if not fact.automatic:
        raise fact.problem()
    package = newest_package(machine) if machine.administers_debian else ""
    if package:
        apt.install(machine, NAME, package)
    elif mirrors.lines_for(machine, DONOR):
        unpack(machine)
    fact = check(machine)
    if fact.state is not State.OK:
        raise fact.problem()


def newest_package(machine: Machine) -> str:
    """Return the package that is new enough, or an empty string where apt knows none."""
    versions = {package: parse_version(apt.candidate(machine, package)) for package in PACKAGES}
    return next((package for package, version in versions.items() if version and version >= OLDEST), "")


def plugin_folder(machine: Machine) -> Path:
    """Return the folder for a plugin: everybody's for root, else one's own."""
    if machine.root:
        return machine.files / "usr/local/lib/docker/cli-plugins"
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "cli-plugins"


def unpack(machine: Machine) -> None:
    """Take the plugin out of the donor's package.

    Raises:
        SetupError: the package cannot be fetched or unpacked.
    """
    folder = plugin_folder(machine)
    doing = f"fetching docker-compose of Debian {DONOR} into {folder}"
    with step(NAME, doing), temporary_folder() as temporary:
        package = apt.download(machine, "docker-compose", mirrors.lines_for(machine, DONOR), temporary)
        apt.succeed(run("dpkg-deb", "--extract", package, temporary / "files"), "dpkg-deb --extract")
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / ".docker-compose.unfinished"
        shutil.copy(temporary / "files/usr/libexec/docker/cli-plugins/docker-compose", unfinished)
        unfinished.replace(folder / "docker-compose")
