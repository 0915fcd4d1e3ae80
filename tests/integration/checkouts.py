"""Copies of this checkout, each with a lab of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import docker
from docker.errors import ImageNotFound
from netem_impairment import leases

from socketlab import checkout
from socketlab.checkout import ROOT
from socketlab.hosts.docker.images import ROLES

COPIED = ("services", "socketlab", "setup", "compose.yaml")


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
        if base := checkout.chosen_base():
            settings.append(f"{checkout.BASE}={base}\n")
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
