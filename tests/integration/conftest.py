"""A lab of its own for these tests: removed whatever happens, its log shown with each failure."""

import shutil
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest
from pytest_docker.plugin import Services
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from socketlab import checkout
from socketlab.checkout import ROOT
from socketlab.hosts.docker.compose_project import ComposeProject
from socketlab.hosts.docker.docker_engine import connect
from socketlab.run import leases
from tests.integration.command import Command
from tests.integration.hosts import Hosts
from tests.integration.sidecar import Attach


@pytest.fixture(scope="session")
def docker_compose_file() -> str:
    """Where pytest-docker finds the lab."""
    return str(ROOT / "compose.yaml")


@pytest.fixture(scope="session")
def docker_compose_project_name() -> str:
    """A name that no other run has, also not one beside this."""
    return leases.take()


@pytest.fixture(scope="session")
def docker_compose_command() -> str:
    """Compose, with the images of this checkout."""
    return f"env SOCKETLAB_TAG={checkout.project()} docker compose"


@pytest.fixture(scope="session")
def docker_setup() -> list[str]:
    """Commands that start the lab."""
    return ["up --detach --no-deps server"]


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    """Commands that end it."""
    return ["down --remove-orphans --timeout 3"]


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest, docker_compose_project_name: str) -> ComposeProject:
    """The running lab, its server answering."""
    lab = ComposeProject(docker_compose_project_name)

    def remove() -> None:
        lab.stop()
        lab.close()

    # Before set-up: pytest-docker cleans up only what it has set up without an error.
    request.addfinalizer(remove)  # noqa: PT021 - what comes after a yield would not run then
    lab.images.build()
    services: Services = request.getfixturevalue("docker_services")
    assert services is not None
    lab.wait_until_answering()
    request.session.stash[LAB] = lab
    return lab


@pytest.fixture(scope="session")
def netem_image() -> None:
    """The sidecar's image, built."""
    with closing(ComposeProject(leases.take())) as lab:
        lab.images.build(COMPOSE_PROFILES="impaired")


@pytest.fixture
def own_lab() -> Iterator[ComposeProject]:
    """A lab for one test that stops, starts or breaks it. Not started yet."""
    lab = ComposeProject(leases.take())
    try:
        yield lab
    finally:
        lab.stop()
        lab.close()


@pytest.fixture(scope="module")
def experiments(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Command]:
    """The commands, on a lab for the tests of this file."""
    lab = ComposeProject(leases.take())
    with closing(lab):
        try:
            yield Command(lab, tmp_path_factory.mktemp("results"))
            if request.session.testsfailed:
                for line in lab.log("netem")[-40:]:
                    print(f"{line.host} | {line.text}")
        finally:
            lab.stop()


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The engine, by the SDK."""
    client = connect()
    yield client
    client.close()


@pytest.fixture
def hosts(engine: docker.DockerClient) -> Iterator[Hosts]:
    """Further hosts, for programs that are not the lab's; removed at the end."""
    hosts = Hosts(engine)
    try:
        yield hosts
    finally:
        hosts.remove()


@pytest.fixture(scope="session")
def textbook() -> Path:
    """Programs in the shape of the textbook's."""
    return ROOT / "tests" / "textbook"


@pytest.fixture
def tshark() -> str:
    """The other reader of captures."""
    found = shutil.which("tshark")
    if found is None:
        pytest.skip("tshark is not installed: python3 -m setup ensure test-tools")
    return found


LAB = pytest.StashKey[ComposeProject]()

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the lab's log into the report of a test that failed."""
    report = yield
    lab = item.session.stash.get(LAB, None)
    if report.failed and lab is not None:
        log = "\n".join(f"{line.host} | {line.text}" for line in lab.log("server", "client")[-60:])
        report.sections.append(("the lab's log", log))
    return report


@pytest.fixture
def attach(engine: docker.DockerClient) -> Iterator[Attach]:
    attach = Attach(engine)
    try:
        yield attach
    finally:
        attach.remove()
