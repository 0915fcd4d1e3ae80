"""The command line of the bench, and its exit status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import FAULTY, MEASURED, UNMEASURED, parse, status, version
from bench.experiments import EXPERIMENTS
from bench.stats import Row

ROOT = Path(__file__).resolve().parents[2]
UDP = EXPERIMENTS[0]


def outcome(**changed: Row) -> int:
    rows = {key: Row(key, {0: {"rate": 1.0}}) for key in UDP.servers}
    return status({"udp": (UDP, rows | {key.replace("_", "-"): row for key, row in changed.items()})})


def test_status_is_zero_when_measured_whatever_the_targets() -> None:
    assert outcome() == MEASURED


def test_status_is_zero_without_an_optional_reference() -> None:
    assert outcome(uvloop_udp=Row("uvloop", not_measured="uvloop not installed")) == MEASURED


@pytest.mark.parametrize("key", ["ours", "c_udp", "uvloop_udp"])
def test_status_is_one_for_a_fault_of_any_server(key: str) -> None:
    assert outcome(**{key: Row(key, fault="wrong answer")}) == FAULTY


@pytest.mark.parametrize("key", ["ours", "c_udp"])
def test_status_is_three_without_ours_or_the_reference(key: str) -> None:
    assert outcome(**{key: Row(key, not_measured="no room")}) == UNMEASURED


def test_only_chooses_experiments() -> None:
    assert parse(["--only", "udp,slow"]).only == ("udp", "slow")


@pytest.mark.parametrize("arguments", [["--only", "udp,nonsense"], ["--rounds", "0"], ["--rounds", "x"]])
def test_nonsense_is_refused_with_the_offending_word(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert repr(arguments[1].rpartition(",")[2]) in capsys.readouterr().err


def test_version_is_the_projects() -> None:
    assert f'version = "{version()}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="the bench measures on Linux alone")
def test_without_a_compiler_it_says_so_in_a_line_and_ends_with_three(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--shared-loopback", "--json", str(tmp_path / "x.json")],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path), "CC": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == UNMEASURED
    assert done.stderr.startswith(
        "bench: could not be measured: no C compiler (cc, gcc or clang) is on PATH."
    )
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
