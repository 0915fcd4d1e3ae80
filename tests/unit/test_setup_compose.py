"""The Compose plugin: new enough, from the right package, or out of a newer Debian's."""

from pathlib import Path

import pytest

from setup import compose
from setup.facts import State
from setup.shell import SetupError
from tests.unit.test_setup_fakes import Commands, commands, debian, elsewhere

__all__ = ["commands"]  # the fixture

NO_PLUGIN = "echo \"docker: 'compose' is not a docker command.\" >&2; exit 1"
PLUGIN = "usr/local/lib/docker/cli-plugins/docker-compose"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v2.26.1-4", (2, 26)),
        ("2.39.1-desktop.1", (2, 39)),
        ("5.0.0", (5, 0)),
        ("2.20", (2, 20)),
        ("1:2.24.5-0ubuntu1", (2, 24)),
        ("1.29.2-3", (1, 29)),
        ("dev", None),
        ("", None),
        ("2", None),
    ],
)
def test_parse_version(text: str, version: tuple[int, int] | None) -> None:
    assert compose.parse_version(text) == version


@pytest.mark.parametrize(
    ("script", "state"),
    [
        pytest.param("echo 2.20.0", State.OK, id="just new enough"),
        pytest.param("echo 5.0.0", State.OK, id="newer major"),
        pytest.param("echo 2.19.9", State.MISSING, id="too old"),
        pytest.param(NO_PLUGIN, State.MISSING, id="no plugin"),
        pytest.param(
            "echo 'unknown flag: --short' >&2; exit 125", State.MISSING, id="no plugin, newer client"
        ),
        pytest.param(
            "echo 'docker: unknown command: docker compose' >&2; exit 1", State.MISSING, id="newest"
        ),
        pytest.param("echo dev", State.UNKNOWN, id="odd version"),
        pytest.param("echo 'segmentation fault' >&2; exit 139", State.UNKNOWN, id="crash"),
        pytest.param("exit 1", State.UNKNOWN, id="says nothing"),
    ],
)
def test_check(commands: Commands, tmp_path: Path, script: str, state: State) -> None:
    commands.docker({"compose version": script})
    assert compose.check(debian(tmp_path)).state is state


def test_check_without_a_client(commands: Commands, tmp_path: Path) -> None:
    assert commands.calls == []
    assert compose.check(debian(tmp_path)).state is State.MISSING


def test_plugin_that_is_there_is_not_touched(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.docker()
    compose.ensure(debian(tmp_path))
    assert commands.calls == ["docker compose version --short"]
    assert capsys.readouterr().out == ""


def test_plugin_in_doubt_is_not_touched(commands: Commands, tmp_path: Path) -> None:
    commands.docker({"compose version": "echo 'segmentation fault' >&2; exit 139"})
    with pytest.raises(SetupError, match="segmentation fault"):
        compose.ensure(debian(tmp_path))
    assert commands.changes == []


def candidates(commands: Commands, versions: dict[str, str]) -> None:
    """Let apt know versions of the packages."""
    lines = {name: f"echo '  Candidate: {versions.get(name, '(none)')}'" for name in compose.PACKAGES}
    commands.add("apt-cache", {f"policy {name}": line for name, line in lines.items()})


@pytest.mark.parametrize(
    ("versions", "package"),
    [
        pytest.param({"docker-compose": "2.26.1-4"}, "docker-compose", id="Debian 13"),
        pytest.param(
            {"docker-compose": "1.29.2", "docker-compose-v2": "2.24.5"}, "docker-compose-v2", id="Ubuntu"
        ),
        pytest.param(
            {"docker-compose-plugin": "2.39.1", "docker-compose": "1.29"},
            "docker-compose-plugin",
            id="vendor",
        ),
    ],
)
def test_plugin_comes_from_the_package_that_is_new_enough(
    commands: Commands, tmp_path: Path, versions: dict[str, str], package: str
) -> None:
    there = tmp_path / "there"
    commands.docker({"compose version": f"[ -e {there} ] && echo 2.26.1 || {{ {NO_PLUGIN}; }}"})
    commands.add("apt-get", {"": f": > {there}"})
    candidates(commands, versions)
    compose.ensure(debian(tmp_path))
    (install,) = commands.changes
    assert install.endswith(f"install --yes --no-install-recommends {package}")


def donor(commands: Commands, plugin: Path) -> None:
    """Let apt fetch the donor's package, and let the client find the plugin where it is to be put."""
    commands.docker({"compose version": f"[ -x {plugin} ] && echo 2.26.1-4 || {{ {NO_PLUGIN}; }}"})
    commands.add("apt-get", {"": 'case "$*" in *" download "*) : > docker-compose_2.26.1-4_amd64.deb;; esac'})
    unpacked = "$3/usr/libexec/docker/cli-plugins"
    make = f"/bin/mkdir -p {unpacked} && : > {unpacked}/docker-compose"
    commands.add(
        "dpkg-deb",
        {"--extract": f"{make} && /bin/chmod 755 {unpacked}/*"},
    )


def test_plugin_comes_from_a_newer_debian_where_there_is_no_package(
    commands: Commands, tmp_path: Path
) -> None:
    machine = debian(tmp_path)
    donor(commands, machine.files / PLUGIN)
    candidates(commands, {"docker-compose": "1.29.2"})
    compose.ensure(machine)
    assert [path.name for path in (machine.files / PLUGIN).parent.iterdir()] == ["docker-compose"]
    assert not any(" install " in call for call in commands.calls)


def test_plugin_of_a_user_goes_into_the_home(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    plugin = tmp_path / "home/.docker/cli-plugins/docker-compose"
    donor(commands, plugin)
    compose.ensure(debian(tmp_path, root=False))
    assert plugin.exists()


def test_plugin_of_a_user_follows_the_clients_own_setting(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commands.calls == []
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    assert compose.plugin_folder(debian(tmp_path, root=False)) == tmp_path / "config/cli-plugins"


def test_plugin_that_does_not_work_afterwards_is_an_error(commands: Commands, tmp_path: Path) -> None:
    commands.docker({"compose version": NO_PLUGIN})
    commands.add("apt-get")
    candidates(commands, {"docker-compose": "2.26.1"})
    with pytest.raises(SetupError, match="has no Compose plugin"):
        compose.ensure(debian(tmp_path))


def test_failed_download_leaves_no_plugin(commands: Commands, tmp_path: Path) -> None:
    machine = debian(tmp_path, root=False)
    commands.docker({"compose version": NO_PLUGIN})
    commands.add("apt-get", {"": "echo 'E: no mirror' >&2; exit 100"})
    with pytest.raises(SetupError, match="E: no mirror"):
        compose.ensure(machine)


@pytest.mark.parametrize(
    ("system", "distribution", "instruction"),
    [
        pytest.param("Darwin", (), "brew install docker-compose", id="macOS"),
        pytest.param("Linux", ("fedora",), "sudo dnf install docker-compose", id="Fedora"),
        pytest.param(
            "Linux", ("ubuntu", "debian"), "sudo apt-get install docker-compose-v2", id="Ubuntu, not root"
        ),
    ],
)
def test_plugin_elsewhere_is_an_instruction(
    commands: Commands, tmp_path: Path, system: str, distribution: tuple[str, ...], instruction: str
) -> None:
    commands.docker({"compose version": NO_PLUGIN})
    with pytest.raises(SetupError, match=instruction):
        compose.ensure(elsewhere(tmp_path, system, distribution))
    assert commands.changes == []
