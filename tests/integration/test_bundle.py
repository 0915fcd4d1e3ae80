"""A bundle: hosts that were built in one checkout run in another, which builds nothing."""

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from socketlab.hosts.docker.images import ROLES
from tests.integration.checkouts import Checkout

# What stands for an engine that cannot build: no internet, no registry.
NO_BUILD = """#!/bin/sh
case "$1" in build | pull) echo "no network for docker $1" >&2; exit 99 ;; esac
exec {docker} "$@"
"""


def of_a_version(made: Checkout, name: str) -> None:
    """Give a checkout's hosts something that no other checkout's have, in a last layer of their own."""
    (made.folder / "services" / "version").write_text(name, encoding="utf-8")
    for role in ROLES:
        last = f"COPY version /version-of-{role}\n"  # two layers with the same in them are one in a bundle
        file = made.folder / "services" / role / "Dockerfile"
        file.write_text(file.read_text(encoding="utf-8").removesuffix(last) + last, encoding="utf-8")


def last_layer(bundle: Path) -> int:
    """Return where the last layer of the last host begins: the others are loaded before it."""
    with tarfile.open(bundle) as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        hosts = [each for each in json.load(manifest) if "/base:" not in each["RepoTags"][0]]
        *_others, last = (each for each in hosts if len(each["Layers"]) > 1)  # a base from a registry has one
        return archive.getmember(last["Layers"][-1]).offset_data


@pytest.fixture(scope="module")
def at_home(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Checkout]:
    """Where bundles are saved."""
    made = Checkout(tmp_path_factory.mktemp("home") / "lab", engine)
    of_a_version(made, made.name)
    yield made
    made.socketlab("clean")


@pytest.fixture(scope="module")
def bundle(at_home: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, whose images are no longer on this engine under the names that they had."""
    file = tmp_path_factory.mktemp("stick") / "lab.tar"
    shown = at_home.socketlab("bundle", "save", str(file)).stdout
    for role in ROLES:
        assert f"    socketlab/{role}:{at_home.name}\n" in shown
    assert [each.name for each in file.parent.iterdir()] == [file.name]
    at_home.socketlab("clean")
    return file


@pytest.fixture
def classroom(at_home: Checkout, tmp_path: Path, engine: docker.DockerClient) -> Iterator[Checkout]:
    """Where they are loaded."""
    made = Checkout(tmp_path / "classroom" / "lab", engine)
    of_a_version(made, at_home.name)
    yield made
    made.socketlab("clean")


def test_loaded_hosts_run_and_nothing_is_built(
    bundle: Path, at_home: Checkout, classroom: Checkout, tmp_path: Path
) -> None:
    offline = tmp_path / "bin" / "docker"
    offline.parent.mkdir()
    offline.write_text(NO_BUILD.format(docker=shutil.which("docker")), encoding="utf-8")
    offline.chmod(0o755)
    path = f"{offline.parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert "no network for docker build" in classroom.socketlab("up", code=1, PATH=path).stderr
    classroom.socketlab("bundle", "load", str(bundle), PATH=path)
    loaded = [classroom.image(role) for role in ROLES]
    assert all(loaded)
    assert at_home.left() == []  # the names that they had there
    classroom.socketlab("up", PATH=path)
    classroom.socketlab("lossy-udp", "--count", "5", "--engine", "userspace", PATH=path)
    assert [classroom.image(role) for role in ROLES] == loaded


def test_a_bundle_that_cannot_be_used_changes_nothing(
    bundle: Path, at_home: Checkout, classroom: Checkout, tmp_path: Path
) -> None:
    damaged, foreign = tmp_path / "damaged.tar", tmp_path / "foreign.tar"
    shutil.copyfile(bundle, damaged)
    with damaged.open("r+b") as file:
        file.seek(last_layer(bundle))
        file.write(b"damaged " * 64)
    foreign.write_bytes(b"holiday.jpg")
    refused = classroom.socketlab("bundle", "load", str(foreign), code=2).stderr
    assert refused == (
        f"socketlab: expected a bundle that `socketlab bundle save` has written, {foreign} is none\n"
    )
    assert "docker load failed" in classroom.socketlab("bundle", "load", str(damaged), code=1).stderr
    of_a_version(classroom, "another")
    refused = classroom.socketlab("bundle", "load", str(bundle), code=1).stderr
    assert refused.endswith(
        "carries the hosts of another version of Socket Lab: save one with the version that is here\n"
    )
    assert [*at_home.left(), *classroom.left()] == []
    assert (classroom.folder / ".env").read_text(encoding="utf-8") == classroom.settings
