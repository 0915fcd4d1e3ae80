"""The runner of all campaigns: what is chosen, written down and recorded, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from campaigns import runner
from campaigns.outcome import Data, Outcome, Result, Unmeasurable
from campaigns.reliability import Part
from campaigns.runner import Campaign, Run
from socketlab.checkout import ROOT
from socketlab.errors import EngineError, Exit

PARTS = {"server killed": "hosts", "sidecar killed": "hosts", "disk full": "machine"}


def result(name: str, outcome: Outcome = Outcome.HELD, why: str = "") -> Result:
    return Result(name, outcome, f"{name}: {outcome}", {"part": name, "outcome": outcome}, why)


def all_hold(run: Run) -> None:
    for name in run.only:
        run.report(result(name))


def document(run: Run) -> Data:
    return {"parts": run.with_others("parts", lambda item: str(item["part"]))}


def campaign(carry_out: Callable[[Run], None] = all_hold) -> Campaign:
    return Campaign("trial", "Tries.", PARTS, carry_out, document)


def read(file: Path) -> list[str]:
    return [item["part"] for item in json.loads(file.read_text(encoding="utf-8"))["parts"]]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param("server", ["server killed"], id="word-of-a-name"),
        pytest.param("hosts", ["server killed", "sidecar killed"], id="group"),
        pytest.param("disk,server", ["server killed", "disk full"], id="in-the-campaign's-order"),
        pytest.param("disk hosts", [*PARTS], id="words"),
        pytest.param("car killed, machine", ["sidecar killed", "disk full"], id="words-of-one-name"),
    ],
)
def test_only_chooses_by_words_of_names_and_groups(words: str, expected: list[str]) -> None:
    assert runner.parse(campaign(), ["--only", words]).only == expected


def test_name_is_not_taken_for_a_word_of_another_name() -> None:
    assert runner.chosen({"request": "", "sidecar-request": ""}, "request") == ["request"]


def test_without_only_all_is_chosen() -> None:
    assert runner.parse(campaign(), []).only == [*PARTS]


@pytest.mark.parametrize("words", ["server,nonsense", "", "server,"])
def test_word_that_is_nowhere_is_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        runner.main(campaign(), ["--only", words])
    assert ended.value.code == Exit.USAGE
    said = capsys.readouterr().err
    assert (
        f"expected some of server killed, sidecar killed, disk full, got {words.rpartition(',')[2]!r}" in said
    )


def test_what_is_known_is_written_after_each_part(tmp_path: Path) -> None:
    file, known = tmp_path / "made" / "trial.json", []

    def carry_out(run: Run) -> None:
        for name in run.only:
            run.report(result(name))
            known.append(read(file))

    assert runner.main(campaign(carry_out), ["--json", str(file)]) == Exit.OK
    assert known == [[*PARTS][:1], [*PARTS][:2], [*PARTS]]


def test_parts_that_are_not_tried_stay_and_those_that_are_none_go(tmp_path: Path) -> None:
    file = tmp_path / "trial.json"
    before = [{"part": name, "outcome": "broken"} for name in ("gone", *PARTS)]
    file.write_text(json.dumps({"parts": before}), encoding="utf-8")
    runner.main(campaign(), ["--only", "server", "--json", str(file)])
    after = json.loads(file.read_text(encoding="utf-8"))["parts"]
    assert {item["part"]: item["outcome"] for item in after} == {
        "server killed": "held", "sidecar killed": "broken", "disk full": "broken",
    }  # fmt: skip


def test_recording_writes_the_document_and_then_draws_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setattr("campaigns.reliability.DOCS", tmp_path)
    drawn: list[list[str]] = []
    part = Part("trial", lambda _data: "")
    monkeypatch.setattr(Part, "write", lambda part: drawn.append(read(part.figures)))
    recorded = replace(campaign(), page=part)
    assert runner.main(recorded, []) == Exit.OK
    assert drawn == []
    assert runner.main(recorded, ["--record"]) == Exit.OK
    assert drawn == [[*PARTS]]


def test_what_did_not_hold_is_said_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    def carry_out(run: Run) -> None:
        run.report(result("server killed", Outcome.BROKEN, "a loss in a measurement that broke"))
        run.report(result("disk full", Outcome.UNMEASURED, "only root may mount"))
        run.report(result("sidecar killed"))

    assert runner.main(campaign(carry_out), []) == Exit.FAILED
    said = capsys.readouterr()
    assert said.out.endswith(" s: 1 held, 1 broken, 1 could not be measured\n")
    assert said.err.splitlines() == [
        "server killed: broken: a loss in a measurement that broke",
        "disk full: could not be measured: only root may mount",
    ]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        pytest.param(Unmeasurable("no netem"), 4, "could not be measured: no netem", id="unmeasured"),
        pytest.param(EngineError("no engine"), 1, "no engine", id="failed"),
        pytest.param(KeyboardInterrupt(), 130, "interrupted; what it had made is removed", id="Ctrl-C"),
    ],
)
def test_campaign_that_cannot_go_on_says_why_in_a_line(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def carry_out(_run: Run) -> None:
        raise error

    assert runner.main(campaign(carry_out), []) == code
    assert capsys.readouterr().err.lstrip("\n") == f"trial: {said}\n"


def test_sigterm_tidies_up_as_ctrl_c_does(capsys: pytest.CaptureFixture[str]) -> None:
    tidied, before = [], signal.getsignal(signal.SIGTERM)

    def carry_out(_run: Run) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)  # timeout(1) sends it twice
            tidied.append("up")

    assert runner.main(campaign(carry_out), []) == Exit.TERMINATED
    assert (tidied, signal.getsignal(signal.SIGTERM)) == (["up"], before)
    assert "interrupted" in capsys.readouterr().err


def python(*arguments: str, folder: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_runner_needs_no_package() -> None:
    done = python("-S", "-c", "import campaigns.runner, sys; print(*sys.modules)")
    assert (done.returncode, done.stderr) == (0, "")
    ours = [name for name in done.stdout.split() if name.startswith("socketlab")]
    assert ours == ["socketlab", "socketlab.errors", "socketlab.show", "socketlab.show.files"]


def test_campaign_that_does_not_exist_is_refused() -> None:
    done = python("-m", "campaigns", "coins")
    assert (done.returncode, done.stderr) == (2, "campaigns: expected one of faults, fuzz, load, got coins\n")


def test_campaign_is_added_as_the_documents_say(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("\n### How to add a campaign\n")[2].partition("\n### ")[0]
    [code] = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    folder, file = tmp_path / "campaigns" / "coins", tmp_path / "coins.json"
    folder.mkdir(parents=True)
    (folder / "campaign.py").write_text(code, encoding="utf-8")
    done = python("-m", "campaigns", "coins", "--json", str(file), folder=tmp_path)
    assert done.returncode == Exit.FAILED, done.stderr
    assert done.stdout.splitlines()[:2] == ["first: held", "second: broken"]
    assert done.stdout.endswith(" s: 1 held, 1 broken, 0 could not be measured\n")
    assert json.loads(file.read_text(encoding="utf-8"))["flips"][1] == {"flip": "second", "came": "tails"}
