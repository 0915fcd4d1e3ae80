"""Running commands: every way they can end."""

import errno
import io
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from setup.progress import WIPE, step
from setup.shell import Outcome, SetupError, end, last_lines, run, temporary_folder, threads
from tests.unit.test_setup_fakes import HANGS, Commands, commands

__all__ = ["commands"]  # the fixture


def test_run_returns_what_the_command_said(commands: Commands) -> None:
    commands.add("tool", {"": "echo out; echo err >&2; exit 4"})
    outcome = run("tool")
    assert (outcome.code, outcome.out, outcome.err, outcome.ok) == (4, "out", "err", False)


def test_run_of_a_missing_command_is_no_exit_code(commands: Commands) -> None:
    assert commands.calls == []
    outcome = run("nowhere")
    assert (outcome.code, outcome.missing) == (None, True)
    assert outcome.err == f"nowhere: {os.strerror(errno.ENOENT)}"


def test_run_of_a_file_that_may_not_run_is_not_a_missing_command(commands: Commands) -> None:
    commands.add("tool").chmod(0o644)
    outcome = run("tool")
    assert (outcome.code, outcome.missing) == (None, False)


def test_run_ends_a_command_that_takes_too_long(commands: Commands) -> None:
    commands.add("tool", {"": f"echo begun; {HANGS}"})
    outcome = run("tool", timeout_s=0.05)
    assert (outcome.code, outcome.missing) == (None, False)
    assert "no answer within" in outcome.err


def test_run_ends_a_command_that_never_says_a_word(commands: Commands) -> None:
    commands.add("tool", {"": HANGS})
    assert run("tool", first_word_s=0.05, timeout_s=60).code is None


@pytest.mark.parametrize("script", ["echo word; exit 0", "exit 0"], ids=["speaks", "ends in silence"])
def test_run_goes_on_after_the_first_word_or_the_end(commands: Commands, script: str) -> None:
    commands.add("tool", {"": script})
    assert run("tool", first_word_s=60).ok


def test_end_tells_the_children_too_and_waits_for_them(commands: Commands, tmp_path: Path) -> None:
    # A child that writes its farewell when it is told to end, while its parent waits for it.
    farewell = tmp_path / "farewell"
    child = tmp_path / "child.py"
    child.write_text(
        "import pathlib, signal\n"
        "def tidy_up(*_):\n"
        f"    pathlib.Path({str(farewell)!r}).write_text('child\\n')\n"
        "    raise SystemExit\n"
        "signal.signal(signal.SIGTERM, tidy_up)\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n",
        encoding="utf-8",
    )
    commands.add("tool", {"": f"trap : TERM; {sys.executable} {child} & wait; wait"})
    process = subprocess.Popen(["tool"], stdout=subprocess.PIPE, text=True, process_group=0)
    with process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        end(process)
    assert farewell.read_text(encoding="utf-8") == "child\n"


def test_end_of_a_process_that_has_ended_is_no_error() -> None:
    with subprocess.Popen(["/bin/sh", "-c", ":"], text=True, process_group=0) as process:
        process.wait()
        end(process)


def test_step_says_how_long_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    with step("engine", "starting"):
        pass
    assert capsys.readouterr().out == "engine: starting … 0 s\n"


def test_step_says_that_it_failed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SetupError), step("engine", "starting"):
        raise SetupError
    assert capsys.readouterr().out == "engine: starting … failed\n"


class Terminal(io.StringIO):
    """A terminal that notes what is shown, and says when that has a text."""

    def __init__(self, wanted: str) -> None:
        super().__init__()
        self._wanted, self.shown = wanted, threading.Event()

    def isatty(self) -> bool:
        """Return that it is one."""
        return True

    def write(self, text: str) -> int:
        """Show a text."""
        written = super().write(text)
        if self._wanted in self.getvalue():
            self.shown.set()
        return written


def test_terminal_shows_what_is_under_way_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    terminal = Terminal(" s; venv: making … ")
    monkeypatch.setattr(sys, "stdout", terminal)
    with step("engine", "starting"), step("venv", "making"):
        assert terminal.shown.wait(20), terminal.getvalue()
    # Nothing of it stays in the lines of what is over.
    last = rf"{re.escape(WIPE)}venv: making … \d+ s\n{re.escape(WIPE)}engine: starting … \d+ s\n$"
    assert re.search(last, terminal.getvalue())


def test_commands_of_other_threads_end_when_we_are_interrupted(commands: Commands, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    commands.add("tool", {"": f": > {begun}; {HANGS}"})

    def twice() -> tuple[Outcome, Outcome]:
        return run("tool"), run("tool")

    outcomes = []

    def interrupted() -> None:
        with threads() as pool:
            outcomes.append(pool.submit(twice))
            begun.read_bytes()  # it has come so far
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    first, second = outcomes[0].result()
    assert first.code == -signal.SIGTERM
    assert second == Outcome(None, err="tool: not started, for we are interrupted")
    commands.add("tool", {"": ":"})
    assert run("tool").ok  # the next set-up in this process is another one


def test_temporary_folder_goes_away_when_the_work_is_interrupted() -> None:
    seen = []

    def work() -> None:
        with temporary_folder() as folder:
            (folder / "file").touch()
            seen.append(folder)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert not seen[0].exists()


def test_last_lines_are_indented() -> None:
    assert last_lines("1\n2\n3", count=2) == "    2\n    3"


@pytest.fixture
def typed() -> Iterator[None]:
    """Let a line wait on our own stdin."""
    reader, writer = os.pipe()
    os.write(writer, b"a line\n")
    ours = os.dup(0)
    os.dup2(reader, 0)
    yield
    os.dup2(ours, 0)
    for descriptor in (reader, writer, ours):
        os.close(descriptor)


@pytest.mark.usefixtures("typed")
def test_run_gives_the_command_no_stdin(commands: Commands) -> None:
    commands.add("tool", {"": "read line || echo empty"})
    assert run("tool").out == "empty"
