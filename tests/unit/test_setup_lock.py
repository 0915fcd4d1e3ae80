"""The locks: they are those of today's pyproject.toml, whole, and name no address; uv makes them anew."""

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from setup import lock, venv
from setup.machine import Machine
from setup.shell import SetupError
from tests.unit.test_setup_fakes import Commands, commands, elsewhere

__all__ = ["commands"]  # the fixture

HERE = Machine("Linux")
DESCRIBED = lock.description(HERE)
EXTRAS = lock.extras(DESCRIBED)
EACH = pytest.mark.parametrize("extra", EXTRAS)
PIN = re.compile(r"([a-z0-9.-]+)==(\S+)(?: ; .+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


def pins(extra: str) -> dict[str, str]:
    """The versions of a lock."""
    lines = lock.file_of(HERE, extra).read_text(encoding="utf-8").splitlines()
    return {found[1]: found[2] for line in lines if (found := PIN.fullmatch(line))}


@EACH
def test_lock_is_made_from_todays_description(extra: str) -> None:
    words = lock.WORDS.format(digest=lock.digest(DESCRIBED))
    assert lock.file_of(HERE, extra).read_text(encoding="utf-8").startswith(words), "make lock"


def test_there_is_a_lock_for_each_extra_and_no_other() -> None:
    found = sorted(file.stem for file in lock.file_of(HERE, "").parent.glob("*.txt"))
    assert found == EXTRAS


@EACH
def test_lock_has_what_is_asked_for_in_a_version_that_is_allowed(extra: str) -> None:
    project = DESCRIBED["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"][extra]]
    locked = pins(extra)
    for wanted in map(Requirement, [*asked, *DESCRIBED["build-system"]["requires"]]):
        if wanted.name not in {project["name"], *lock.ours(DESCRIBED)}:  # an extra may name another of ours
            assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)]), wanted


@EACH
def test_every_line_of_a_lock_is_a_version_or_a_digest(extra: str) -> None:
    # So there is no address in it, no option, and nothing without a digest.
    before = "#"
    for line in lock.file_of(HERE, extra).read_text(encoding="utf-8").splitlines():
        if PIN.fullmatch(line):
            assert before[0] in "# "
        elif HASH.fullmatch(line):
            assert before.endswith("\\")
        else:
            assert line.startswith("# ")
        before = line


def test_what_we_make_ourselves_is_in_no_lock_and_uv_is_told_so(commands: Commands, machine: Machine) -> None:
    assert lock.ours(DESCRIBED) == ["netem-impairment"]
    assert not any("netem-impairment" in pins(extra) for extra in EXTRAS)
    described = machine.repository / "pyproject.toml"
    described.write_text(f"{PROJECT}[tool.uv.sources]\nbeside = {{ path = 'beside' }}\n", encoding="utf-8")
    lock.renew(machine, upgrade=True)
    assert all("--no-emit-package=beside" in call for call in commands.calls)
    assert len(commands.calls) == 3


def test_locks_agree() -> None:
    versions: dict[str, set[str]] = {}
    for extra in EXTRAS:
        for name, version in pins(extra).items():
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_what_is_installed_is_what_is_locked() -> None:
    # Of these packages; an environment may have others, and those without a file for this system.
    for name, version in pins("dev").items():
        try:
            assert metadata.version(name) == version
        except metadata.PackageNotFoundError:
            continue
    assert metadata.version("pytest") == pins("dev")["pytest"]


PROJECT = """
[build-system]
requires = ["setuptools>=77"]
[project]
requires-python = ">=3.11"
dependencies = ["docker>=7"]
[project.optional-dependencies]
dev = []
lock = []
"""
# It writes what it was given last as constraints or finds in its output, and a package.
UV = """
for word; do
    [ "$before" = --output-file ] && target=$word
    before=$word
done
echo "docker==7.2.0" >> "$target"
"""


@pytest.fixture
def machine(commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a project, and an environment whose uv is a fake."""
    machine = elsewhere(tmp_path, "Linux", ("fedora",))
    (machine.repository / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    bin_folder = machine.repository / venv.FOLDER / "bin"
    bin_folder.mkdir(parents=True)
    shutil.copy(commands.add("uv", {"pip compile": UV}, parked=True), bin_folder / "uv")
    monkeypatch.setattr(venv, "ensure", lambda *_: None)
    return machine


def test_renewing_writes_every_lock_and_removes_what_is_none(machine: Machine) -> None:
    old = lock.file_of(machine, "gone")
    old.parent.mkdir()
    old.touch()
    lock.renew(machine, upgrade=True)
    words = lock.WORDS.format(digest=lock.digest(lock.description(machine)))
    found = {file.name: file.read_text(encoding="utf-8") for file in old.parent.iterdir()}
    assert found == dict.fromkeys(("dev.txt", "lock.txt"), f"{words}docker==7.2.0\n")


def test_renewing_keeps_todays_versions_unless_told_otherwise(machine: Machine) -> None:
    file = lock.file_of(machine, "dev")
    file.parent.mkdir()
    file.write_text("# words\ndocker==7.1.0 ; sys_platform == 'linux' \\\n    --hash=sha256:00\n")
    assert lock.versions(machine) == "docker==7.1.0 ; sys_platform == 'linux'\n"


def test_what_uv_does_not_find_is_told_and_the_locks_stay(commands: Commands, machine: Machine) -> None:
    commands.add("uv", {"": "echo 'error: no such package' >&2; exit 1"}, parked=True)
    lock.file_of(machine, "dev").parent.mkdir()
    lock.file_of(machine, "dev").write_text("before\n")
    uv = machine.repository / venv.FOLDER / "bin/uv"
    uv.write_text("#!/bin/sh\necho 'error: no such package' >&2; exit 1\n")
    with pytest.raises(SetupError, match="error: no such package"):
        lock.renew(machine, upgrade=False)
    assert lock.file_of(machine, "dev").read_text() == "before\n"


def test_digest_is_another_when_something_else_is_needed() -> None:
    more = lock.description(HERE)
    more["project"]["optional-dependencies"]["dev"].append("another")
    assert lock.digest(more) != lock.digest(DESCRIBED)


def wheel(folder: Path) -> Path:
    """Make a package of one empty module: PEP 427."""
    made = folder / "probe-1.0-py3-none-any.whl"
    about = {"METADATA": "Metadata-Version: 2.1\nName: probe\nVersion: 1.0\n",
             "WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
             "RECORD": ""}  # fmt: skip
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("probe.py", "")
        for name, content in about.items():
            archive.writestr(f"probe-1.0.dist-info/{name}", content)
    return made


@pytest.mark.parametrize("changed", [False, True], ids=["as-published", "changed-on-its-way"])
def test_pip_takes_the_file_that_is_locked_and_no_other(tmp_path: Path, *, changed: bool) -> None:
    made = wheel(tmp_path)
    pinned = tmp_path / "dev.txt"
    published = hashlib.sha256(made.read_bytes()).hexdigest()
    pinned.write_text(f"probe==1.0 \\\n    --hash=sha256:{published}\n", encoding="utf-8")
    if changed:
        with zipfile.ZipFile(made, "a") as archive:
            archive.writestr("more.py", "print('hello')")
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--dry-run", "--disable-pip-version-check"]
    options = [
        "--no-index",
        "--find-links",
        str(tmp_path),
        "--no-deps",
        *venv.LOCKED_ALONE,
        "-r",
        str(pinned),
    ]
    done = subprocess.run([*pip, *options], capture_output=True, text=True, check=False)
    assert ("DO NOT MATCH THE HASHES" in done.stderr) == changed, done.stderr
    assert (done.returncode != 0) == changed
