"""The command line of the bench, and its exit status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import CAMPAIGN
from bench.experiments import EXPERIMENTS
from bench.report import result
from bench.stats import Row
from campaigns.outcome import Outcome
from campaigns.runner import parse
from socketlab.errors import Exit

ROOT = Path(__file__).resolve().parents[2]
UDP = EXPERIMENTS[0]


def outcome(**changed: Row) -> Outcome:
    rows = {key: Row(key, {0: {"rate": 1.0}}) for key in UDP.servers}
    return result(UDP, rows | {key.replace("_", "-"): row for key, row in changed.items()}).outcome


def test_experiment_is_held_when_measured_whatever_the_targets() -> None:
    assert outcome() is Outcome.HELD


def test_experiment_is_held_without_an_optional_reference() -> None:
    assert outcome(uvloop_udp=Row("uvloop", not_measured="uvloop not installed")) is Outcome.HELD


@pytest.mark.parametrize("key", ["ours", "c_udp", "uvloop_udp"])
def test_fault_of_any_server_breaks_an_experiment(key: str) -> None:
    assert outcome(**{key: Row(key, fault="wrong answer")}) is Outcome.BROKEN


@pytest.mark.parametrize("key", ["ours", "c_udp"])
def test_experiment_without_ours_or_the_reference_could_not_be_measured(key: str) -> None:
    assert outcome(**{key: Row(key, not_measured="no room")}) is Outcome.UNMEASURED


def test_only_chooses_experiments() -> None:
    assert parse(CAMPAIGN, ["--only", "udp,slow"]).only == ["udp", "slow-flood", "slow-drip"]


@pytest.mark.parametrize("arguments", [["--only", "udp,nonsense"], ["--rounds", "0"], ["--rounds", "x"]])
def test_nonsense_is_refused_with_the_offending_word(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(CAMPAIGN, arguments)
    assert ended.value.code == 2
    assert repr(arguments[1].rpartition(",")[2]) in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="the bench measures on Linux alone")
def test_without_a_compiler_it_says_so_in_a_line_and_ends_with_four(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--shared-loopback", "--json", str(tmp_path / "x.json")],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path), "CC": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == Exit.UNMEASURED
    assert done.stderr.startswith(
        "bench: could not be measured: no C compiler (cc, gcc or clang) is on PATH."
    )
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
