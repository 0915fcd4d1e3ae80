"""The engine: asked without being touched, installed and started only where that is allowed."""

import dataclasses
import re
import subprocess
from pathlib import Path

import pytest

from setup import daemon, docker, engine
from setup.docker import Reply
from setup.facts import State
from setup.machine import Machine
from setup.shell import SetupError
from tests.unit.test_setup_fakes import HANGS, NO_ENGINE, Commands, commands, debian, elsewhere

__all__ = ["commands"]  # the fixture

DENIED = (
    "echo 'permission denied while trying to connect to the Docker daemon socket at "
    "unix:///var/run/docker.sock: connect: permission denied' >&2; exit 1"
)

# dockerd is left running on purpose; its fake may still be about to end.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let set-up ask a starting engine again at once."""
    monkeypatch.setattr(daemon, "POLL_S", 0)


def answering_after(file: Path) -> dict[str, str]:
    """Return the answers of a client whose engine is there when a file is."""
    up = """echo '{"Server":{"Version":"20.10.24","ApiVersion":"1.41"}}'"""
    return {"version": f"[ -e {file} ] && {up} || {{ {NO_ENGINE}; }}"}


@pytest.mark.parametrize(
    ("script", "reply"),
    [
        pytest.param(
            """echo '{"Server":{"Version":"27.1","ApiVersion":"1.46"}}'""", Reply.ANSWERS, id="answers"
        ),
        pytest.param(NO_ENGINE, Reply.UNREACHABLE, id="no daemon"),
        pytest.param(
            "echo 'failed to connect to the docker API at unix:///x; check if the path' >&2; exit 1",
            Reply.UNREACHABLE,
            id="no daemon, newer words",
        ),
        pytest.param(
            "echo 'error during connect: no such host' >&2; exit 1", Reply.UNREACHABLE, id="no host"
        ),
        pytest.param(DENIED, Reply.DENIED, id="denied"),
        pytest.param(
            f"echo 'WARNING: Error loading config file: permission denied' >&2; {NO_ENGINE}",
            Reply.UNREACHABLE,
            id="a warning first",
        ),
        pytest.param("echo 'client version 1.52 is too new' >&2; exit 1", Reply.UNKNOWN, id="other trouble"),
        pytest.param("exit 1", Reply.UNKNOWN, id="says nothing"),
        pytest.param("echo surprise", Reply.UNKNOWN, id="no JSON"),
        pytest.param("echo '{}'", Reply.UNKNOWN, id="no server in it"),
        pytest.param("""echo '{"Server":null}'""", Reply.UNKNOWN, id="empty server"),
        pytest.param("echo '[]'", Reply.UNKNOWN, id="a list"),
    ],
)
def test_ask(commands: Commands, script: str, reply: Reply) -> None:
    commands.docker({"version": script})
    answer = docker.ask()
    assert answer.reply is reply
    assert bool(answer.reason) is (reply is not Reply.ANSWERS)


def test_ask_without_a_client(commands: Commands) -> None:
    assert commands.calls == []
    assert docker.ask().reply is Reply.NO_CLIENT


def test_ask_a_client_that_may_not_run(commands: Commands) -> None:
    # "Permission denied" of the file, which joining the docker group would not mend.
    commands.add("docker").chmod(0o644)
    assert docker.ask().reply is Reply.UNKNOWN


def test_ask_an_engine_that_hangs(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "PATIENCE_S", 0.05)
    commands.docker({"version": HANGS})
    assert docker.ask().reply is Reply.UNKNOWN


def test_engine_that_answers_is_not_touched(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.docker()
    engine.ensure(debian(tmp_path))
    assert commands.calls == ["docker version --format {{json .}}"]
    assert capsys.readouterr().out == ""


def test_engine_is_installed_and_started_on_debian_as_root(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine, up = debian(tmp_path), tmp_path / "up"
    commands.docker(answering_after(up))
    parked = commands.add("dockerd", {"": f": > {up}"}, parked=True)
    commands.add("apt-get", {"": f"/bin/mv {parked} {commands.folder}/dockerd"})
    engine.ensure(machine)
    install, start = commands.changes
    assert install.endswith("install --yes --no-install-recommends docker.io iptables")
    assert start.strip() == "dockerd"
    assert capsys.readouterr().out == (
        "engine: installing docker.io, iptables with apt-get … 0 s\n"
        f"engine: starting dockerd in the background, logging to {machine.files}/var/log/dockerd.log … 0 s\n"
    )


def test_engine_that_is_installed_is_only_started(commands: Commands, tmp_path: Path) -> None:
    up = tmp_path / "up"
    commands.docker(answering_after(up))
    commands.add("dockerd", {"": f": > {up}"})
    engine.ensure(debian(tmp_path))
    assert [call.strip() for call in commands.changes] == ["dockerd"]


def test_engine_under_systemd_is_started_by_it(commands: Commands, tmp_path: Path) -> None:
    machine, up = debian(tmp_path), tmp_path / "up"
    (machine.files / "run/systemd/system").mkdir(parents=True)
    commands.docker(answering_after(up))
    commands.add("dockerd")
    commands.add("systemctl", {"start docker": f": > {up}"})
    engine.ensure(machine)
    assert commands.changes == ["systemctl start docker"]


def test_engine_that_systemd_cannot_start(commands: Commands, tmp_path: Path) -> None:
    machine = debian(tmp_path)
    (machine.files / "run/systemd/system").mkdir(parents=True)
    commands.docker({"version": NO_ENGINE})
    commands.add("dockerd")
    commands.add("systemctl", {"start docker": "echo 'Unit docker.service is masked.' >&2; exit 1"})
    with pytest.raises(SetupError, match=r"docker\.service is masked"):
        engine.ensure(machine)


@pytest.mark.parametrize(
    ("policy", "more"), [("26.1.5", ["docker-cli"]), ("(none)", [])], ids=["Debian 13", "12"]
)
def test_client_comes_with_the_engine(
    commands: Commands, tmp_path: Path, policy: str, more: list[str]
) -> None:
    commands.add("apt-cache", {"policy docker-cli": f"echo 'docker-cli:'; echo '  Candidate: {policy}'"})
    assert engine.packages(debian(tmp_path)) == ["docker.io", "iptables", *more]


def test_client_that_is_there_stays_the_only_one(commands: Commands, tmp_path: Path) -> None:
    commands.docker()
    commands.add("apt-cache", {"policy docker-cli": "echo '  Candidate: 26.1.5'"})
    assert engine.packages(debian(tmp_path)) == ["docker.io", "iptables"]


REFUSALS = [
    pytest.param("Linux", ("debian",), "sudo apt-get install docker.io iptables", id="Debian, not root"),
    pytest.param("Linux", ("fedora",), "sudo dnf install moby-engine", id="Fedora"),
    pytest.param("Darwin", (), "Docker Desktop", id="macOS"),
    pytest.param("Linux", ("alpine",), "install Docker Engine", id="other"),
]


@pytest.mark.parametrize(("system", "distribution", "instruction"), REFUSALS)
def test_engine_is_not_installed_elsewhere(
    commands: Commands, tmp_path: Path, system: str, distribution: tuple[str, ...], instruction: str
) -> None:
    commands.docker({"version": NO_ENGINE})
    with pytest.raises(SetupError, match=instruction):
        engine.ensure(elsewhere(tmp_path, system, distribution))
    assert commands.changes == []


def test_engine_that_only_needs_a_start_is_not_called_missing(commands: Commands, tmp_path: Path) -> None:
    commands.docker({"version": NO_ENGINE})
    commands.add("dockerd")
    with pytest.raises(SetupError, match="-> sudo service docker start"):
        engine.ensure(debian(tmp_path, root=False))
    assert commands.changes == []


@pytest.mark.parametrize(
    ("variable", "value"), [("DOCKER_HOST", "tcp://192.0.2.1:2375"), ("DOCKER_CONTEXT", "lab")]
)
def test_engine_chosen_by_the_environment_is_never_replaced(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    commands.docker({"version": NO_ENGINE})
    with pytest.raises(SetupError, match=f"{variable}={value} leads to no engine"):
        engine.ensure(debian(tmp_path))
    assert commands.changes == []


def test_engine_chosen_with_no_client_is_never_replaced(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    with pytest.raises(SetupError, match="install the docker client"):
        engine.ensure(debian(tmp_path))
    assert commands.changes == []


def test_engine_chosen_by_a_context_is_never_replaced(commands: Commands, tmp_path: Path) -> None:
    commands.docker({"version": NO_ENGINE, "context show": "echo rootless"})
    with pytest.raises(SetupError, match="the docker context `rootless` leads to no engine"):
        engine.ensure(debian(tmp_path))
    assert commands.changes == []


@pytest.mark.parametrize(
    ("script", "words"),
    [
        pytest.param(DENIED, "usermod -aG docker", id="denied"),
        pytest.param("echo 'client version 1.52 is too new' >&2; exit 1", "is too new", id="unknown"),
    ],
)
def test_engine_in_doubt_is_not_touched(commands: Commands, tmp_path: Path, script: str, words: str) -> None:
    commands.docker({"version": script})
    with pytest.raises(SetupError, match=words):
        engine.ensure(debian(tmp_path))
    assert commands.changes == []


def test_check_says_version_and_place(commands: Commands, tmp_path: Path) -> None:
    commands.docker()
    fact = engine.check(debian(tmp_path))
    assert fact.state is State.OK
    assert fact.found == "27.1.0, API 1.46, at unix:///var/run/docker.sock"


def test_check_says_who_chose_another_place(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    commands.docker()
    found = engine.check(debian(tmp_path)).found
    assert found.endswith("at tcp://192.0.2.1:2375 by DOCKER_HOST=tcp://192.0.2.1:2375")


def test_check_says_who_mends_it(commands: Commands, tmp_path: Path) -> None:
    commands.docker({"version": NO_ENGINE})
    machine = debian(tmp_path)
    assert (engine.check(machine).automatic, engine.check(machine).state) == (True, State.MISSING)
    assert "installs" in engine.check(machine).remedy
    commands.add("dockerd")
    assert "installs" not in engine.check(machine).remedy
    assert commands.changes == []


def process(machine: Machine, pid: int, name: str, state: str = "S") -> None:
    """Put a process into the machine's /proc."""
    folder = machine.files / f"proc/{pid}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stat").write_text(f"{pid} ({name}) {state} 1 {pid} {pid} 0 -1\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "state", "found"),
    [
        pytest.param("dockerd", "S", "dockerd", id="alive"),
        pytest.param("dockerd", "Z", "", id="zombie"),
        pytest.param("a (b) S", "R", "a (b) S", id="brackets in the name"),
    ],
)
def test_process_name(tmp_path: Path, name: str, state: str, found: str) -> None:
    machine = debian(tmp_path)
    process(machine, 12, name, state)
    assert daemon.process_name(machine, 12) == found


@pytest.mark.parametrize(
    ("content", "name", "state", "stays"),
    [
        pytest.param("12", "dockerd", "S", True, id="alive"),
        pytest.param("12\n", "dockerd", "S", True, id="alive, with a newline"),
        pytest.param("12", "dockerd", "Z", False, id="zombie"),
        pytest.param("12", "bash", "S", False, id="another process has the number"),
        pytest.param("13", "dockerd", "S", False, id="dead"),
        pytest.param("", "dockerd", "S", False, id="empty"),
        pytest.param("-1", "dockerd", "S", False, id="no pid"),
        pytest.param("no number", "dockerd", "S", False, id="no number"),
    ],
)
def test_pid_file(tmp_path: Path, content: str, name: str, state: str, stays: bool) -> None:
    machine = debian(tmp_path)
    process(machine, 12, name, state)
    file = machine.files / "run/docker.pid"
    file.write_text(content, encoding="ascii")
    daemon.remove_if_stale(machine, *daemon.DOCKERD)
    assert file.exists() is stays


def test_start_clears_what_a_killed_daemon_left(commands: Commands, tmp_path: Path) -> None:
    machine, up = debian(tmp_path), tmp_path / "up"
    containerd = machine.files / "run/docker/containerd/containerd.pid"
    containerd.parent.mkdir(parents=True)
    stale = (machine.files / "run/docker.pid", containerd)
    for file in stale:
        file.write_text("12", encoding="ascii")
    commands.docker(answering_after(up))
    # The real one refuses to start while a pid file is there.
    commands.add("dockerd", {"": f"[ -e {stale[0]} ] || [ -e {stale[1]} ] || : > {up}"})
    daemon.start(machine)
    assert not any(file.exists() for file in stale)


def test_start_waits_for_a_daemon_that_runs_already(commands: Commands, tmp_path: Path) -> None:
    machine = debian(tmp_path)
    process(machine, 12, "dockerd")
    (machine.files / "run/docker.pid").write_text("12", encoding="ascii")
    commands.docker()
    daemon.start(machine)  # there is no dockerd to be called
    assert commands.changes == []
    assert (machine.files / "run/docker.pid").exists()


def ended() -> subprocess.Popen[bytes]:
    """Return a process that has ended."""
    process = subprocess.Popen(["/bin/sh", "-c", "exit 1"])
    process.wait()
    return process


@pytest.mark.parametrize(
    ("log", "container", "advice"),
    [
        pytest.param("failed: no iptables here", False, "-> .*update-alternatives", id="iptables"),
        pytest.param("iptables: Permission denied", True, "-> .*--privileged", id="container"),
        pytest.param("overlay: operation not permitted", False, "overlay", id="neither"),
    ],
)
def test_daemon_that_ends_at_once_shows_its_log(
    commands: Commands, tmp_path: Path, log: str, container: bool, advice: str
) -> None:
    machine = dataclasses.replace(debian(tmp_path), container=container)
    commands.docker({"version": NO_ENGINE})
    (machine.files / "var/log/dockerd.log").write_text(log, encoding="utf-8")
    with pytest.raises(SetupError, match=f"(?s)dockerd ended at once.*{log}") as told:
        daemon.wait_until_it_answers(machine, ended())
    assert re.search(advice, str(told.value))
    assert ("->" in str(told.value)) is ("->" in advice)


def test_daemon_that_made_way_for_another_is_waited_for(commands: Commands, tmp_path: Path) -> None:
    # The package's own script may start one just before ours, which then ends; the other one is on its way.
    machine = debian(tmp_path)
    process(machine, 12, "dockerd")
    (machine.files / "run/docker.pid").write_text("12", encoding="ascii")
    asked = tmp_path / "asked"
    up = """echo '{"Server":{"Version":"20.10.24","ApiVersion":"1.41"}}'"""
    commands.docker({"version": f"[ -e {asked} ] && {up} || {{ : > {asked}; {NO_ENGINE}; }}"})
    daemon.wait_until_it_answers(machine, ended())
    assert len(commands.calls) == 2


def test_engine_that_does_not_answer_in_time(commands: Commands, tmp_path: Path) -> None:
    commands.docker({"version": NO_ENGINE})
    with pytest.raises(SetupError, match=r"no answer within 0 s \(Cannot connect.*dockerd\.log"):
        daemon.wait_until_it_answers(debian(tmp_path), None, limit_s=0)


def test_engine_of_systemd_that_does_not_answer_names_its_journal(commands: Commands, tmp_path: Path) -> None:
    machine = debian(tmp_path)
    (machine.files / "run/systemd/system").mkdir(parents=True)
    commands.docker({"version": NO_ENGINE})
    with pytest.raises(SetupError, match="journalctl -u docker"):
        daemon.wait_until_it_answers(machine, None, limit_s=0)


def test_failed_installation_starts_nothing(commands: Commands, tmp_path: Path) -> None:
    commands.docker({"version": NO_ENGINE})
    commands.add("apt-get", {"": "exit 100"})
    with pytest.raises(SetupError, match="apt-get"):
        engine.ensure(debian(tmp_path))
    assert {call.split()[0] for call in commands.changes} == {"apt-get"}
