"""The runner's figures: read from libFuzzer's last words, written as data, shown on the page."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

from campaigns import runner
from campaigns.fuzz import campaign, libfuzzer, page
from campaigns.fuzz.catalogue import TARGETS
from campaigns.reliability import PAGE
from socketlab.errors import Exit

NO_ATHERIS = importlib.util.find_spec("atheris") is None
NEEDS_ATHERIS = pytest.mark.skipif(NO_ATHERIS, reason=libfuzzer.WHY_NOT)

HELD = """#2	INITED cov: 7 ft: 7 corp: 1/1b exec/s: 0 rss: 52Mb
#19649	REDUCE cov: 82 ft: 295 corp: 62/1290b lim: 74 exec/s: 1511 rss: 50Mb L: 71/71 MS: 4 CrossOver-
#20000	DONE   cov: 82 ft: 296 corp: 62/3Kb lim: 74 exec/s: 1428 rss: 50Mb
Done 20000 runs in 14 second(s)
stat::number_of_executed_units: 20000
stat::average_exec_per_sec:     1428
stat::peak_rss_mb:              50
"""
BROKEN = """#2	INITED cov: 7 ft: 7 corp: 1/1b exec/s: 0 rss: 52Mb
 === Uncaught Python exception: ===
AssertionError: a refusal of more than a line
Traceback (most recent call last):
AssertionError: a refusal of more than a line
==26733== ERROR: libFuzzer: fuzz target exited
stat::number_of_executed_units: 269
stat::peak_rss_mb:              49

exit code 1
"""


def test_last_words_of_a_run_that_held() -> None:
    run = libfuzzer.read("spec", HELD, 14.04)
    assert run == libfuzzer.Run("spec", 20_000, 14.0, 82, 296, 62, 3072, 50)


@pytest.mark.parametrize(
    ("said", "broken"),
    [
        pytest.param(BROKEN, "AssertionError: a refusal of more than a line", id="raised"),
        pytest.param("==7== ERROR: libFuzzer: timeout after 10 seconds\n", "libFuzzer: timeout", id="late"),
        pytest.param(
            "==7== ERROR: libFuzzer: out-of-memory (used: 1030Mb)\n", "libFuzzer: out-of", id="large"
        ),
        pytest.param("ERROR: it did not end within 90 s\n", "it did not end within 90 s", id="hung"),
        pytest.param("ImportError: no module\n\nexit code 1\n", "ImportError: no module", id="not-begun"),
    ],
)
def test_last_words_of_a_run_that_broke(said: str, broken: str) -> None:
    assert libfuzzer.read("spec", said, 1.0).broken.startswith(broken)


@NEEDS_ATHERIS
def test_figures_replace_those_of_the_same_targets(tmp_path: Path) -> None:
    file = tmp_path / "data" / "fuzz.json"

    def write(runs: list[libfuzzer.Run], *words: str) -> int:
        def carry_out(run: runner.Run) -> None:
            for each in runs:
                run.report(campaign.result(each))

        return runner.main(replace(campaign.CAMPAIGN, carry_out=carry_out), ["--json", str(file), *words])

    held = [libfuzzer.read("spec", HELD, 1.0), libfuzzer.read("proc", HELD, 1.0)]
    assert write(held, "--seed", "1", "--seconds", "60") == Exit.OK
    assert write([libfuzzer.read("spec", BROKEN, 1.0)], "--seed", "2", "--seconds", "30") == Exit.FAILED
    told = json.loads(file.read_text(encoding="utf-8"))
    assert (told["made"]["seed"], told["made"]["seconds"]) == (2, 30)
    assert [(run["target"], run["executions"]) for run in told["targets"]] == [
        ("proc", 20_000),
        ("spec", 269),
    ]


def test_without_atheris_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert runner.main(campaign.CAMPAIGN, ["--only", "spec"]) == Exit.UNMEASURED
    assert "could not be measured: atheris is not installed" in capsys.readouterr().err


def test_unknown_target_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        runner.main(campaign.CAMPAIGN, ["--only", "specs"])
    assert ended.value.code == Exit.USAGE
    assert "expected some of uppercase" in capsys.readouterr().err


@NEEDS_ATHERIS
def test_fuzzer_says_what_broke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libfuzzer, "MEMORY_MB", 1)  # what Python itself needs is too much already
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    run = libfuzzer.fuzz(TARGETS["numbers"], corpus, tmp_path / "crashes", 1_000_000, 1, 20)
    assert "out-of-memory" in run.broken
    assert run.input.startswith("numbers-oom-")
    assert (tmp_path / "crashes" / run.input).is_file()


@NEEDS_ATHERIS
def test_fuzzer_tries_as_many_inputs_as_it_is_told(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    run = libfuzzer.fuzz(TARGETS["numbers"], corpus, tmp_path / "crashes", 2_000, 1, 60)
    assert (run.executions, run.broken) == (2_000, "")
    assert run.edges > 5


def test_page_is_what_the_figures_say() -> None:
    now = PAGE.read_text(encoding="utf-8")
    assert page.PART.page(now) == now, "campaigns/fuzz has changed since: make fuzz RECORD=1"


def test_figures_are_of_all_targets_and_ten_million_inputs() -> None:
    told = json.loads(page.PART.figures.read_text(encoding="utf-8"))
    assert {each["target"] for each in told["targets"]} == TARGETS.keys()
    assert sum(each["executions"] for each in told["targets"]) >= 10_000_000
    assert [each["target"] for each in told["targets"] if each["broken"]] == []
