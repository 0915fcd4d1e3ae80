"""Two checkouts on one engine, and other people's projects beside them: each removes what it has made."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound

from socketlab.run import leases
from socketlab.run.checkout import ROOT
from socketlab.run.lab import ROLES

COPIED = ("services", "socketlab", "setup", "compose.yaml")
# The command, but for the name: an image of this name may be there, and in use.
NAME_IMAGE = "import sys; from socketlab import cli; cli.NETEM_IMAGE = sys.argv[1]; cli.netem_image()"
FOREIGN = """
services:
  theirs:
    image: {image}
    entrypoint: [sleep, "600"]
    init: true
    network_mode: none
"""


class Checkout:
    """A copy of this checkout, with a lab of its own.

    Args:
        folder: where it is to be.
        engine: where its hosts are.
    """

    def __init__(self, folder: Path, engine: docker.DockerClient) -> None:
        self.folder, self.name, self._engine = folder, leases.take(), engine
        folder.mkdir(parents=True)
        for name in COPIED:
            whole = ROOT / name
            (shutil.copytree if whole.is_dir() else shutil.copy2)(whole, folder / name)
        settings = [f"COMPOSE_PROJECT_NAME={self.name}\n"]
        with suppress(FileNotFoundError):
            lines = (ROOT / ".env").read_text(encoding="utf-8").splitlines(keepends=True)
            settings += [line for line in lines if line.startswith("BASE_IMAGE=")]
        self.settings = "".join(settings)
        (folder / ".env").write_text(self.settings, encoding="utf-8")

    def run(
        self, *command: str, typed: str = "", code: int = 0, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command there, which is to end with this exit code."""
        done = subprocess.run(
            command, cwd=self.folder, input=typed, capture_output=True, text=True, timeout=120, check=False,
            env=os.environ | {"PYTHONPATH": str(self.folder)} | variables,
        )  # fmt: skip
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def socketlab(
        self, *arguments: str, code: int = 0, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run its command `socketlab`."""
        return self.run(sys.executable, "-m", "socketlab", *arguments, code=code, **variables)

    def server(self) -> tuple[str, str]:
        """Return its server's id, and when that was started."""
        (found,) = self._engine.containers.list(filters={"name": f"^{self.name}-server-1$"})
        return str(found.id), str(found.attrs["State"]["StartedAt"])

    def image(self, role: str) -> str:
        """Return the id of an image of its own; nothing: it has none."""
        try:
            return str(self._engine.images.get(f"socketlab/{role}:{self.name}").id)
        except ImageNotFound:
            return ""

    def left(self) -> list[str]:
        """Return what of it is on the engine."""
        mine: dict[str, str | list[str] | bool] = {"label": f"com.docker.compose.project={self.name}"}
        containers = self._engine.containers.list(all=True, filters=mine)
        networks = self._engine.networks.list(filters=mine)
        images = [role for role in ROLES if self.image(role)]
        return [*map(repr, containers), *map(repr, networks), *images]


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
    assert refused.stderr == (
        f"socketlab: expected a project name of our own, got '{elsewhere.name}', which is in use by "
        f"{elsewhere.folder}/compose.yaml: choose another, as in {again} --project other\n"
    )
    assert elsewhere.server() == before


def test_docker_compose_run_leaves_the_server_that_up_has_started(here: Checkout) -> None:
    here.socketlab("up", "--server", "udp_server")
    before = here.server()
    done = here.run("docker", "compose", "run", "--rm", "--no-TTY", "client", "udp", typed="the same?\n")
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
    source = here.folder / "services" / "server" / "server.py"
    original = source.read_text(encoding="utf-8")

    def built(comment: str) -> str:
        source.write_text(f"{original}# {comment}\n", encoding="utf-8")
        here.run(sys.executable, "-c", "import socketlab.run.lab as lab; lab.Lab().build()")
        return here.image("server")

    first = built("one that no other checkout has")
    second = built("another")
    assert second not in {"", first}
    with pytest.raises(ImageNotFound):
        engine.images.get(first)
    engine.images.get(second).tag(f"{here.name}/kept")
    try:
        assert built("a third") not in {"", second}
        assert engine.images.get(f"{here.name}/kept").id == second
    finally:
        engine.images.remove(f"{here.name}/kept")
