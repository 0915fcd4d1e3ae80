"""The root with a kernel that has netem: made once, made again when its list changes, else refused."""

from pathlib import Path

import pytest

from setup import netem_kernel
from setup.facts import State
from setup.machine import Machine
from setup.shell import SetupError
from tests.unit.test_setup_fakes import Commands, commands, debian, elsewhere

__all__ = ["commands"]  # the fixture


@pytest.fixture(autouse=True)
def this_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be on a processor that there is a kernel for."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


def checkout(machine: Machine) -> Machine:
    """Put the shim into a machine's repository."""
    file = machine.repository / netem_kernel.SHIM
    file.parent.mkdir(parents=True)
    file.write_text("long ptrace();\n", encoding="utf-8")
    return machine


def builder(commands: Commands) -> None:
    """Let mmdebstrap make a tar file, and tar a system of it."""
    commands.add("mmdebstrap", {"": 'while [ "$1" != trixie ]; do shift; done; : > "$2"'})
    commands.add("apt-config", {"dump": ":"})
    commands.add("tar", {"": '/bin/mkdir -p "${3#--directory=}/usr/lib/uml/modules"'})
    commands.add("chroot")


def test_root_is_made_once(commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = checkout(debian(tmp_path))
    builder(commands)
    assert netem_kernel.check(machine).automatic
    netem_kernel.ensure(machine)
    made, unpacked, compiled = commands.changes
    assert f"--include={','.join(netem_kernel.PACKAGES)} " in made
    assert "--exclude=./dev/*" in unpacked
    assert "tcc -shared" in compiled
    root = netem_kernel.root(machine)
    assert (root / "lab").is_dir()
    assert (root / "usr/lib/modules").readlink() == Path("uml/modules")
    assert not list(root.parent.glob("*.tar"))
    assert netem_kernel.check(machine).state is State.OK
    netem_kernel.ensure(machine)
    assert len(commands.changes) == 3
    assert "netem-kernel: building" in capsys.readouterr().out


def test_root_is_made_again_when_its_list_changes(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = checkout(debian(tmp_path))
    builder(commands)
    netem_kernel.ensure(machine)
    (netem_kernel.root(machine) / "old").touch()
    monkeypatch.setattr(netem_kernel, "PACKAGES", ("python3",))
    assert netem_kernel.check(machine).state is State.MISSING
    netem_kernel.ensure(machine)
    assert not (netem_kernel.root(machine) / "old").exists()
    assert netem_kernel.check(machine).state is State.OK


def test_root_that_was_cut_short_is_no_root(commands: Commands, tmp_path: Path) -> None:
    machine = checkout(debian(tmp_path))
    builder(commands)
    commands.add("chroot", {"": "echo 'tcc: error' >&2; exit 1"})
    with pytest.raises(SetupError, match="tcc: error"):
        netem_kernel.ensure(machine)
    assert netem_kernel.check(machine).state is State.MISSING


@pytest.mark.parametrize(
    ("machine", "processor", "reason"),
    [
        pytest.param("user", "x86_64", "as root on Debian or Ubuntu", id="not root"),
        pytest.param("mac", "x86_64", "as root on Debian or Ubuntu", id="no Debian"),
        pytest.param("root", "aarch64", "not on aarch64", id="other processor"),
    ],
)
def test_where_it_cannot_be_made_it_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, processor: str, reason: str
) -> None:
    monkeypatch.setattr("platform.machine", lambda: processor)
    made = elsewhere(tmp_path, "Darwin") if machine == "mac" else debian(tmp_path, root=machine == "root")
    with pytest.raises(SetupError, match=reason) as raised:
        netem_kernel.ensure(checkout(made))
    assert "\n" not in str(raised.value).split("\n  -> ")[0]
