"""Removes what killed runs of tests have left, and only what is ours.

    python -m tests.leftovers

Ours is what has a name that was taken (`netem_impairment.leases`), and left is what has one that nobody holds
any more. Names that only look like ours are not touched, nor what another run uses at this moment.
"""

import shutil
import subprocess
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import docker
from docker.errors import APIError, NotFound
from netem_impairment import attach, leases

from socketlab.errors import EngineError, LabError
from socketlab.hosts.docker.bundle import ROLE_LABEL
from socketlab.hosts.docker.compose_project import MADE_BY_COMPOSE, PROJECT_LABEL, looking_at_engine
from socketlab.hosts.netns.namespaces import ETC

TEST_LABEL = "org.socketlab.test"  # on what tests make beside a lab: the name that it was made under
NAMESPACES = Path("/run/netns")


@dataclass(frozen=True)
class Thing:
    """Something on the engine.

    Attributes:
        kind: "container", "network" or "image".
        name: its name, or short id.
        test: the name that a test has made it under; nothing: it is no test's.
    """

    kind: str
    name: str
    test: str
    remove: Callable[[], object] = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def things(client: docker.DockerClient) -> list[Thing]:
    """Return all containers, networks and images of an engine, in the order in which they can be removed."""
    found = []
    for container in client.containers.list(all=True, ignore_removed=True):
        labels = container.labels
        # Compose's label of the project alone says nothing: see MADE_BY_COMPOSE.
        made_for = labels.get(PROJECT_LABEL, "") if ROLE_LABEL in labels and MADE_BY_COMPOSE in labels else ""
        test = _test(labels.get(TEST_LABEL, made_for))
        found.append(Thing("container", str(container.name), test, partial(container.remove, force=True)))
    for network in client.networks.list():
        labels = network.attrs.get("Labels") or {}
        test = _test(labels.get(TEST_LABEL, labels.get(PROJECT_LABEL, "")))
        found.append(Thing("network", str(network.name), test, network.remove))
    for image in client.images.list():
        for name in image.tags or [str(image.short_id)]:
            removing = partial(client.images.remove, name)
            test = _test(name.partition("/")[0]) or _test(name.rpartition(":")[2])
            found.append(Thing("image", name, test, removing))
    return found


def _test(name: str) -> str:
    return name if leases.NAME.fullmatch(name) else ""


def remove_tests(names: Collection[str]) -> list[str]:
    """Remove all that was made under these names of tests; return what that was.

    Raises:
        EngineError: something could not be removed. All else has been.
    """
    removed, failed = [], []
    with looking_at_engine("remove what tests have left") as client:
        # All containers first: one can be on a network that was made under another name.
        for thing in things(client):
            if thing.test in names:
                try:
                    thing.remove()
                except NotFound:
                    continue  # a container removes itself when it ends
                except APIError as error:
                    failed.append(f"the {thing}: {error.explanation}")
                else:
                    removed.append(str(thing))
    if failed:
        raise EngineError(f"cannot remove {'; '.join(failed)}")
    return removed


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
            shutil.rmtree(ETC / namespace, ignore_errors=True)
            removed.append(f"network namespace {namespace}")
    # Not before: what could not be removed is tried again by the next one.
    for name in free:
        leases.give_back(name)
    return removed


if __name__ == "__main__":
    for each in (*(f"sidecar {name}" for name in attach.remove_left()), *reap()):
        print(f"removed the {each}, which a killed run has left")
