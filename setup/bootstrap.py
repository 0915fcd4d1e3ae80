"""Making a Debian system in a tar file, from packages alone."""

import shutil
from pathlib import Path

from setup import apt, mirrors
from setup.machine import Machine
from setup.progress import step
from setup.shell import run

SUITE = "trixie"

# As in the registry's image: no documentation, no translations.
LEFT_OUT = ("doc", "man", "info", "locale")
# How this machine's apt reaches its mirrors; the rest of its settings are its own business.
APT_ROUTE = ("Acquire::http", "Acquire::Check-Valid-Until", "Acquire::Check-Date")


def make(
    machine: Machine, item: str, what: str, packages: tuple[str, ...], tar: Path, hooks: tuple[str, ...] = ()
) -> None:
    """Make a tar file of a minimal Debian with packages.

    A tar file and no folder: while it works mmdebstrap has this machine's /dev mounted inside its folder, and
    when that were left over, removing a folder of ours would remove those devices.

    Args:
        machine: this machine.
        item: the item that it is for.
        what: what is made, in words.
        packages: beside the essential ones.
        tar: the file to make.
        hooks: shell commands for the made system, which is the folder "$1".

    Raises:
        SetupError: the packages could not be fetched or installed.
    """
    if not (shutil.which("mmdebstrap") and (machine.files / apt.KEYRING).is_file()):
        apt.install(machine, item, "mmdebstrap", "debian-archive-keyring")
    sources = mirrors.lines_for(machine, SUITE)  # none: mmdebstrap knows Debian's own mirror
    with step(item, f"building {what} from Debian packages with mmdebstrap"):
        outcome = run(
            "mmdebstrap",
            "--variant=minbase",
            f"--include={','.join(packages)}",
            *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT),
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
            "--dpkgopt=force-unsafe-io",
            '--aptopt=Acquire::Languages "none"',
            *(f"--aptopt={setting}" for setting in route_of_apt()),
            *(f"--customize-hook={hook}" for hook in hooks),
            SUITE,
            tar,
            *sources,
        )
        apt.succeed(outcome, "mmdebstrap")


def needs_certificates(machine: Machine) -> bool:
    """Tell whether apt inside the made system needs certificates to reach the same mirrors."""
    return any("https:" in line for line in mirrors.lines_for(machine, SUITE))


def route_of_apt() -> list[str]:
    """Return the settings without which the mirrors cannot be used from here, such as a proxy."""
    lines = (line.rstrip(";") for line in run("apt-config", "dump").out.splitlines())
    return [line for line in lines if line.startswith(APT_ROUTE) and not line.endswith('""')]
