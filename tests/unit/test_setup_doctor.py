"""The doctor: every fact with its remedy, and an exit code that can be relied upon."""

import json
import locale
import os
import shutil
from pathlib import Path

import pytest

from setup import checks, doctor
from setup.facts import Fact, State
from setup.machine import Machine
from setup.shell import SetupError
from tests.unit.test_setup_fakes import HANGS, NO_ENGINE, Commands, commands, debian, elsewhere

__all__ = ["commands"]  # the fixture

INFO = {
    "MemTotal": 8 * 2**30,
    "NCPU": 4,
    "CgroupVersion": "2",
    "DockerRootDir": "/",
    "IPv4Forwarding": True,
}


def healthy(commands: Commands, **info: object) -> None:
    """Give the machine all it needs but the environment."""
    for name in ("make", "git"):
        commands.add(name, {"--version": f"echo {name} 1.0; echo more"})
    for name in ("cc", "tshark", "chromium"):
        commands.add(name)
    commands.docker(
        {
            "info": f"echo '{json.dumps(INFO | info)}'",
            "image inspect": "echo sha256:1",
            "manifest inspect": "echo {}",
            "context inspect": "echo unix:///nowhere/docker.sock",
            "run": "echo 'kernel works; userspace works'",
        }
    )


def test_doctor_on_a_healthy_machine(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    healthy(commands)
    assert doctor.report(debian(tmp_path)) == 0
    report = capsys.readouterr().out
    assert "Socket Lab can run here; `make up` first provides: venv." in report
    assert "MISSING" not in report
    assert "absent" not in report
    assert commands.changes == []
    for name in (
        "system",
        "Python",
        "make",
        "git",
        "terminal",
        "engine",
        "memory",
        "disk",
        "cgroups",
        "forwarding",
        "impairment",
    ):
        assert f"\nok      {name}" in f"\n{report}"


def test_doctor_without_make(commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    healthy(commands)
    (commands.folder / "make").unlink()
    assert doctor.report(debian(tmp_path)) == 1
    report = capsys.readouterr().out
    assert "MISSING make        not on the PATH\n                    -> apt-get install make\n" in report
    assert report.endswith("cannot run here before this is mended: make.\n")


def test_doctor_tells_by_what_networks_can_be_impaired(commands: Commands) -> None:
    healthy(commands)
    assert checks.impairment() == Fact("impairment", State.OK, "kernel works; userspace works", needed=False)
    neither = "echo 'kernel does not work: a; userspace does not work: b'; echo 'netem: do this' >&2; exit 1"
    commands.docker({"image inspect": "echo sha256:1", "run": neither})
    found = checks.impairment()
    assert (found.state, found.remedy) == (State.MISSING, "do this")
    assert found.found == "kernel does not work: a; userspace does not work: b"
    commands.docker({"image inspect": "echo sha256:1", "run": "echo 'no such runtime' >&2; exit 125"})
    assert checks.impairment() == Fact("impairment", State.UNKNOWN, "no such runtime", needed=False)
    commands.docker()
    assert checks.impairment().state is State.UNKNOWN


def test_doctor_without_c_compiler_is_content(commands: Commands, tmp_path: Path) -> None:
    healthy(commands)
    (commands.folder / "cc").unlink()
    assert doctor.report(debian(tmp_path)) == 0


@pytest.mark.parametrize(("root", "code"), [(True, 0), (False, 1)], ids=["root", "not root"])
def test_doctor_without_engine(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str], root: bool, code: int
) -> None:
    healthy(commands)
    commands.docker({"version": NO_ENGINE})
    assert doctor.report(debian(tmp_path, root=root)) == code
    report = capsys.readouterr().out
    assert ("to do   engine" in report) is root
    assert ("MISSING engine" in report) is not root
    # What only the engine knows is neither there nor missing.
    assert "unknown base-image  to be asked when the engine answers" in report
    assert commands.changes == []


def test_doctor_with_an_engine_in_doubt_is_not_content(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    healthy(commands)
    commands.docker({"version": "exit 2"})
    assert doctor.report(debian(tmp_path)) == 1
    assert "unknown engine" in capsys.readouterr().out


def test_doctor_goes_on_after_a_file_it_may_not_read(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    healthy(commands)
    machine = debian(tmp_path)
    (machine.repository / ".env").mkdir()
    assert doctor.report(machine) == 1
    report = capsys.readouterr().out
    assert "\nunknown base-image  [Errno" in report
    assert "\nok      C compiler" in report


def ok(name: str) -> Fact:
    return Fact(name, State.OK, "there")


@pytest.mark.parametrize(
    ("fact", "mark", "code"),
    [
        pytest.param(Fact("x", State.OK, ""), "ok", 0, id="there"),
        pytest.param(Fact("x", State.MISSING, ""), "MISSING", 1, id="missing"),
        pytest.param(Fact("x", State.MISSING, "", automatic=True), "to do", 0, id="set-up provides it"),
        pytest.param(Fact("x", State.MISSING, "", needed=False), "absent", 0, id="can be done without"),
        pytest.param(Fact("x", State.UNKNOWN, ""), "unknown", 1, id="unknown"),
        pytest.param(Fact("x", State.UNKNOWN, "", needed=False), "unknown", 0, id="unknown, done without"),
    ],
)
def test_verdict(fact: Fact, mark: str, code: int) -> None:
    assert doctor.mark(fact) == mark
    assert doctor.verdict([ok("a"), fact, ok("b")])[0] == code


def test_table_shows_a_remedy_only_where_there_is_something_to_mend() -> None:
    facts = [Fact("a", State.OK, "there", "nothing"), Fact("long name", State.MISSING, "gone", "get it")]
    assert doctor.table(facts) == "\n".join(
        ("ok      a          there", "MISSING long name  gone", "                   -> get it")
    )


def test_problem_has_fact_and_remedy() -> None:
    assert str(Fact("engine", State.MISSING, "gone", "get it").problem()) == "engine: gone\n  -> get it"
    assert str(Fact("engine", State.UNKNOWN, "odd").problem()) == "engine: odd"
    assert isinstance(ok("x").problem(), SetupError)


def test_system_of_wsl1_cannot_run_containers() -> None:
    fact = checks.system(Machine("Linux", kernel="4.4.0-19041-Microsoft", title="Ubuntu"))
    assert (fact.state, fact.needed) == (State.MISSING, True)
    assert "wsl --set-version" in fact.remedy


def test_system_names_wsl2_and_container() -> None:
    fact = checks.system(
        Machine("Linux", kernel="5.15-microsoft-standard-WSL2", title="Ubuntu", container=True)
    )
    assert fact.state is State.OK
    assert fact.found.startswith("Ubuntu in WSL2 in what looks like a container, ")


def test_tool_that_does_not_run_is_unknown(commands: Commands, tmp_path: Path) -> None:
    commands.add("git", {"--version": "echo 'xcrun: error: no developer tools' >&2; exit 1"})
    fact = checks.tool(elsewhere(tmp_path, "Darwin"), "git")
    assert (fact.state, fact.remedy) == (State.UNKNOWN, "xcode-select --install")
    assert "no developer tools" in fact.found


@pytest.mark.parametrize(
    ("encoding", "state"), [("UTF-8", State.OK), ("utf8", State.OK), ("ANSI_X3.4-1968", State.MISSING)]
)
def test_terminal(monkeypatch: pytest.MonkeyPatch, encoding: str, state: State) -> None:
    monkeypatch.setattr(locale, "getpreferredencoding", lambda **_: encoding)
    assert (checks.terminal().state, checks.terminal().needed) == (state, False)


def test_rights_of_the_socket(commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = tmp_path / "docker.sock"
    socket.touch()
    commands.docker({"context inspect": f"echo unix://{socket}"})
    assert [fact.state for fact in checks.rights()] == [State.OK]
    monkeypatch.setattr(os, "access", lambda path, _: path != str(socket))  # root may do everything
    (fact,) = checks.rights()
    assert fact.state is State.MISSING
    assert "usermod -aG docker" in fact.remedy


@pytest.mark.parametrize("endpoint", ["tcp://192.0.2.1:2375", "unix:///nowhere/docker.sock", ""])
def test_rights_elsewhere_are_no_question(commands: Commands, endpoint: str) -> None:
    commands.docker({"context inspect": f"echo {endpoint}"})
    assert list(checks.rights()) == []


def states(commands: Commands, machine: Machine) -> dict[str, State]:
    """Return what is known about the engine's resources."""
    assert commands.changes == []
    return {fact.name: fact.state for fact in checks.resources(machine)}


def test_resources(commands: Commands, tmp_path: Path) -> None:
    healthy(commands)
    assert states(commands, debian(tmp_path)) == {
        "memory": State.OK,
        "disk": State.OK,
        "cgroups": State.OK,
        "forwarding": State.OK,
    }


def test_too_little_memory(commands: Commands, tmp_path: Path) -> None:
    healthy(commands, MemTotal=2**29)
    assert states(commands, debian(tmp_path))["memory"] is State.MISSING


def test_no_forwarding(commands: Commands, tmp_path: Path) -> None:
    healthy(commands, IPv4Forwarding=False)
    assert states(commands, debian(tmp_path))["forwarding"] is State.MISSING


def test_disk_of_a_virtual_machine_is_unknown(commands: Commands, tmp_path: Path) -> None:
    healthy(commands, DockerRootDir="/nowhere/docker")
    assert states(commands, debian(tmp_path))["disk"] is State.UNKNOWN


def test_disk_of_another_host_is_unknown(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy(commands)
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    assert states(commands, debian(tmp_path))["disk"] is State.UNKNOWN


def test_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    fact = checks.disk(Path("/"))
    assert (fact.state, fact.found) == (State.MISSING, "1.0 GiB free in /")


@pytest.mark.parametrize("info", ["echo surprise", "echo '{}'", "exit 1"])
def test_resources_of_an_engine_that_does_not_tell(commands: Commands, tmp_path: Path, info: str) -> None:
    commands.docker({"info": info})
    assert states(commands, debian(tmp_path)) == {"resources": State.UNKNOWN}


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ("echo {}", State.OK),
        ("echo 'no such host' >&2; exit 1", State.MISSING),
        (HANGS, State.UNKNOWN),
    ],
    ids=["answers", "none", "hangs"],
)
def test_registry(commands: Commands, monkeypatch: pytest.MonkeyPatch, script: str, state: State) -> None:
    monkeypatch.setattr(checks, "REGISTRY_PATIENCE_S", 60 if state is not State.UNKNOWN else 0.05)
    commands.docker({"manifest inspect": script})
    assert (checks.registry().state, checks.registry().needed) == (state, False)
