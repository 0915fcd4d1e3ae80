"""The commands that read a table of the firewall, and change it as a whole."""

import os
import subprocess

from lab.failures import Failure

VARIANTS = ("nft", "legacy")  # where both are there, the one that today's systems use
# On a read-only root the older commands find no place for their lock, and nobody there to keep out by it.
SYSTEM = {"LC_ALL": "C"} | ({} if os.access("/run", os.W_OK) else {"XTABLES_LOCKFILE": os.devnull})


def save_command(variant: str, table: str, family: str = "iptables") -> list[str]:
    """Return the command that prints a table.

    Args:
        variant: one of VARIANTS.
        table: its name.
        family: `iptables` or `ip6tables`.
    """
    return [f"{family}-{variant}-save", "-t", table]


def save(variant: str, table: str, family: str = "iptables") -> str:
    """Return what a table contains.

    Raises:
        Failure: the system refuses, or there is no such command.
    """
    return _run(save_command(variant, table, family), "")


def restore(variant: str, text: str, family: str = "iptables") -> None:
    """Change a table, all of it or nothing; an empty text changes nothing.

    Raises:
        Failure: the system refuses, or there is no such command.
    """
    if text:
        # Another program that changes the firewall just now is waited for.
        _run([f"{family}-{variant}-restore", "--noflush", "--wait=2"], text)


def _run(command: list[str], text: str) -> str:
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=os.environ | SYSTEM,
        )
    except FileNotFoundError as error:
        raise Failure(f"{command[0]} is not installed (package iptables)") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line and not line.startswith("#")]
        raise Failure(f"{command[0]}: {lines[0] if lines else f'exit code {done.returncode}'}")
    return done.stdout
