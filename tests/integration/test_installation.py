"""The wheel, installed where no checkout is: it has all that the lab needs. The sdist makes the same one."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path

import docker
import pytest
from netem_impairment import leases

from socketlab import checkout
from socketlab.checkout import ROOT
from socketlab.hosts.docker.image_source import digest, is_ignored
from socketlab.hosts.docker.images import ROLES

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "compose.yaml", "services", "socketlab")
SERVICES = ROOT / "services"
Run = Callable[..., str]


def build(folder: Path, kind: str, target: Path) -> Path:
    """Build a wheel or an sdist as pip does without isolation: by what is installed, so without a network."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)], cwd=folder, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (made,) = target.iterdir()
    return made


def contents(wheel: Path) -> dict[str, tuple[str, int]]:
    """Return the digest and the mode of each file in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            each.filename: (hashlib.sha256(archive.read(each)).hexdigest(), each.external_attr)
            for each in archive.infolist()
        }


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout: building leaves files behind."""
    folder = tmp_path_factory.mktemp("checkout") / "socket-lab"
    folder.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            skipped = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=skipped)
        else:
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def sdist(copied: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist."""
    return build(copied, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the sdist makes."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return build(source, "wheel", tmp_path_factory.mktemp("wheel"))


def test_the_sdist_makes_the_wheel_that_the_checkout_makes(
    copied: Path, sdist: Path, wheel: Path, tmp_path: Path
) -> None:
    assert contents(build(copied, "wheel", tmp_path)) == contents(wheel)
    assert sdist.name.removesuffix(".tar.gz") == wheel.name.removesuffix("-py3-none-any.whl")


def test_the_wheel_has_the_hosts_sources_no_common_names_and_needs_two_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (about,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        needed = message_from_bytes(archive.read(about)).get_all("Requires-Dist", [])
    packages = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert packages == {"socketlab", "netem_impairment"}
    carried = {
        name.removeprefix("socketlab/carried/") for name in names if name.startswith("socketlab/carried/")
    }
    sources = (path for path in SERVICES.rglob("*") if path.is_file() and not is_ignored(path, SERVICES))
    assert carried == {"compose.yaml", *(str(path.relative_to(ROOT)) for path in sources)}
    base = [each for each in needed if "extra ==" not in each]
    assert sorted(re.split(r"[^a-z]", each)[0] for each in base) == ["docker", "typer"]


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Path:
    """An environment with the wheel, and, of this one, the packages that it needs."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], timeout=60, check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)], timeout=60, check=True
    )
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Iterator[Run]:
    """Run the installed command in an empty folder; return what it shows."""
    home, empty = tmp_path / "home", tmp_path / "empty"
    settings = home / ".config" / "socketlab" / "settings.env"
    settings.parent.mkdir(parents=True)
    empty.mkdir()
    base = checkout.chosen_base() or checkout.REGISTRY_BASE
    # A name that tidying up knows, should this be killed.
    settings.write_text(f"BASE_IMAGE={base}\nCOMPOSE_PROJECT_NAME={leases.take()}\n", encoding="utf-8")
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {"BASE_IMAGE", "PYTHONPATH", "XDG_CONFIG_HOME", "SOCKETLAB_STARTED_BY"}
    }

    def run(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [installed / "bin" / "socketlab", *arguments], cwd=empty, capture_output=True, text=True,
            timeout=120, check=False,
            env=inherited | {"HOME": str(home), "PATH": f"{installed / 'bin'}:{os.environ['PATH']}"},
        )  # fmt: skip
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    yield run
    run("clean")
    assert list(empty.iterdir()) == []


def test_installed_in_an_empty_folder_it_builds_talks_and_leaves_nothing(
    run: Run, installed: Path, tmp_path: Path, engine: docker.DockerClient
) -> None:
    (hosts,) = installed.glob("lib/python*/site-packages/socketlab/carried")
    for role in ROLES:  # so an image is what a checkout of this version makes
        build = {"dockerfile": f"{role}/Dockerfile"}
        here = digest(build | {"context": str(ROOT / "services")})
        assert digest(build | {"context": str(hosts / "services")}) == here
    assert re.search(r'^answered .* "hello"  => "HELLO" ', run("talk", "udp", "hello"))
    settings = tmp_path / "home" / ".config" / "socketlab" / "settings.env"
    (name,) = re.findall(r"COMPOSE_PROJECT_NAME=(.*)", settings.read_text(encoding="utf-8"))
    assert engine.containers.get(f"{name}-server-1").status == "running"
    run("down")
    assert f"removed the image socketlab/server:{name}\n" in run("clean")
    assert [tag for image in engine.images.list() for tag in image.tags if name in tag] == []
