"""Telling machines apart, and the remedy for each."""

from pathlib import Path

import pytest

from setup import remedies
from setup.machine import Machine, parse_os_release, this_machine
from tests.unit.test_setup_fakes import debian, elsewhere

FAMILIES = [
    pytest.param("Linux", ("debian",), "debian", id="Debian"),
    pytest.param("Linux", ("ubuntu", "debian"), "debian", id="Ubuntu"),
    pytest.param("Linux", ("linuxmint", "ubuntu", "debian"), "debian", id="Mint"),
    pytest.param("Linux", ("fedora",), "fedora", id="Fedora"),
    pytest.param("Linux", ("rocky", "rhel", "centos", "fedora"), "fedora", id="Rocky"),
    pytest.param("Linux", ("manjaro", "arch"), "arch", id="Manjaro"),
    pytest.param("Linux", ("alpine",), "other", id="Alpine"),
    pytest.param("Linux", ("",), "other", id="no os-release"),
    pytest.param("Darwin", (), "macos", id="macOS"),
    pytest.param("FreeBSD", (), "other", id="FreeBSD"),
]


@pytest.mark.parametrize(("system", "distribution", "family"), FAMILIES)
def test_family(system: str, distribution: tuple[str, ...], family: str) -> None:
    assert Machine(system, distribution=distribution).family == family


@pytest.mark.parametrize(
    ("kernel", "version"),
    [("5.15.146.1-microsoft-standard-WSL2", 2), ("4.4.0-19041-Microsoft", 1), ("6.1.0-28-amd64", 0)],
)
def test_wsl_version(kernel: str, version: int) -> None:
    assert Machine("Linux", kernel=kernel).wsl == version


def test_os_release_quotes_and_comments() -> None:
    text = "# a comment = no\nID=ubuntu\nID_LIKE='debian'\nPRETTY_NAME=\"Ubuntu 24.04\"\n\nnonsense\n"
    assert parse_os_release(text) == {"ID": "ubuntu", "ID_LIKE": "debian", "PRETTY_NAME": "Ubuntu 24.04"}


def test_this_machine_reads_its_files(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text("ID=mint\nID_LIKE='ubuntu debian'\nVERSION_CODENAME=xia\n")
    (tmp_path / ".dockerenv").touch()
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    machine = this_machine(tmp_path)
    assert machine.distribution == ("mint", "ubuntu", "debian")
    assert (machine.codename, machine.container, machine.systemd) == ("xia", True, True)
    assert (machine.repository / "pyproject.toml").is_file()


def test_this_machine_without_os_release(tmp_path: Path) -> None:
    (tmp_path / "run/systemd").mkdir(parents=True)  # there without systemd, too
    machine = this_machine(tmp_path)
    assert (machine.distribution, machine.systemd, machine.container) == (("",), False, False)


def test_only_root_administers_debian(tmp_path: Path) -> None:
    assert debian(tmp_path / "root").administers_debian
    assert not debian(tmp_path / "user", root=False).administers_debian
    assert not elsewhere(tmp_path / "mac", "Darwin", root=True).administers_debian


REMEDIES = [
    pytest.param("Linux", ("debian",), "make", "sudo apt-get install make", id="Debian"),
    pytest.param("Linux", ("fedora",), "git", "sudo dnf install git", id="Fedora"),
    pytest.param("Linux", ("arch",), "C compiler", "sudo pacman -S gcc", id="Arch"),
    pytest.param("Darwin", (), "make", "xcode-select --install", id="macOS tools"),
    pytest.param("Darwin", (), "compose", "brew install docker-compose", id="macOS compose"),
    pytest.param("Linux", ("alpine",), "git", "install git with this system's package manager", id="other"),
]


@pytest.mark.parametrize(("system", "distribution", "thing", "remedy"), REMEDIES)
def test_install_remedy(system: str, distribution: tuple[str, ...], thing: str, remedy: str) -> None:
    assert remedies.install(Machine(system, distribution=distribution), thing) == remedy


def test_root_needs_no_sudo() -> None:
    machine = Machine("Linux", distribution=("fedora",), root=True)
    assert remedies.install(machine, "git") == "dnf install git"
    assert "usermod" not in remedies.engine(machine)


def test_engine_remedy_names_start_and_group(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    machine = Machine("Linux", distribution=("fedora",), files=tmp_path)
    assert remedies.engine(machine).startswith(
        "sudo dnf install moby-engine docker-compose && sudo systemctl enable --now docker && "
        "sudo usermod -aG docker $USER"
    )


def test_engine_remedy_in_wsl_names_docker_desktop(tmp_path: Path) -> None:
    machine = Machine("Linux", kernel="5-microsoft-WSL2", distribution=("ubuntu", "debian"), files=tmp_path)
    assert "sudo service docker start" in remedies.engine(machine)
    assert "WSL integration" in remedies.engine(machine)


@pytest.mark.parametrize("system", ["Darwin", "FreeBSD"])
def test_engine_and_compose_remedies_elsewhere(system: str) -> None:
    machine = Machine(system)
    assert "Docker" in remedies.engine(machine)
    assert "ompose" in remedies.compose(machine)
