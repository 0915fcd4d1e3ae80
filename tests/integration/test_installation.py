"""The wheels, installed where no checkout is, have all that the lab needs; each sdist makes the same one."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
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
            skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=skipped)
        else:
            shutil.copy2(ROOT / name, folder / name)
    return folder


@dataclass(frozen=True)
class Built:
    """A distribution: its folder in the copy, its sdist, and the wheel that the sdist makes."""

    folder: Path
    sdist: Path
    wheel: Path


def built(folder: Path, temporary: Path) -> Built:
    """Build the sdist of a distribution, and of it the wheel."""
    for name in ("sdist", "unpacked", "wheel"):
        (temporary / name).mkdir()
    sdist = build(folder, "sdist", temporary / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(temporary / "unpacked", filter="data")
    (source,) = (temporary / "unpacked").iterdir()
    return Built(folder, sdist, build(source, "wheel", temporary / "wheel"))


@pytest.fixture(scope="module")
def lab(copied: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The lab's distribution."""
    return built(copied, tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def netem(copied: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Netem's, that the lab needs."""
    return built(copied / "services" / "netem", tmp_path_factory.mktemp("netem"))


@pytest.fixture(params=["lab", "netem"])
def either(request: pytest.FixtureRequest) -> Built:
    """Each of the two."""
    made: Built = request.getfixturevalue(request.param)
    return made


def test_the_sdist_makes_the_wheel_that_the_checkout_makes(either: Built, tmp_path: Path) -> None:
    assert contents(build(either.folder, "wheel", tmp_path)) == contents(either.wheel)
    assert either.sdist.name.removesuffix(".tar.gz") == either.wheel.name.removesuffix("-py3-none-any.whl")


def of_wheel(wheel: Path) -> tuple[set[str], Message]:
    """Return the names of a wheel's files, and what it says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        (about,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        return set(archive.namelist()), message_from_bytes(archive.read(about))


def test_the_wheel_has_the_hosts_sources_no_common_names_and_needs_three_packages(lab: Built) -> None:
    names, about = of_wheel(lab.wheel)
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"socketlab"}
    prefix = "socketlab/carried/"
    carried = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    sources = (path for path in SERVICES.rglob("*") if path.is_file() and not is_ignored(path, SERVICES))
    assert carried == {"compose.yaml", *(str(path.relative_to(ROOT)) for path in sources)}
    base = [each for each in about.get_all("Requires-Dist", []) if "extra ==" not in each]
    names_of_base = sorted(re.split(r"[^a-z-]", each)[0] for each in base)
    assert names_of_base == ["docker", "netem-impairment", "typer"]


def test_netems_wheel_has_what_its_image_is_built_from_and_needs_nothing(netem: Built, lab: Built) -> None:
    names, about = of_wheel(netem.wheel)
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"netem_impairment"}
    prefix = "netem_impairment/context/"
    carried = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    sources = (
        path
        for folder in ("lab", "netem")
        for path in (SERVICES / folder).rglob("*")
        if path.is_file() and not is_ignored(path, SERVICES) and path.name not in {"README.md", "py.typed"}
    )
    assert carried == {str(path.relative_to(SERVICES)) for path in sources}
    assert (about["Version"], about.get_all("Requires-Dist")) == (of_wheel(lab.wheel)[1]["Version"], None)
    assert f"netem-impairment=={about['Version']}" in of_wheel(lab.wheel)[1].get_all("Requires-Dist", [])


@pytest.fixture
def installed(lab: Built, netem: Built, tmp_path: Path) -> Path:
    """An environment with the wheels, and, of this one, the packages that they need."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], timeout=60, check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    wheels = [str(netem.wheel), str(lab.wheel)]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", *wheels], timeout=60, check=True)
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


FILES = """
import hashlib, json, pathlib
found = pathlib.Path("/srv").rglob("*.py")
print(json.dumps({str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}))
"""


def test_netems_image_is_the_same_from_its_wheel_and_from_a_checkout(installed: Path) -> None:
    (carried,) = installed.glob("lib/python*/site-packages/netem_impairment/context")
    base = checkout.chosen_base() or checkout.REGISTRY_BASE
    found, names = [], [f"{leases.take()}/netem" for _ in range(2)]
    try:
        for context, name in zip((carried, SERVICES), names, strict=True):
            words = ["docker", "build", "--quiet", "--build-arg", f"BASE_IMAGE={base}", "--tag", name]
            build = [*words, "--file", str(context / "netem/Dockerfile"), str(context)]
            subprocess.run(build, check=True, capture_output=True, timeout=120)
            listing = ["docker", "run", "--rm", "--network=none", "--entrypoint=python3", name, "-c", FILES]
            found.append(json.loads(subprocess.run(listing, check=True, capture_output=True).stdout))
    finally:
        for name in names:
            subprocess.run(["docker", "image", "rm", name], capture_output=True, check=False)
    assert found[0] == found[1]
    assert {"/srv/netem.py", "/srv/netem_impairment/options/loss.py", "/srv/lab/failures.py"} < set(found[0])
