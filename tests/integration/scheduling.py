"""Which tests share a worker (pytest-xdist), and in which order they are begun."""

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

# Of these files each test has hosts of its own, or what its worker has; of all others the tests share hosts.
APART = {"test_netem_life"}
# Those that take longest are begun first: in the end no worker is alone for long.
FIRST = (
    "test_document_commands", "test_experiments", "test_capture", "test_bundle", "test_lab", "test_ownership",
    "test_experiments_with_a_seed", "test_netem_life", "test_netem",
)  # fmt: skip


class ByHosts(LoadFileScheduling):  # type: ignore[misc]  # it comes without types
    """Gives a worker all tests that share hosts."""

    def _split_scope(self, nodeid: str) -> str:
        """Return the name of what a worker takes as a whole."""
        file = nodeid.partition("::")[0]
        return nodeid if Path(file).stem in APART else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByHosts | None:
    """Do so for --dist=loadfile."""
    # Not by marks and --dist=loadgroup: pytest-xdist 3.8 makes no groups of them under pytest 9.
    return ByHosts(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first."""
    files = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: files.get(item.path.stem, len(files)))
