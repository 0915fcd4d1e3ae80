"""Tests of a Compose project, by pytest-docker: copy this page for a project of your own.

pytest-docker starts the project before the first test that asks for `docker_services`, and removes it after
the last one. Its fixtures say what, under which name, and how; they are overridden here. `project` waits
until the service answers, which is more than that its container runs.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest
from netem_impairment import leases
from pytest_docker.plugin import Services

from socketlab import checkout
from socketlab.checkout import ROOT
from socketlab.hosts.docker.compose_project import ComposeProject
from tests.integration.command import Command
from tests.integration.hosts import Hosts
from tests.integration.scheduling import pytest_collection_modifyitems, pytest_xdist_make_scheduler
from tests.integration.sidecar import Attach

__all__ = ["pytest_collection_modifyitems", "pytest_xdist_make_scheduler"]  # hooks, which pytest finds here

ANSWERS_WITHIN_S, PAUSE_S = 60.0, 0.1


# --- what pytest-docker asks for


@pytest.fixture(scope="session")
def docker_compose_file() -> str:
    """The project's Compose file."""
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
    """Commands that start the project: its server. A client holds its conversation, and ends."""
    return ["up --detach --no-deps server"]


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    """Commands that end it."""
    return ["down --remove-orphans --timeout 3"]


@pytest.fixture(scope="session")
def project(request: pytest.FixtureRequest, docker_compose_project_name: str) -> ComposeProject:
    """The running project, its server answering."""
    project = ComposeProject(docker_compose_project_name)

    def remove() -> None:
        project.stop()
        project.close()

    # Before set-up: pytest-docker cleans up only what it has set up without an error.
    request.addfinalizer(remove)  # noqa: PT021 - what comes after a yield would not run then
    project.images.build()
    services: Services = request.getfixturevalue("docker_services")
    services.wait_until_responsive(check=project.answers, timeout=ANSWERS_WITHIN_S, pause=PAUSE_S)
    return project


# --- what else these tests need


@pytest.fixture(scope="session")
def netem_image() -> None:
    """The sidecar's image, built."""
    with closing(ComposeProject(leases.take())) as project:
        project.images.build(COMPOSE_PROFILES="impaired")


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The commands, on a project for the tests of this file."""
    with closing(ComposeProject(leases.take())) as project:
        try:
            yield Command(project, tmp_path_factory.mktemp("results"))
        finally:
            project.stop()


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


@pytest.fixture
def attach(engine: docker.DockerClient) -> Iterator[Attach]:
    """Attaches sidecars to containers; they are removed at the end."""
    attach = Attach(engine)
    try:
        yield attach
    finally:
        attach.remove()
