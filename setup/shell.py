"""Running other programs."""

import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

# apt-get and mmdebstrap tidy up when they are told to end; a mirror that hangs may hold them up that long.
TIDY_UP_S = 10.0


_starting = threading.Lock()
_running: set["subprocess.Popen[str]"] = set()
_interrupted = threading.Event()


class SetupError(Exception):
    """Something cannot be done on this machine; the message says what to do instead."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        code: its exit code; None when there is none, as the command is missing or took too long.
        out: what it wrote to stdout, stripped.
        err: what it wrote to stderr, stripped; with no exit code, the reason.
        missing: the command is not installed.
    """

    code: int | None
    out: str = ""
    err: str = ""
    missing: bool = False

    @property
    def ok(self) -> bool:
        """Tell whether the command ran and succeeded."""
        return self.code == 0


def run(
    *command: str | Path,
    timeout_s: float | None = None,
    first_word_s: float | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Outcome:
    """Run a command with nothing on its stdin and return how it ended; a failure of it is no exception.

    Args:
        command: the program and its arguments.
        timeout_s: how long it may take.
        first_word_s: how long it may take until it writes anything to stdout, or ends.
        env: its environment, ours by default.
        cwd: its folder, ours by default.
    """
    with _starting:
        if _interrupted.is_set():
            return Outcome(None, err=f"{command[0]}: not started, for we are interrupted")
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=env,
                cwd=cwd,
                process_group=0,  # see end()
            )
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            return Outcome(None, err=f"{command[0]}: {error.strerror}", missing=missing)
        _running.add(process)
    with process:
        try:
            if first_word_s is not None:
                wait_for_first_word(process, first_word_s)
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as late:
            end(process)
            return Outcome(None, err=f"{command[0]} gave no answer within {late.timeout:.0f} s")
        except BaseException:
            end(process)  # Ctrl-C
            raise
        finally:
            with _starting:
                _running.discard(process)
    return Outcome(process.returncode, out.strip(), err.strip())


def wait_for_first_word(process: subprocess.Popen[str], limit_s: float) -> None:
    """Wait until a process writes anything to stdout or closes it, which its end does too."""
    if process.stdout and not select.select([process.stdout], [], [], limit_s)[0]:
        raise subprocess.TimeoutExpired(process.args, limit_s)


def end(process: subprocess.Popen[str]) -> None:
    """End a process with all that it started, and give them time to tidy up.

    Killed at once, mmdebstrap would leave its folder behind with devices mounted in it; told alone, it would
    wait for its children to finish first.
    """
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.communicate(timeout=TIDY_UP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    """Run commands in threads of a pool, until the body and all of them are over.

    On Ctrl-C, which the main thread gets, their commands are told to end; each thread sees its own fail, and
    starts no other.
    """
    try:
        with ThreadPoolExecutor() as pool:
            try:
                yield pool
            except KeyboardInterrupt:
                with _starting:
                    _interrupted.set()
                    for process in _running:
                        with suppress(ProcessLookupError):
                            os.killpg(process.pid, signal.SIGTERM)
                raise
    finally:
        _interrupted.clear()


def last_lines(text: str, count: int = 15) -> str:
    """Return the last lines of an output, indented to stand below a message."""
    return "\n".join(f"    {line}" for line in text.splitlines()[-count:])


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder and remove it, whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="socketlab-setup-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
