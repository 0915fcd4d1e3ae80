"""What an image is made from: whatever changes in it changes the digest, and nothing else does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from socketlab.checkout import ROOT
from socketlab.hosts.docker.image_source import digest, is_ignored


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "server.py").write_text("print('hello')\n")
    (tmp_path / "server" / "link").symlink_to("../lab")
    (tmp_path / ".dockerignore").write_text((ROOT / "services" / ".dockerignore").read_text())
    return tmp_path


def made_from(context: Path, **build: object) -> str:
    return digest({"context": str(context), "dockerfile": "server/Dockerfile"} | build)


def renamed(context: Path) -> None:
    (context / "server" / "server.py").rename(context / "server" / "other.py")


def led_elsewhere(context: Path) -> None:
    (context / "server" / "link").unlink()
    (context / "server" / "link").symlink_to("../other")


@pytest.mark.parametrize(
    "change",
    [
        lambda context: (context / "server" / "server.py").write_text("print('HELLO')\n"),
        lambda context: (context / "server" / "server.py").chmod(0o755),
        lambda context: (context / "server" / "empty.py").touch(),
        lambda context: (context / "server" / "server.py").unlink(),
        renamed,
        led_elsewhere,
    ],
    ids=["content", "mode", "another", "removed", "renamed", "link"],
)
def test_a_change_of_a_file_changes_it(context: Path, change: Callable[[Path], object]) -> None:
    before = made_from(context)
    change(context)
    assert made_from(context) != before


def test_arguments_and_dockerfile_change_it(context: Path) -> None:
    others = [
        made_from(context, args={"BASE_IMAGE": "other"}),
        made_from(context, dockerfile="client/Dockerfile"),
    ]
    assert len({made_from(context), *others}) == 3


def test_what_differs_between_a_checkout_and_an_installation_does_not(context: Path) -> None:
    installed = made_from(context)
    (context / "capture").mkdir()
    (context / "server" / "lab").symlink_to("../lab")
    (context / "capture" / "firewall").symlink_to("../netem/firewall")
    for name in ("tests", "bench", "docs", "build", "server.egg-info"):
        (context / "server" / name / "below").mkdir(parents=True)
        (context / "server" / name / "below" / "file.py").touch()
    (context / "server").chmod(0o700)
    (context / "server" / "server.py").chmod(0o600)  # a stricter umask
    assert made_from(context) == installed


def test_when_files_were_written_and_what_python_compiles_do_not(context: Path) -> None:
    before = made_from(context)
    (context / "server" / "server.py").write_text("print('hello')\n")
    (context / "server" / "__pycache__").mkdir()
    (context / "server" / "__pycache__" / "server.pyc").write_bytes(b"compiled")
    assert made_from(context) == before


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        ("server/__pycache__/server.pyc", True),
        ("server/lab/options.py", True),
        ("lab/options.py", False),
        ("netem/firewall/marks.py", False),
        ("netem/tests/unit/test_netem_model.py", True),
        ("netem/.pytest_cache/README.md", True),
        ("tests/server.py", False),
        ("netem/tests.py", False),
        ("netem/pyproject.toml", True),
        (".dockerignore", False),
    ],
)
def test_file_is_ignored_as_dockerignore_says(context: Path, name: str, ignored: bool) -> None:
    assert is_ignored(context / name, context) == ignored
