"""The command line: what is done in which order, exit codes, and no traceback."""

import ast
import fcntl
import os
import re
import runpy
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import setup
from setup import audit, cli, lock, venv
from setup.machine import Machine
from setup.shell import SetupError
from socketlab import checkout, dotenv
from tests.unit.test_setup_fakes import NO_ENGINE, Commands, commands, debian, elsewhere

__all__ = ["commands"]  # the fixture

FILES = sorted(Path(setup.__file__).parent.glob("*.py"))
SHARED = [Path(str(module.__file__)) for module in (checkout, dotenv)]  # with the host side


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The items that were ensured; nothing is really done."""
    names: list[str] = []

    def note(name: str) -> None:
        monkeypatch.setitem(cli.ITEMS, name, lambda machine: names.append(f"{name} {machine.system}"))

    for name in tuple(cli.ITEMS):
        note(name)

    def extras(machine: Machine, *wanted: str) -> None:
        names.append(f"{' and '.join(wanted)} {machine.system}")

    monkeypatch.setattr(venv, "ensure", extras)
    return names


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        pytest.param([], {"engine", "compose", "base-image", "lab-name", "venv"}, id="all"),
        pytest.param(["lab-name"], {"lab-name"}, id="one"),
        pytest.param(["venv", "bench"], {"bench"}, id="an extra has what the lab needs"),
        pytest.param(["fuzz", "dev", "test-tools"], {"fuzz and dev", "test-tools"}, id="extras at once"),
    ],
)
def test_ensure(done: list[str], tmp_path: Path, items: list[str], expected: set[str]) -> None:
    assert cli.main(["ensure", *items], elsewhere(tmp_path, "Linux")) == 0
    assert sorted(done) == sorted(f"{item} Linux" for item in expected)


def test_items_are_ensured_side_by_side_but_after_what_they_need(
    done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = threading.Barrier(2, timeout=30)

    def meet(name: str) -> Callable[[Machine], None]:
        def ensured(_machine: Machine) -> None:
            meeting.wait()
            done.append(name)

        return ensured

    # The engine waits for the virtual environment, then the image for Compose: each pair at the same time.
    for name in ("engine", "venv", "base-image", "compose"):
        monkeypatch.setitem(cli.ITEMS, name, meet(name))
    assert cli.main(["ensure"], elsewhere(tmp_path, "Linux")) == 0
    assert set(done[-2:]) == {"base-image", "compose"}


def test_what_cannot_be_provided_is_told_once_and_the_rest_is_there(
    done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_machine: Machine) -> None:
        raise SetupError("engine: there is none")

    monkeypatch.setitem(cli.ITEMS, "engine", fail)
    assert cli.main(["ensure"], elsewhere(tmp_path, "Linux")) == 1
    assert sorted(done) == ["lab-name Linux", "venv Linux"]
    assert capsys.readouterr().err == "engine: there is none\n"


@pytest.mark.parametrize("arguments", [[], ["ensure", "coffee"], ["install"], ["doctor", "engine"]])
def test_wrong_usage(done: list[str], tmp_path: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments, elsewhere(tmp_path, "Linux"))
    assert (ended.value.code, done) == (2, [])


@pytest.mark.parametrize(("options", "upgrade"), [([], False), (["--upgrade"], True)])
def test_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], upgrade: bool) -> None:
    asked = []
    monkeypatch.setattr(lock, "renew", lambda machine, *, upgrade: asked.append((machine.system, upgrade)))
    assert cli.main(["lock", *options], elsewhere(tmp_path, "Linux")) == 0
    assert asked == [("Linux", upgrade)]


@pytest.mark.parametrize("code", [0, 1, 2], ids=["none", "holes", "not-known"])
def test_audit_ends_with_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(audit, "audit", lambda _machine: code)
    assert cli.main(["audit"], elsewhere(tmp_path, "Linux")) == code


def raising(error: BaseException) -> Machine:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        pytest.param(
            SetupError("engine: none\n  -> get one"), 1, "engine: none\n  -> get one\n", id="set-up"
        ),
        pytest.param(
            OSError(28, "No space left on device", ".env"), 1, "No space left on device", id="system"
        ),
        pytest.param(KeyboardInterrupt(), 130, "interrupted\n", id="Ctrl-C"),
    ],
)
def test_trouble_is_told_without_a_traceback(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    words: str,
) -> None:
    monkeypatch.setitem(cli.ITEMS, "engine", lambda _: raising(error))
    assert cli.main(["ensure", "engine"], elsewhere(tmp_path, "Linux")) == code
    assert words in capsys.readouterr().err


def test_trouble_with_one_item_stops_those_that_need_it(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.docker({"version": NO_ENGINE})
    assert cli.main(["ensure", "engine", "compose", "base-image"], elsewhere(tmp_path, "Darwin")) == 1
    assert commands.changes == []
    assert "Docker Desktop" in capsys.readouterr().err


def test_ensure_with_everything_there_is_silent(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.docker({"image inspect": "echo sha256:1"})
    assert cli.main(["ensure", "engine", "compose", "base-image"], debian(tmp_path)) == 0
    assert commands.changes == []
    assert capsys.readouterr() == ("", "")


def test_root_finds_the_folders_of_the_system(
    done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/mine")
    machine = debian(tmp_path)
    cli.main(["ensure", "venv"], machine)
    assert done
    assert os.environ["PATH"].split(os.pathsep)[0] == "/mine"
    assert str(machine.files / "usr/sbin") in os.environ["PATH"].split(os.pathsep)


def test_removals(commands: Commands, tmp_path: Path) -> None:
    machine = debian(tmp_path)
    commands.docker({"image inspect": "echo sha256:1", "image rm": ":", "image prune": ":"})
    (machine.repository / ".venv").mkdir()
    (machine.repository / ".venv/pyvenv.cfg").touch()
    assert cli.main(["remove-base-image"], machine) == 0
    assert cli.main(["remove-venv"], machine) == 0
    assert commands.changes[0] == "docker image rm socketlab/base:trixie"
    assert not (machine.repository / ".venv").exists()


def test_doctor_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("setup.doctor.report", lambda _: 7)
    assert cli.main(["doctor"], elsewhere(tmp_path, "Linux")) == 7


def test_only_one_set_up_works_in_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = elsewhere(tmp_path, "Linux")
    second = os.open(machine.repository, os.O_RDONLY)

    def try_to_come_in(machine: Machine) -> None:
        del machine
        with pytest.raises(BlockingIOError):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)

    monkeypatch.setitem(cli.ITEMS, "venv", try_to_come_in)
    assert cli.main(["ensure", "venv"], machine) == 0
    fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the first has left
    os.close(second)


def test_sigterm_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt):
        cli.interrupt(signal.SIGTERM, None)


def entry_point() -> dict[str, object]:
    """Return the names of the entry point."""
    return runpy.run_path(str(FILES[0].parent / "__main__.py"), run_name="setup.__main__")


def test_entry_point_is_understood_by_an_old_python() -> None:
    for name in ("__main__.py", "__init__.py"):
        ast.parse((FILES[0].parent / name).read_text(encoding="utf-8"), feature_version=(3, 8))


def test_entry_point_refuses_an_old_python(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = entry_point()["main"]
    assert callable(main)
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    assert main() == 1
    assert capsys.readouterr().err.startswith(
        "Socket Lab needs Python 3.11 or newer, and this is Python 3.9.2 ("
    )


def test_no_address_is_written_into_the_code() -> None:
    # Mirrors and registries are those of the machine, never ours.
    for file in FILES:
        assert not re.search(r"https?://\w|\w\.(org|com|io)/", file.read_text(encoding="utf-8")), file.name


def test_only_the_standard_library_is_imported() -> None:
    shared = {f"socketlab.{file.stem}" for file in SHARED}
    for file in [*FILES, *SHARED]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names += [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                assert name in shared or name.partition(".")[0] in sys.stdlib_module_names | {"setup"}, (
                    f"{file.name} imports {name}"
                )
