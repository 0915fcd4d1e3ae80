"""The virtual environment: made once, again when what it is made from changes or when it was cut short."""

import importlib.util
import platform
import sys
from pathlib import Path

import pytest

from setup import venv
from setup.facts import State
from setup.machine import Machine
from setup.shell import SetupError
from tests.unit.test_setup_fakes import Commands, commands, debian, elsewhere

__all__ = ["commands"]  # the fixture

PIP = "python -m pip install --no-input --disable-pip-version-check --no-deps"


def installed(machine: Machine, extra: str) -> list[str]:
    """What is installed for an extra: what is locked, then ourselves."""
    netem = machine.repository / "services/netem"
    locked = f"{machine.repository}/requirements/{extra}.txt"
    return [
        f"{PIP} --require-hashes --only-binary=:all: -r {locked}",
        f"{PIP} --no-build-isolation --no-index -e {netem} -e {machine.repository}",
    ]


DESCRIPTION = ("pyproject.toml", "services/netem/pyproject.toml", "requirements/base.txt")


def describe(machine: Machine) -> None:
    """Write what the environment is made from."""
    for name in DESCRIPTION:
        (machine.repository / name).parent.mkdir(parents=True, exist_ok=True)
        (machine.repository / name).write_text(f"# {name}\n", encoding="utf-8")


@pytest.fixture
def machine(commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose Python makes an environment with a Python that is a fake, too."""
    machine = elsewhere(tmp_path, "Linux", ("fedora",))
    describe(machine)
    inner = commands.add("python", {"-c": f"echo {platform.python_version()}", "-m pip": ":"}, parked=True)
    target = venv.python_in(machine).parent
    make = f"/bin/mkdir -p {target} && /bin/cp {inner} {target}/python && : > {target.parent}/pyvenv.cfg"
    monkeypatch.setattr(sys, "executable", str(commands.add("python3", {"-m venv": make})))
    return machine


def test_environment_is_made_and_filled(
    commands: Commands, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    venv.ensure(machine)
    assert commands.calls == [
        f"python3 -m venv --clear {machine.repository}/.venv",
        *installed(machine, "base"),
    ]
    assert venv.check(machine).state is State.OK
    assert capsys.readouterr().out == (
        f"venv: making .venv with Python {platform.python_version()} … 0 s\n"
        "venv: installing socketlab[base] and what it needs into .venv with pip … 0 s\n"
    )


def test_second_run_does_nothing(
    commands: Commands, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    venv.ensure(machine)
    before, _ = commands.calls, capsys.readouterr()
    venv.ensure(machine)
    assert (commands.calls, capsys.readouterr().out) == (before, "")


@pytest.mark.parametrize("name", DESCRIPTION)
def test_changed_description_installs_again_into_the_same_environment(
    commands: Commands, machine: Machine, name: str
) -> None:
    venv.ensure(machine)
    before = len(commands.calls)
    (machine.repository / name).write_text("changed\n", encoding="utf-8")
    assert venv.check(machine).state is State.MISSING
    venv.ensure(machine)
    assert [call.split()[0:4] for call in commands.calls[before:]] == [
        ["python", "-c", "import", "pip,"],
        ["python", "-m", "pip", "install"],
        ["python", "-m", "pip", "install"],
    ]
    assert venv.check(machine).state is State.OK


def test_interrupted_installation_is_done_again(commands: Commands, machine: Machine) -> None:
    venv.ensure(machine)
    (machine.repository / "pyproject.toml").write_text("changed\n", encoding="utf-8")
    good = venv.python_in(machine).read_text(encoding="utf-8")
    bad = good.replace('"-m pip"*) :', "\"-m pip\"*) echo 'ERROR: interrupted' >&2; exit 1")
    venv.python_in(machine).write_text(bad, encoding="utf-8")
    with pytest.raises(SetupError, match="ERROR: interrupted"):
        venv.ensure(machine)
    assert venv.check(machine).state is State.MISSING
    venv.python_in(machine).write_text(good, encoding="utf-8")
    before = len(commands.calls)
    venv.ensure(machine)
    assert commands.calls[before + 1 :] == installed(machine, "base")


def test_environment_of_another_python_is_made_anew(commands: Commands, machine: Machine) -> None:
    venv.ensure(machine)
    venv.stamp_file(machine, "base").unlink()
    python = venv.python_in(machine)
    python.write_text(python.read_text(encoding="utf-8").replace(platform.python_version(), "3.9.2"))
    venv.ensure(machine)
    assert sum("-m venv --clear" in call for call in commands.calls) == 2


def test_environment_without_its_python_is_made_anew(commands: Commands, machine: Machine) -> None:
    # The link dangles after the system's Python was upgraded.
    venv.ensure(machine)
    venv.python_in(machine).unlink()
    venv.python_in(machine).symlink_to("/nowhere/python3")
    assert venv.check(machine).state is State.MISSING
    venv.python_in(machine).unlink()
    venv.ensure(machine)
    assert sum("-m venv --clear" in call for call in commands.calls) == 2


def test_bench_has_a_stamp_of_its_own(commands: Commands, machine: Machine) -> None:
    venv.ensure(machine)
    assert venv.check(machine, "bench").state is State.MISSING
    venv.ensure(machine, "bench")
    assert commands.calls[-2:] == installed(machine, "bench")
    assert {venv.check(machine, extra).state for extra in ("base", "bench")} == {State.OK}


def test_stamp_depends_on_what_the_environment_is_made_from(machine: Machine, tmp_path: Path) -> None:
    stamps = {venv.stamp(machine, "base"), venv.stamp(machine, "bench")}
    (machine.repository / "requirements/base.txt").write_text("a\n", encoding="utf-8")
    stamps.add(venv.stamp(machine, "base"))
    other = elsewhere(tmp_path / "moved", "Linux")
    describe(other)
    for name in DESCRIPTION:
        (other.repository / name).write_bytes((machine.repository / name).read_bytes())
    stamps.add(venv.stamp(other, "base"))
    assert len(stamps) == 4
    assert venv.stamp(other, "base") in stamps


@pytest.fixture
def no_ensurepip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python lack ensurepip, as Debian's does without python3-venv."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else name)


@pytest.mark.usefixtures("no_ensurepip")
def test_python_without_ensurepip_is_completed_on_debian_as_root(
    commands: Commands, machine: Machine, tmp_path: Path
) -> None:
    commands.add("apt-get")
    root = debian(tmp_path / "debian")
    venv.create(
        Machine("Linux", distribution=("debian",), root=True, files=root.files, repository=machine.repository)
    )
    assert commands.calls[0].endswith(f" python3.{sys.version_info.minor}-venv")
    assert commands.calls[1].startswith("python3 -m venv")


@pytest.mark.usefixtures("no_ensurepip")
def test_python_without_ensurepip_is_an_instruction_elsewhere(commands: Commands, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=f"-> sudo apt-get install python3.{sys.version_info.minor}-venv"):
        venv.ensure(debian(tmp_path, root=False))
    assert commands.calls == []


def test_environment_that_cannot_be_made_says_why(commands: Commands, machine: Machine) -> None:
    commands.add("python3", {"-m venv": "echo 'Error: no space left' >&2; exit 1"})
    with pytest.raises(SetupError, match="no space left"):
        venv.ensure(machine)


def test_remove(machine: Machine) -> None:
    venv.remove(machine)  # nothing there: nothing to do
    venv.ensure(machine)
    venv.remove(machine)
    assert not (machine.repository / ".venv").exists()


def test_remove_keeps_what_is_no_environment(machine: Machine) -> None:
    (machine.repository / ".venv").mkdir()
    with pytest.raises(SetupError, match="no virtual environment"):
        venv.remove(machine)
    assert (machine.repository / ".venv").is_dir()


def test_remove_keeps_what_a_link_leads_to(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/pyvenv.cfg").touch()
    (machine.repository / ".venv").symlink_to(tmp_path / "shared")
    with pytest.raises(SetupError, match="it stays"):
        venv.remove(machine)
    assert (tmp_path / "shared/pyvenv.cfg").is_file()
