"""A run of the tests that leaves something fails, and says what; what others do is told."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from netem_impairment import leases

from tests import cleanliness, stages
from tests.cleanliness import OTHERS, OURS, Found, Run, Snapshot


@pytest.fixture
def run() -> Iterator[Run]:
    made = Run()
    yield made
    cleanliness.close(made)


def snapshot(**kinds: Found) -> Snapshot:
    return Snapshot({kind: {} for kind in cleanliness.KINDS} | kinds, {})


def test_same_machine_is_no_difference() -> None:
    seen = snapshot(links={"link lo": OTHERS}, files={"file notes": OURS})
    assert cleanliness.told(seen, seen) == ([], [])


def test_what_is_ours_counts_and_what_is_not_is_told() -> None:
    before = snapshot(links={"link veth1": OTHERS})
    after = snapshot(links={"link veth2": OTHERS}, processes={"process 1: sleep": OURS})
    mine, rest = cleanliness.told(before, after)
    assert mine == ["left: process 1: sleep"]
    assert rest == ["links: changed, not recognisably by these tests: + link veth2; - link veth1"]


def test_what_cannot_be_looked_at_is_told() -> None:
    before = Snapshot({kind: {} for kind in cleanliness.KINDS if kind != "links"}, {"links": "no ip"})
    mine, rest = cleanliness.told(before, snapshot(links={"link ours": OURS}))
    assert (mine, rest) == ([], ["links: not looked at: no ip"])


def test_name_is_this_runs_when_it_has_taken_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(leases, "FOLDER", tmp_path / "leases")
    monkeypatch.setenv(leases.RUN, run.mark)
    ours = leases.take()
    monkeypatch.setenv(leases.RUN, "another")
    others = leases.take()
    assert [run.whose(name) for name in (ours, others, "socketlab-test-0badcafe", "")] == [
        OURS, OTHERS, OTHERS, OTHERS,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["x/__pycache__/y.pyc", ".venv/bin/python", "results/load.json", ".env"])
def test_caches_and_results_stay(name: str) -> None:
    assert cleanliness.KEPT.fullmatch(name)


@pytest.mark.parametrize("name", ["left.txt", "tests/results/x", "services/build/x", ".envrc"])
def test_other_files_do_not(name: str) -> None:
    assert not cleanliness.KEPT.fullmatch(name)


def test_stage_that_leaves_a_process_and_a_file_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    leave = (
        "import os, subprocess, sys, tempfile; tempfile.mkstemp(prefix='forgotten-');"
        "left = subprocess.Popen(['sleep', '600'], start_new_session=True);"
        "open(sys.argv[1], 'w').write(str(left.pid))"
    )
    pid = tmp_path / "pid"
    monkeypatch.setattr(stages, "STAGES", {"careless": [[sys.executable, "-c", leave, str(pid)]]})
    monkeypatch.setattr(sys, "argv", ["stages"])
    # Of the machine only what a lab of this test can change: other tests run beside it.
    kinds = {kind: cleanliness.KINDS[kind] for kind in ("files", "processes")}
    monkeypatch.setattr(cleanliness, "KINDS", kinds)
    monkeypatch.setattr(cleanliness, "reap", list)
    try:
        assert stages.main() == 1
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)
    shown = capsys.readouterr().out
    assert "left: temporary file forgotten-" in shown
    assert "sleep 600" in shown
    assert "cleanliness" in shown.splitlines()[-2]
    assert "FAILED" in shown.splitlines()[-2]


def test_process_of_a_run_is_found_by_its_mark(run: Run) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=run.environment
    ) as child:
        assert [name.split(":")[0] for name in cleanliness.processes(run)] == [f"process {child.pid}"]
        child.communicate(b"\n")
    assert cleanliness.processes(run) == {}
