"""The project's own pytest plugin: what tests of several folders share.

Names that no other run has, a client of the engine, hosts that are operated, and a lab's log beside a
failure. A conftest adds what its folder alone needs, or overrides a fixture of these.
"""

import os
from collections.abc import Generator, Iterator

import docker
import pytest
from hypothesis import settings
from netem_impairment import leases

from socketlab.describe.scenario import Servers
from socketlab.errors import LabError
from socketlab.hosts.docker.compose_project import ComposeProject
from socketlab.hosts.docker.docker_engine import connect
from socketlab.hosts.lab import Lab, temporary

# The same examples in each run, and no time limit for one of them: a busy machine is no failure.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")

# Each of Docker's looks at a host's health costs a fifth of a second of a processor, and there are several
# labs at a time. A test asks for itself; where it waits for Docker, it says how often Docker is to look.
os.environ.setdefault("HEALTHCHECK_INTERVAL", "1h")

LOG_LINES = 60


@pytest.fixture(autouse=True)
def steps_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set-up says of each step that it took 0 s, however busy this machine is."""
    monkeypatch.setattr("setup.progress.now", lambda: 0.0)


@pytest.fixture(scope="session")
def lab_name() -> str:
    """The name of the session's own lab: no other run has it."""
    return leases.take()


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The engine, by the SDK."""
    client = connect()
    yield client
    client.close()


@pytest.fixture(scope="session")
def lab(lab_name: str) -> Iterator[Lab]:
    """A server, two clients, a sidecar and the network between them, operated, on which nothing runs yet."""
    with temporary(ComposeProject(lab_name, Servers.IDLE)) as made:
        yield made


@pytest.fixture
def own_project() -> Iterator[ComposeProject]:
    """A project for one test that stops, starts or breaks it. Not started yet."""
    project = ComposeProject(leases.take())
    try:
        yield project
    finally:
        project.stop()
        project.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the logs of the projects that a test has used into the report of its failure."""
    report = yield
    if report.failed and report.when == "call":
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, ComposeProject):
                report.sections.append((f"log of {name}", log_of(value)))
    return report


def log_of(project: ComposeProject) -> str:
    """Return the last lines of a project's log, or why there is none."""
    try:
        lines = project.log("server", "client", "netem")
    except LabError as error:
        return str(error)
    return "\n".join(f"{line.host} | {line.text}" for line in lines[-LOG_LINES:])
