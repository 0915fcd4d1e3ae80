"""apt: installing, and fetching a package from another release without touching the system."""

from pathlib import Path

import pytest

from setup import apt, mirrors
from setup.shell import SetupError
from tests.unit.test_setup_fakes import Commands, commands, debian, elsewhere

__all__ = ["commands"]  # the fixture

OPTIONS = "--quiet -oDPkg::Lock::Timeout=120 -oDpkg::Options::=--force-confold"
INSTALL = f"apt-get {OPTIONS} install --yes --no-install-recommends"
UPDATE = f"apt-get {OPTIONS} update"


def test_install_uses_the_lists_that_are_there(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.add("apt-get")
    apt.install(debian(tmp_path), "engine", "docker.io", "iptables")
    assert commands.calls == [f"{INSTALL} docker.io iptables"]
    assert capsys.readouterr().out == "engine: installing docker.io, iptables with apt-get … 0 s\n"


def test_install_asks_nothing(commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEBIAN_FRONTEND", raising=False)
    commands.add("apt-get", {"": '[ "$DEBIAN_FRONTEND" = noninteractive ]'})
    apt.install(debian(tmp_path), "engine", "docker.io")


def test_install_fetches_missing_lists_once(commands: Commands, tmp_path: Path) -> None:
    machine = debian(tmp_path)
    next((machine.files / "var/lib/apt/lists").iterdir()).unlink()
    commands.add("apt-get")
    apt.install(machine, "engine", "docker.io")
    apt.install(machine, "base-image", "mmdebstrap")
    assert commands.calls == [UPDATE, f"{INSTALL} docker.io", f"{INSTALL} mmdebstrap"]


def test_install_with_old_lists_fetches_new_ones(commands: Commands, tmp_path: Path) -> None:
    new = tmp_path / "new"
    commands.add("apt-get", {f"{OPTIONS} update": f": > {new}", f"{OPTIONS} install": f"[ -e {new} ]"})
    apt.install(debian(tmp_path), "engine", "docker.io")
    assert commands.calls == [f"{INSTALL} docker.io", UPDATE, f"{INSTALL} docker.io"]


def test_install_that_fails_shows_the_end_of_its_output(commands: Commands, tmp_path: Path) -> None:
    broken = "echo 'E: Unable to locate package docker.io' >&2; exit 100"
    commands.add("apt-get", {f"{OPTIONS} update": ":", f"{OPTIONS} install": broken})
    with pytest.raises(SetupError, match=r"(?s)apt-get install docker\.io.*E: Unable to locate"):
        apt.install(debian(tmp_path), "engine", "docker.io")


def test_update_that_fails_says_so(commands: Commands, tmp_path: Path) -> None:
    commands.add("apt-get", {f"{OPTIONS} update": "echo 'E: no mirror' >&2; exit 100"})
    with pytest.raises(SetupError, match="E: no mirror"):
        apt.update(debian(tmp_path))


@pytest.mark.parametrize(
    ("policy", "version"),
    [
        pytest.param(
            "docker-cli:\n  Installed: (none)\n  Candidate: 26.1.5+dfsg1-9", "26.1.5+dfsg1-9", id="known"
        ),
        pytest.param("docker-cli:\n  Installed: (none)\n  Candidate: (none)", "", id="no version"),
        pytest.param("", "", id="unknown"),
    ],
)
def test_candidate(commands: Commands, tmp_path: Path, policy: str, version: str) -> None:
    commands.add("apt-cache", {"policy docker-cli": f"echo '{policy}'"})
    assert apt.candidate(debian(tmp_path), "docker-cli") == version


DEB822 = """\
# the archive
Types: deb deb-src
URIs: http://mirror.invalid/debian http://second.invalid/debian
Suites: bookworm
# in between
 bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.invalid/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.invalid/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://vendor.invalid/apt
Suites: bookworm
Components: stable
"""


def test_mirror_lines_from_deb822(tmp_path: Path) -> None:
    machine = debian(tmp_path)
    (machine.files / "etc/apt/sources.list").unlink()
    (machine.files / "etc/apt/sources.list.d/debian.sources").write_text(DEB822, encoding="utf-8")
    assert mirrors.lines_for(machine, "trixie") == [
        "deb http://mirror.invalid/debian trixie main",
        "deb http://mirror.invalid/debian trixie-updates main",
        "deb http://second.invalid/debian trixie main",
        "deb http://second.invalid/debian trixie-updates main",
        "deb http://mirror.invalid/debian-security trixie-security main",
    ]


ONE_LINE = """\
# deb http://old.invalid/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.invalid/debian bookworm main contrib # the archive
deb [ trusted=yes ] http://mirror.invalid/debian bookworm-updates main
deb-src http://source.invalid/debian bookworm main
deb http://third.invalid/debian bookworm contrib # without main
deb http://mirror.invalid/debian bookworm main
deb http://mirror.invalid/debian bookworm-backports main
deb http://vendor.invalid/apt ./
deb [broken
"""


def test_mirror_lines_from_one_line_files(tmp_path: Path) -> None:
    machine = debian(tmp_path)
    (machine.files / "etc/apt/sources.list").write_text(ONE_LINE, encoding="utf-8")
    (machine.files / "etc/apt/sources.list.d/off.list.disabled").write_text(
        "deb http://x.invalid bookworm main"
    )
    assert mirrors.lines_for(machine, "trixie") == [
        "deb http://mirror.invalid/debian trixie main",
        "deb http://mirror.invalid/debian trixie-updates main",
    ]


def test_mirror_lines_of_a_derivative_are_none(tmp_path: Path) -> None:
    # Ubuntu's mirrors do not carry Debian.
    assert mirrors.lines_for(debian(tmp_path, distribution=("ubuntu", "debian")), "trixie") == []


def test_mirror_lines_without_apt(tmp_path: Path) -> None:
    assert mirrors.lines_for(elsewhere(tmp_path, "Darwin"), "trixie") == []


def test_download_leaves_the_system_alone(commands: Commands, tmp_path: Path) -> None:
    machine = debian(tmp_path, root=False)
    work = tmp_path / "work"
    work.mkdir()
    commands.add("apt-get", {"": 'case "$*" in *" download "*) : > docker-compose_2.26.1-4_amd64.deb;; esac'})
    found = apt.download(machine, "docker-compose", ["deb http://mirror.invalid/debian trixie main"], work)
    assert found == work / "docker-compose_2.26.1-4_amd64.deb"
    keyring = machine.files / "usr/share/keyrings/debian-archive-keyring.gpg"
    assert (work / "apt/sources.list").read_text(encoding="utf-8") == (
        f"deb [signed-by={keyring}] http://mirror.invalid/debian trixie main\n"
    )
    for call in commands.calls:
        for place in ("State", "State::Lists", "State::status", "Cache", "Etc::sourcelist"):
            assert f"-oDir::{place}={work}/apt" in call
        assert "-oDir::Etc::sourceparts=-" in call


def test_download_of_nothing_is_an_error(commands: Commands, tmp_path: Path) -> None:
    commands.add("apt-get")
    with pytest.raises(SetupError, match="left 0 package files, expected one"):
        apt.download(debian(tmp_path), "docker-compose", [], tmp_path / "work")


def test_download_that_fails_says_why(commands: Commands, tmp_path: Path) -> None:
    commands.add("apt-get", {"": "echo 'E: NO_PUBKEY' >&2; exit 100"})
    with pytest.raises(SetupError, match="NO_PUBKEY"):
        apt.download(debian(tmp_path), "docker-compose", [], tmp_path / "work")
