"""The command line of the experiments, run on a lab of its own, and what its results say."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from socketlab.checkout import ROOT
from socketlab.hosts.docker.compose_project import ComposeProject

USERSPACE = ("--engine", "userspace")

Data = dict[str, Any]


class Command:
    """Runs `socketlab` on a lab of its own."""

    def __init__(self, lab: ComposeProject, folder: Path) -> None:
        self.lab = lab
        self._file = folder / "result.json"

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start it; Ctrl-C ends it, also where these tests run in the background and ignore that."""
        return subprocess.Popen(
            ["env", "--default-signal=INT", sys.executable, "-m", "socketlab",
             arguments[0], *USERSPACE, *arguments[1:],
             "--project", self.lab.name, "--json", str(self._file)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip

    def finish(self, started: "subprocess.Popen[str]", within_s: float = 120) -> tuple[int, str, str]:
        """Wait for its end; return its exit code and what it wrote."""
        try:
            out, err = started.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            started.kill()
            out, err = started.communicate()
            pytest.fail(f"it has not ended within {within_s:g} s:\n{out}\n{err}")
        return started.returncode, out, err

    def __call__(self, *arguments: str, code: int = 0, within_s: float = 120) -> tuple[list[Data], str]:
        """Run it to its end, which is to be with this exit code; return its results and its text."""
        self._file.unlink(missing_ok=True)
        ended, out, err = self.finish(self.start(*arguments), within_s)
        assert ended == code, f"exit code {ended}\n{out}\n{err}"
        return self.results(), out

    def results(self) -> list[Data]:
        """Return the results of the last run."""
        found: list[Data] = json.loads(self._file.read_text(encoding="utf-8"))["results"]
        return found


def numbers(result: Data, fate: str) -> list[int]:
    """Return the numbers of the messages with this fate."""
    return [message["number"] for message in result["story"]["messages"] if message["fate"] == fate]


def share(result: Data, what: str, way: str) -> Data:
    """Return how large a share of the datagrams something has happened to, going or coming back."""
    found: list[Data] = [each for each in result["shares"] if (each["what"], each["way"]) == (what, way)]
    assert len(found) == 1
    return found[0]


def no_room(result: Data, way: str) -> int:
    """Return how many datagrams found the receiving socket's buffer full, going or coming back."""
    [count] = [book["no_room"] for book in result["balances"] if book["way"] == way]
    return int(count)
