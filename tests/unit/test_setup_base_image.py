"""The base image: the one that is there, the registry's, or our own, in this order."""

from pathlib import Path

import pytest

from setup import base_image, bootstrap
from setup.base_image import OUR_IMAGE, PACKAGES, PACKAGES_LABEL, REGISTRY_IMAGE
from setup.facts import State
from setup.machine import Machine
from setup.shell import SetupError
from tests.unit.test_setup_fakes import HANGS, NO_ENGINE, NO_IMAGE, Commands, commands, debian, elsewhere

__all__ = ["commands"]  # the fixture

OURS = f"image inspect --format {{{{.Id}}}} {OUR_IMAGE}"
THEIRS = f"image inspect --format {{{{.Id}}}} {REGISTRY_IMAGE}"
LABEL = f'image inspect --format {{{{index .Config.Labels "{PACKAGES_LABEL}"}}}} {OUR_IMAGE}'
OURS_OF_TODAY = {OURS: "echo sha256:1", LABEL.replace('"', '\\"'): f"echo {' '.join(PACKAGES)}"}
LINE = f"BASE_IMAGE={OUR_IMAGE}\n"
NO_REGISTRY = "echo 'lookup registry: no such host' >&2; exit 1"


def dotenv(machine: Machine) -> str:
    """Return what is in `.env`."""
    file = machine.repository / ".env"
    return file.read_text(encoding="utf-8") if file.exists() else ""


def builder(commands: Commands) -> None:
    """Let mmdebstrap make a tar file, which is the argument after the suite."""
    loop = 'while [ "$1" != trixie ]; do shift; done; : > "$2"'
    commands.add("mmdebstrap", {"": loop})
    commands.add("apt-config", {"dump": ":"})


def test_registry_image_that_is_there_is_the_base(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = debian(tmp_path)
    commands.docker({THEIRS: "echo sha256:1"})
    base_image.ensure(machine)
    assert commands.changes == []
    assert (dotenv(machine), capsys.readouterr().out) == ("", "")


def test_registry_image_is_pulled(commands: Commands, tmp_path: Path) -> None:
    machine = elsewhere(tmp_path, "Darwin")
    commands.docker({"pull": "echo trixie-slim: Pulling from library/debian"})
    base_image.ensure(machine)
    assert commands.changes == [f"docker pull {REGISTRY_IMAGE}"]
    assert dotenv(machine) == ""


def test_our_image_that_is_there_needs_only_its_line(commands: Commands, tmp_path: Path) -> None:
    machine = elsewhere(tmp_path, "Linux", ("fedora",))
    (machine.repository / ".env").write_text("A=1\n", encoding="utf-8")
    commands.docker(OURS_OF_TODAY)
    base_image.ensure(machine)
    assert commands.changes == []
    assert dotenv(machine) == f"A=1\n{LINE}"


def test_our_image_of_another_list_of_packages_is_built_anew(commands: Commands, tmp_path: Path) -> None:
    machine = debian(tmp_path)
    (machine.repository / ".env").write_text(LINE, encoding="utf-8")
    builder(commands)
    commands.docker({OURS: "echo sha256:1", LABEL.replace('"', '\\"'): "echo python3", "import": ":"})
    fact = base_image.check(machine)
    assert (fact.state, fact.automatic) == (State.MISSING, True)
    base_image.ensure(machine)
    assert [call.split()[0] for call in commands.changes] == ["mmdebstrap", "docker"]


def test_our_image_of_another_list_of_packages_serves_where_none_can_be_built(
    commands: Commands, tmp_path: Path
) -> None:
    machine = elsewhere(tmp_path, "Linux", ("fedora",))
    (machine.repository / ".env").write_text(LINE, encoding="utf-8")
    commands.docker({OURS: "echo sha256:1"})
    base_image.ensure(machine)
    assert commands.changes == []
    assert "an older one" in base_image.check(machine).found


def test_our_old_image_without_its_line_is_named_and_built_anew(commands: Commands, tmp_path: Path) -> None:
    machine = debian(tmp_path)
    builder(commands)
    commands.docker({OURS: "echo sha256:1", "import": ":"})
    base_image.ensure(machine)
    assert [call.split()[0] for call in commands.changes] == ["mmdebstrap", "docker"]
    assert dotenv(machine) == LINE


def test_our_image_is_built_where_no_registry_answers(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = debian(tmp_path)
    builder(commands)
    commands.docker({"pull": NO_REGISTRY, "import": '[ -e "$5" ]'})
    base_image.ensure(machine)
    pull, build, imported = commands.changes
    assert pull == f"docker pull {REGISTRY_IMAGE}"
    assert f"--variant=minbase --include={','.join(PACKAGES)} " in build
    assert build.endswith("/base.tar deb http://mirror.invalid/debian trixie main")
    assert imported.endswith(f"/base.tar {OUR_IMAGE}")
    assert "--change=LABEL org.socketlab.role=base" in imported
    assert f'--change=LABEL {PACKAGES_LABEL}="{" ".join(PACKAGES)}"' in imported
    assert dotenv(machine) == LINE
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"base-image: asking the registry for {REGISTRY_IMAGE} … failed"
    assert said[1] == "base-image: lookup registry: no such host"
    assert said[-1] == f"base-image: wrote {LINE.strip()} into .env"


def test_build_leaves_no_temporary_folder(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    builder(commands)
    commands.docker({"pull": NO_REGISTRY, "import": "echo 'no space left' >&2; exit 1"})
    machine = debian(tmp_path)
    with pytest.raises(SetupError, match="no space left"):
        base_image.ensure(machine)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert dotenv(machine) == ""


def test_build_that_fails_imports_nothing(commands: Commands, tmp_path: Path) -> None:
    builder(commands)
    commands.add("mmdebstrap", {"": "echo 'E: cannot reach the mirror' >&2; exit 25"})
    commands.docker({"pull": NO_REGISTRY})
    with pytest.raises(SetupError, match="E: cannot reach the mirror"):
        base_image.ensure(debian(tmp_path))
    assert not any("import" in call for call in commands.calls)


def test_builder_is_installed_when_it_is_missing(commands: Commands, tmp_path: Path) -> None:
    commands.add("apt-config", {"dump": ":"})
    parked = commands.add("mmdebstrap", parked=True)
    commands.add("apt-get", {"": f"/bin/mv {parked} {commands.folder}/mmdebstrap"})
    commands.docker({"pull": NO_REGISTRY, "import": ":"})
    base_image.ensure(debian(tmp_path))
    assert commands.changes[1].endswith("--no-install-recommends mmdebstrap debian-archive-keyring")


def test_keyring_is_installed_when_it_is_missing(commands: Commands, tmp_path: Path) -> None:
    # On Ubuntu, whose own keyring does not know Debian.
    machine = debian(tmp_path, distribution=("ubuntu", "debian"))
    (machine.files / "usr/share/keyrings/debian-archive-keyring.gpg").unlink()
    builder(commands)
    commands.add("apt-get")
    commands.docker({"pull": NO_REGISTRY, "import": ":"})
    base_image.ensure(machine)
    _, install, build, _ = commands.changes
    assert install.endswith("debian-archive-keyring")
    assert build.endswith("/base.tar")  # no source lines: mmdebstrap has its own


def test_https_mirror_needs_certificates_in_the_image(commands: Commands, tmp_path: Path) -> None:
    machine = debian(tmp_path)
    (machine.files / "etc/apt/sources.list").write_text("deb https://mirror.invalid/debian bookworm main\n")
    builder(commands)
    commands.docker({"import": ":"})
    base_image.build(machine)
    assert f"--include={','.join(PACKAGES)},ca-certificates" in commands.changes[0]


def test_image_inherits_the_proxy_of_apt_and_nothing_else(commands: Commands) -> None:
    dump = "\\n".join(
        (
            'Acquire::http::Proxy \\"http://proxy.invalid:3128\\";',
            'Acquire::https::Proxy \\"\\";',
            'Acquire::Check-Valid-Until \\"false\\";',
            'Acquire::Languages \\"none\\";',
            'APT::Install-Recommends \\"0\\";',
        )
    )
    commands.add("apt-config", {"dump": f'printf "{dump}\\n"'})
    assert bootstrap.route_of_apt() == [
        'Acquire::http::Proxy "http://proxy.invalid:3128"',
        'Acquire::Check-Valid-Until "false"',
    ]


def test_our_image_that_was_removed_is_built_again_without_asking_a_registry(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = debian(tmp_path)
    (machine.repository / ".env").write_text(LINE, encoding="utf-8")
    builder(commands)
    commands.docker({"import": ":"})
    base_image.ensure(machine)
    assert [call.split()[0] for call in commands.changes] == ["mmdebstrap", "docker"]
    assert dotenv(machine) == LINE
    assert "wrote" not in capsys.readouterr().out


def test_choice_stays_when_a_registry_answers_later(commands: Commands, tmp_path: Path) -> None:
    machine = debian(tmp_path)
    (machine.repository / ".env").write_text(LINE, encoding="utf-8")
    commands.docker(OURS_OF_TODAY | {THEIRS: "echo sha256:2"})
    base_image.ensure(machine)
    assert commands.calls == [f"docker {OURS}", f"docker {LABEL}"]


def test_image_of_the_users_choice_is_pulled_and_never_replaced(commands: Commands, tmp_path: Path) -> None:
    machine = debian(tmp_path)
    (machine.repository / ".env").write_text("BASE_IMAGE=mine:1\n", encoding="utf-8")
    commands.docker({"pull": NO_REGISTRY})
    with pytest.raises(SetupError, match=r"does not have mine:1\n  -> BASE_IMAGE names it"):
        base_image.ensure(machine)
    assert commands.changes == ["docker pull mine:1"]
    assert dotenv(machine) == "BASE_IMAGE=mine:1\n"


def test_environment_chooses_before_the_file(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = debian(tmp_path)
    (machine.repository / ".env").write_text(LINE, encoding="utf-8")
    monkeypatch.setenv("BASE_IMAGE", "mine:1")
    assert (base_image.chosen(machine), commands.calls) == ("mine:1", [])


@pytest.mark.parametrize(
    ("system", "distribution", "instruction"),
    [
        pytest.param("Linux", ("debian",), "sudo python3 -m setup ensure base-image", id="Debian, not root"),
        pytest.param("Linux", ("fedora",), f"docker pull {REGISTRY_IMAGE}", id="Fedora"),
        pytest.param("Darwin", (), f"docker pull {REGISTRY_IMAGE}", id="macOS"),
    ],
)
def test_without_registry_elsewhere_is_an_instruction(
    commands: Commands, tmp_path: Path, system: str, distribution: tuple[str, ...], instruction: str
) -> None:
    machine = elsewhere(tmp_path, system, distribution)
    commands.docker({"pull": NO_REGISTRY})
    with pytest.raises(SetupError, match=instruction):
        base_image.ensure(machine)
    assert commands.changes == [f"docker pull {REGISTRY_IMAGE}"]
    assert dotenv(machine) == ""


def test_registry_that_says_nothing_is_given_up(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_image, "FIRST_WORD_S", 0.05)
    commands.docker({"pull": HANGS})
    with pytest.raises(SetupError, match="docker pull"):
        base_image.ensure(elsewhere(tmp_path, "Darwin"))


def test_engine_that_does_not_answer_is_no_missing_image(commands: Commands, tmp_path: Path) -> None:
    commands.docker({"image inspect": NO_ENGINE})
    machine = debian(tmp_path)
    assert base_image.check(machine).state is State.UNKNOWN
    with pytest.raises(SetupError, match="does not say whether"):
        base_image.ensure(machine)
    assert commands.changes == []


@pytest.mark.parametrize(
    ("root", "registry", "line", "automatic"),
    [
        pytest.param(True, False, "", True, id="is built"),
        pytest.param(False, True, "", True, id="is pulled"),
        pytest.param(False, False, "", False, id="neither"),
        pytest.param(False, True, LINE, False, id="ours is gone and cannot be built"),
        pytest.param(True, True, LINE, True, id="ours is gone and is built"),
        pytest.param(True, False, "BASE_IMAGE=mine:1\n", False, id="the user's"),
    ],
)
def test_check_says_who_provides_it(
    commands: Commands, tmp_path: Path, root: bool, registry: bool, line: str, automatic: bool
) -> None:
    machine = debian(tmp_path, root=root)
    (machine.repository / ".env").write_text(line, encoding="utf-8")
    commands.docker()
    fact = base_image.check(machine, registry=registry)
    assert (fact.state, fact.automatic) == (State.MISSING, automatic)
    assert fact.remedy


def test_remove_takes_our_image_and_our_line(commands: Commands, tmp_path: Path) -> None:
    machine = debian(tmp_path)
    (machine.repository / ".env").write_text(f"A=1\n{LINE}", encoding="utf-8")
    commands.docker({OURS: "echo sha256:1", "image rm": ":", "image prune": ":"})
    base_image.remove(machine)
    assert commands.changes == [
        f"docker image rm {OUR_IMAGE}",
        "docker image prune --force --filter label=org.socketlab.role=base",
    ]
    assert dotenv(machine) == "A=1\n"


def test_remove_of_nothing_does_nothing(commands: Commands, tmp_path: Path) -> None:
    commands.docker({OURS: NO_IMAGE})
    base_image.remove(debian(tmp_path))
    assert commands.changes == []


def test_remove_of_an_image_in_use_keeps_the_line(commands: Commands, tmp_path: Path) -> None:
    machine = debian(tmp_path)
    (machine.repository / ".env").write_text(LINE, encoding="utf-8")
    commands.docker({OURS: "echo sha256:1", "image rm": "echo 'image is being used' >&2; exit 1"})
    with pytest.raises(SetupError, match="image is being used"):
        base_image.remove(machine)
    assert dotenv(machine) == LINE


def test_remove_without_an_engine_removes_nothing(commands: Commands, tmp_path: Path) -> None:
    machine = debian(tmp_path)
    (machine.repository / ".env").write_text(LINE, encoding="utf-8")
    commands.docker({"image inspect": NO_ENGINE})
    with pytest.raises(SetupError, match="does not say whether"):
        base_image.remove(machine)
    assert (commands.changes, dotenv(machine)) == ([], LINE)
