"""The hosts of the lecture, for all tests of a process; each test leaves them as they were."""

from collections.abc import Iterator

import pytest

from socketlab.claims import registry
from socketlab.hosts.lab import Lab

# Sections: what they show is patience, of TCP or of a client.
SLOW = {"congestion", "repair", "reliability"}


@pytest.fixture(autouse=True)
def nothing_is_left_behind(lab: Lab) -> Iterator[None]:
    """What the kernels list before a test and after it is the same."""
    before = left(lab)
    yield
    assert left(lab) == before


def left(lab: Lab) -> dict[str, object]:
    """Return what could be left: sockets that a process has, programs of ours, rules of the network."""
    found: dict[str, object] = {}
    for host in lab.hosts:
        # A connection that is over stays in the list for a minute, but nobody has it any more: inode 0.
        rows = [(row.protocol, row.local, row.peer, row.state) for row in host.sockets() if row.inode]
        found[f"sockets of {host.name}"] = sorted(rows)
        found[f"descriptors of {host.name}"] = len(host.descriptors(host.pid))
        found[f"programs of {host.name}"] = host.read(f"/proc/{host.pid}/task/{host.pid}/children")
    if lab.sidecar is not None:
        # Not its comments with the time, nor the lines of chains with their counters. Tables are in the order
        # in which they were first used.
        tables = lab.in_network("iptables-save").split("*")
        rules = [[line for line in table.splitlines() if line.startswith("-A")] for table in tables]
        found["rules of the server's network"] = sorted(filter(None, rules))
        lab.sidecar.reset()
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that in the end no worker is alone with it (`--dist=load`)."""

    def in_a_hurry(item: pytest.Item) -> bool:
        told = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        section = registry.module_of(str(told["claim"])) if "claim" in told else told.get("section")
        return section not in SLOW

    items.sort(key=in_a_hurry)
