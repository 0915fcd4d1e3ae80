"""Run: remove what killed programs have left, and only what is ours.

Ours is what has a name that was taken (`socketlab.run.leases`), and left what has one that nobody holds any
more. Names that only look like ours are not touched, nor what a run uses that goes on beside this one.
"""

import subprocess
from pathlib import Path

from socketlab.errors import LabError
from socketlab.hosts.docker.leftovers import remove_tests
from socketlab.run import leases

NAMESPACES = Path("/run/netns")


def namespaces() -> list[str]:
    """Return the names of the network namespaces that are ours, by their names."""
    if not NAMESPACES.is_dir():
        return []
    return sorted(entry.name for entry in NAMESPACES.iterdir() if leases.lease_of(entry.name))


def reap() -> list[str]:
    """Remove what is left of programs that have ended; return what that was.

    Raises:
        LabError: something cannot be removed.
    """
    free = [name for name in leases.known() if leases.is_free(name)]
    if not free:
        return []
    removed = remove_tests(free)
    for namespace in namespaces():
        if leases.lease_of(namespace) in free:
            done = subprocess.run(
                ["ip", "netns", "delete", namespace], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise LabError(f"cannot remove the network namespace {namespace}: {done.stderr.strip()}")
            removed.append(f"network namespace {namespace}")
    # Not before: what could not be removed is tried again by the next one.
    for name in free:
        leases.give_back(name)
    return removed
