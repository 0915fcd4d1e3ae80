"""The bench of the sidecar's engine: its command line, its load, and one short run of all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from netem_impairment import leases

from bench import wakeup
from bench.build import build
from bench.errors import UnmeasurableError
from bench.netem import CAMPAIGN, EXPERIMENTS, _tcset_options
from campaigns.runner import parse
from tests.engine_process import unusable
from tests.namespaces import Host, joined

ROOT = Path(__file__).resolve().parents[4]


def test_only_chooses_experiments() -> None:
    tcp = [one.key for one in EXPERIMENTS if one.key.startswith("tcp")]
    through = [one.key for one in EXPERIMENTS if one.key.startswith("through")]
    assert parse(CAMPAIGN, ["--only", "through,tcp"]).only == [*through, *tcp]
    assert (len(through), len(tcp)) == (2, 3)
    assert len({one.key for one in EXPERIMENTS}) == len(EXPERIMENTS)


@pytest.mark.parametrize("arguments", [["--only", "through,nonsense"], ["--only", ""], ["--rounds", "0"]])
def test_nonsense_is_refused_with_the_offending_word(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(CAMPAIGN, arguments)
    assert ended.value.code == 2
    assert repr(arguments[1].rpartition(",")[2]) in capsys.readouterr().err


def test_a_spec_is_told_to_tcset_without_what_it_does_not_know() -> None:
    assert _tcset_options("delay 10ms limit 20000") == ["--delay", "10ms"]
    assert _tcset_options("loss 1%") == ["--loss", "1%"]


@pytest.mark.parametrize("delay_us", [0, 5000])
def test_a_byte_comes_back_after_the_delay_and_is_then_later(delay_us: int) -> None:
    late = wakeup.measured(None, 0.2, 200, delay_us)
    assert 0 < late["median"] <= late["p95"]  # beyond the delay


def test_a_byte_that_does_not_come_back_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeup, "PATIENCE_S", 0.5)
    with pytest.raises(UnmeasurableError, match="did not pass a byte on"):
        wakeup.measured(None, 0.2, 200, 3_600_000_000)


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="hosts as namespaces need Linux and root"
)
def test_the_load_counts_what_arrives_and_measures_how_long_it_takes(tmp_path: Path) -> None:
    load = build(tmp_path, "path")["path"]
    with joined(leases.take(), Host) as (near, far):

        def run(kind: str, *options: str) -> dict[str, float]:
            command = [str(load), kind, near.path, far.path, far.address, "0.2", *options]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")
            values: dict[str, float] = json.loads(done.stdout)
            return values

        window = run("window", "64", "256")
        assert window["sent"] == window["received"] > 1000
        assert window["doubled"] == 0
        pace = run("pace", "64", "500")
        # In a fifth of a second, without the first tenth of it: fewer where the machine is busy.
        assert 0 < pace["sent"] == pace["received"] <= 100
        assert 0 < pace["least_us"] <= pace["median_us"] <= pace["p95_us"] <= pace["longest_us"]
        assert run("tcp")["bytes"] > 1 << 20
        drop = ["iptables", "-A", "INPUT", "-p", "udp", "-m", "udp", "--dport", "12000", "-j", "DROP"]
        if subprocess.run(far.command(*drop), capture_output=True, check=False).returncode == 0:
            assert run("window", "64", "256")["received"] == 0


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="hosts as namespaces need Linux and root"
)
def test_all_is_measured_in_a_short_run(tmp_path: Path) -> None:
    with joined(leases.take(), Host) as (near, _far):
        if reason := unusable(near):
            pytest.skip(f"the engine cannot work here: {reason}")
    destination = tmp_path / "bench.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.netem", "--quick", "--json", str(destination)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'services/netem'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kept = json.loads(destination.read_text(encoding="utf-8"))
    assert list(kept["experiments"]) == [one.key for one in EXPERIMENTS]
    for experiment in kept["experiments"].values():
        assert experiment["servers"]["ours"]["samples"], experiment
    for key in ("through-64", "through-1400", "delay-64", "delay-1400"):
        assert kept["experiments"][key]["servers"]["ours"]["medians"]["lost"] == 0
    # Those that cannot be measured here are named, once each.
    for name, reason in kept["machine"]["not measured"].items():
        assert done.stdout.count(f"{name}: not measured: {reason}") == 1
