"""The fakes that the tests of set-up share: commands that answer as told, and a machine in a folder.

The PATH of a test holds these commands alone: nothing it does can reach the real engine or the real apt.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from setup.machine import Machine

ENGINE = """echo '{"Client":{},"Server":{"Version":"27.1.0","ApiVersion":"1.46"}}'"""
NO_ENGINE = (
    "echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
    "Is the docker daemon running?' >&2; exit 1"
)
# Longer than any test; by itself it ends all the same, should the test be killed.
HANGS = "exec /bin/sleep 60"
NO_IMAGE = "echo 'Error response from daemon: No such image: x' >&2; exit 1"

# What only asks. Whatever else a test sees has changed something.
QUESTIONS = (
    "apt-cache policy",
    "apt-config dump",
    "docker compose version",
    "docker context",
    "docker image inspect",
    "docker info",
    "docker manifest inspect",
    "docker run --rm",  # leaves nothing
    "docker version",
    "git --version",
    "make --version",
)


class Commands:
    """Fake commands, and the calls they got."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "bin"
        self.folder.mkdir()
        self._log = folder / "calls"
        self._log.touch()
        self._surprises = folder / "surprises"
        self._surprises.touch()
        monkeypatch.setenv("PATH", str(self.folder))
        for variable in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "BASE_IMAGE"):
            monkeypatch.delenv(variable, raising=False)

    def add(self, name: str, answers: dict[str, str] | None = None, *, parked: bool = False) -> Path:
        """Make a command, or change what it answers.

        Args:
            name: what it is called.
            answers: the beginning of the arguments, and the shell commands that answer; by default it
                succeeds in silence, whatever it is asked.
            parked: keep it off the PATH until another command moves it there.

        Returns:
            its file.
        """
        cases = "".join(f'"{words}"*) {answer} ;;\n' for words, answer in (answers or {"": ":"}).items())
        file = self.folder / (f"{name}.parked" if parked else name)
        file.write_text(
            f"""#!/bin/sh
printf '%s\\n' "{name} $*" >> {self._log}
case "$*" in
{cases}*) printf '%s\\n' "{name} $*" >> {self._surprises}; exit 97 ;;
esac
""",
            encoding="utf-8",
        )
        file.chmod(0o755)
        return file

    def docker(self, answers: dict[str, str] | None = None) -> None:
        """Make a docker client: an engine that answers, no images, and what is said otherwise."""
        usual = {
            "version": ENGINE,
            "context show": "echo default",
            "context inspect": "echo unix:///var/run/docker.sock",
            "image inspect": NO_IMAGE,
            "compose version": "echo 2.29.1",
        }
        self.add("docker", (answers or {}) | {key: usual[key] for key in usual if key not in (answers or {})})

    @property
    def calls(self) -> list[str]:
        """What was called, in order."""
        return self._log.read_text(encoding="utf-8").splitlines()

    @property
    def changes(self) -> list[str]:
        """What was called and may have changed something."""
        return [call for call in self.calls if not call.startswith(QUESTIONS)]

    @property
    def surprises(self) -> list[str]:
        """Calls for which no answer was given."""
        return self._surprises.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Commands]:
    """Yield fake commands; a call that the test did not expect fails it."""
    fakes = Commands(tmp_path, monkeypatch)
    yield fakes
    assert fakes.surprises == []


def debian(folder: Path, *, root: bool = True, distribution: tuple[str, ...] = ("debian",)) -> Machine:
    """Return a Debian machine whose files are in a folder, with apt's package lists and one mirror."""
    files = folder / "files"
    for name in ("etc/apt/sources.list.d", "var/lib/apt/lists", "var/log", "run", "usr/share/keyrings"):
        (files / name).mkdir(parents=True)
    (files / "usr/share/keyrings/debian-archive-keyring.gpg").touch()
    (files / "var/lib/apt/lists/mirror_dists_bookworm_main_binary-amd64_Packages").touch()
    (files / "etc/apt/sources.list").write_text(
        "deb http://mirror.invalid/debian bookworm main\n", encoding="utf-8"
    )
    return elsewhere(folder, "Linux", distribution, files=files, codename="bookworm", root=root)


def elsewhere(
    folder: Path,
    system: str,
    distribution: tuple[str, ...] = (),
    *,
    files: Path | None = None,
    codename: str = "",
    root: bool = False,
) -> Machine:
    """Return a machine of another kind."""
    repository = folder / "lab"
    repository.mkdir(parents=True)
    return Machine(
        system=system,
        kernel="6.1.0",
        distribution=distribution,
        codename=codename,
        root=root,
        files=files or folder / "files",
        repository=repository,
    )


def test_fake_answers_and_remembers_its_calls(commands: Commands) -> None:
    commands.add("tool", {"say it": "echo said; exit 3"})
    done = subprocess.run(["tool", "say it", "twice"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "said\n")
    assert commands.calls == commands.changes == ["tool say it twice"]


def test_fake_tells_when_it_is_asked_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes = Commands(tmp_path, monkeypatch)
    fakes.add("tool", {"good": ":"})
    assert subprocess.run(["tool", "bad"], check=False).returncode == 97
    assert fakes.surprises == ["tool bad"]


def test_fake_path_hides_the_real_commands(commands: Commands) -> None:
    assert commands.calls == []
    with pytest.raises(FileNotFoundError):
        subprocess.run(["docker"], check=False)
