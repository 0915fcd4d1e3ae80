"""Two checkouts on one engine, and other people's projects beside them: each removes what it has made."""

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound
from netem_impairment import leases

from tests.complaints import complaints
from tests.integration.checkouts import Checkout

# The command, but for the name: an image of this name may be there, and in use.
NAME_IMAGE = """
import sys
from socketlab.cli import lab_commands
lab_commands.NETEM_IMAGE = sys.argv[1]
lab_commands.netem_image()
"""
FOREIGN = """
services:
  theirs:
    image: {image}
    entrypoint: [sleep, "600"]
    init: true
    network_mode: none
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Checkout]:
    """A checkout; its lab is removed in the end."""
    made = Checkout(tmp_path_factory.mktemp("a") / "socket-lab", engine)
    yield made
    made.socketlab("clean")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Checkout]:
    """Another one, in a folder of the same name."""
    made = Checkout(tmp_path_factory.mktemp("b") / "socket-lab", engine)
    yield made
    made.socketlab("clean")


BUILD = """
from socketlab.hosts.docker.compose_project import ComposeProject
ComposeProject().images.build()
"""


def test_clean_removes_what_its_checkout_has_made_and_nothing_else(
    here: Checkout, elsewhere: Checkout, engine: docker.DockerClient, tmp_path: Path
) -> None:
    here.socketlab("up")
    elsewhere.socketlab("up")
    theirs, foreign = elsewhere.server(), leases.take()
    with ExitStack() as todo:
        # A project of somebody else, by an image that is ours: it has our labels.
        engine.images.get(here.image("server")).tag(f"{foreign}/mine")
        todo.callback(engine.images.remove, f"{foreign}/mine")
        (tmp_path / "compose.yaml").write_text(FOREIGN.format(image=f"{foreign}/mine"), encoding="utf-8")
        compose = ("docker", "compose", "--project-name", foreign, "--file", str(tmp_path / "compose.yaml"))
        todo.callback(here.run, *compose, "down", "--timeout", "0")
        here.run(*compose, "up", "--detach")
        shown = here.socketlab("clean").stdout.splitlines()
        # What earlier runs of the tests may have left goes, too.
        assert [line for line in shown if not line.endswith("which a killed run has left")] == [
            f"removed the lab {here.name}",
            f"removed the image socketlab/server:{here.name}",
            f"removed the image socketlab/client:{here.name}",
        ]
        assert here.left() == []
        assert engine.containers.get(f"{foreign}-theirs-1").status == "running"
        assert elsewhere.server() == theirs
        assert elsewhere.image("server")


@pytest.mark.parametrize("command", ["up", "down", "lossy-udp"])
def test_a_project_that_another_checkout_has_made_is_refused(
    here: Checkout, elsewhere: Checkout, command: str
) -> None:
    elsewhere.run("docker", "compose", "up", "--detach", "--no-deps", "server")
    before = elsewhere.server()
    refused = here.socketlab(command, "--project", elsewhere.name, code=1)
    again = f"{shlex.quote(sys.executable)} -m socketlab {command}"
    [refusal] = complaints(refused.stderr)
    assert refusal == (
        f"socketlab: expected a project name of our own, got '{elsewhere.name}', which is in use by "
        f"{elsewhere.folder}/compose.yaml: choose another, as in {again} --project other"
    )
    assert elsewhere.server() == before


def test_docker_compose_run_leaves_the_server_that_up_has_started(here: Checkout) -> None:
    soon = "1s"  # `docker compose run` waits for Docker to find the server healthy
    here.socketlab("up", "--server", "concurrent", HEALTHCHECK_INTERVAL=soon)
    before = here.server()
    run = ("docker", "compose", "run", "--rm", "--no-TTY", "client", "udp")
    done = here.run(*run, typed="the same?\n", HEALTHCHECK_INTERVAL=soon)
    assert done.stdout == "THE SAME?\n"
    assert here.server() == before
    here.socketlab("down")
    assert (here.folder / ".env").read_text(encoding="utf-8") == here.settings


def test_compose_variables_that_are_meant_for_another_project_do_not_matter(here: Checkout) -> None:
    done = here.socketlab(
        "talk", "udp", "hello",
        COMPOSE_FILE="/nowhere/compose.yaml", COMPOSE_PROFILES="nothing", COMPOSE_PROJECT_NAME="theirs",
    )  # fmt: skip
    assert re.search(r'^answered .* "hello"  => "HELLO" ', done.stdout)
    with (here.folder / ".env").open("a", encoding="utf-8") as settings:
        settings.write("COMPOSE_FILE=/nowhere/compose.yaml\nCOMPOSE_PROFILES=nothing\n")
    before = here.server()
    here.socketlab("talk", "tcp", "hello")
    assert here.server() == before
    (here.folder / ".env").write_text(here.settings, encoding="utf-8")


def test_netem_image_for_other_projects_is_kept_by_clean(here: Checkout, engine: docker.DockerClient) -> None:
    before = [image.id for image in engine.images.list(name="socketlab/netem:latest")]
    here.run(sys.executable, "-c", NAME_IMAGE, f"{here.name}/netem")
    try:
        assert engine.images.get(f"{here.name}/netem").id == here.image("netem") != ""
        here.socketlab("clean")
        assert here.image("netem") == ""
        assert engine.images.get(f"{here.name}/netem")
    finally:
        engine.images.remove(f"{here.name}/netem")
    assert [image.id for image in engine.images.list(name="socketlab/netem:latest")] == before


def test_an_image_that_is_replaced_goes_unless_it_has_another_name(
    here: Checkout, engine: docker.DockerClient
) -> None:
    # A file of no image: all layers are those of before, which is quick, and the label makes another image.
    source = here.folder / "services" / "server" / "version"

    def built(version: str) -> str:
        source.write_text(version, encoding="utf-8")
        here.run(
            sys.executable,
            "-c",
            BUILD,
        )
        return here.image("server")

    first = built("one that no other checkout has")
    second = built("another")
    assert second not in {"", first}
    with pytest.raises(ImageNotFound):
        engine.images.get(first)
    here.socketlab("up")  # in use
    source.write_text("while it runs", encoding="utf-8")
    here.socketlab("up")
    assert here.image("server") != second
    with pytest.raises(ImageNotFound):
        engine.images.get(second)
    here.socketlab("down")
    second = built("another again")
    engine.images.get(second).tag(f"{here.name}/kept")
    try:
        assert built("a third") not in {"", second}
        assert engine.images.get(f"{here.name}/kept").id == second
    finally:
        engine.images.remove(f"{here.name}/kept")
