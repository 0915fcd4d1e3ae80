"""From rows to a table and a document."""

import json
import tomllib
from argparse import Namespace
from collections.abc import Mapping

import pytest

from bench.__main__ import CAMPAIGN
from bench.experiments import EXPERIMENTS, Column, Experiment
from bench.report import document, result, table
from bench.samples import Bench
from bench.servers import Server
from bench.stats import AheadOf, Row, Sample, ShareOf
from campaigns.runner import Run
from socketlab.checkout import ROOT


def unused(_bench: Bench, _server: Server) -> Sample:
    raise AssertionError("a report measures nothing")


EXPERIMENT: Experiment[Bench, Server] = Experiment(
    key="udp",
    title="UDP, 64-byte datagrams",
    servers=("c", "ours", "uvloop", "broken"),
    columns=(Column("replies/s", "rate"), Column("lost", "lost")),
    targets=(
        ShareOf("at least 0.72 of C", "c", "rate", 0.72),
        AheadOf("ahead of uvloop", ("uvloop",), "rate"),
    ),
    measure=unused,
    reference="c",
    notes=("a note",),
)


def rows() -> Mapping[str, Row]:
    return {
        "c": Row("C, one loop", {0: {"rate": 200_000.0, "lost": 0.0}, 1: {"rate": 100_000.0, "lost": 0.0}}),
        "ours": Row("server.py", {0: {"rate": 150_000.0, "lost": 0.0}, 1: {"rate": 80_000.0}}),
        "uvloop": Row("uvloop", not_measured="uvloop not installed"),
        "broken": Row("broken", {0: {"rate": 5.0}}, fault="wrong answer: expected A, got a"),
    }


def test_table_is_aligned_and_says_what_is_missing_and_what_failed() -> None:
    assert table(EXPERIMENT, rows()).splitlines() == [
        "UDP, 64-byte datagrams",
        "  server       replies/s  lost  of C  least  most",
        "  C, one loop    150,000     0  1.00   1.00  1.00",
        "  server.py      115,000     0  0.78   0.75  0.80",
        "  broken               5     -  0.00   0.00  0.00",
        "  uvloop: not measured: uvloop not installed",
        "  broken: FAULT: wrong answer: expected A, got a",
        "  a note",
        "  target: at least 0.72 of C: met (0.78)",
        "  target: ahead of uvloop: not measured (without uvloop)",
    ]


def test_table_without_any_sample_has_verdicts_all_the_same() -> None:
    nothing = {key: Row(key, not_measured="no time") for key in EXPERIMENT.servers}
    lines = table(EXPERIMENT, nothing).splitlines()
    assert "  target: at least 0.72 of C: not measured" in lines
    assert lines.count("  ours: not measured: no time") == 1


def test_document_keeps_every_sample_and_is_json() -> None:
    kept = document(
        Run(
            CAMPAIGN,
            Namespace(),
            [],
            [result(EXPERIMENT, rows())],
            {"machine": {"cores": 2}, "settings": {"rounds": 2}},
        )
    )
    kept = json.loads(json.dumps(kept))
    assert (kept["format"], kept["version"], kept["machine"], kept["settings"]) == (
        1,
        tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"],
        {"cores": 2},
        {"rounds": 2},
    )
    experiment = kept["experiments"]["udp"]
    assert experiment["servers"]["ours"] == {
        "name": "server.py",
        "samples": [{"round": 0, "rate": 150_000.0, "lost": 0.0}, {"round": 1, "rate": 80_000.0}],
        "medians": {"rate": 115_000.0, "lost": 0.0},
        "ratios": [0.75, 0.8],
        "ratio": 0.775,
        "not_measured": None,
        "fault": None,
    }
    assert experiment["servers"]["uvloop"]["not_measured"] == "uvloop not installed"
    assert experiment["servers"]["uvloop"]["ratio"] is None
    assert experiment["targets"][0] == {"target": "at least 0.72 of C", "verdict": "met", "evidence": "0.78"}


@pytest.mark.parametrize(
    ("unanswered", "lines"),
    [
        pytest.param(0.0, [], id="none"),
        pytest.param(94.0, ["  server.py: blocked: 94 of 99 honest clients got no answer"], id="most"),
    ],
)
def test_table_says_in_words_who_was_blocked(unanswered: float, lines: list[str]) -> None:
    slow = next(experiment for experiment in EXPERIMENTS if experiment.key == "slow-drip")
    measured = {key: Row(key) for key in slow.servers}
    measured["ours"] = Row("server.py", {0: {"beside_unanswered": unanswered}})
    assert [line for line in table(slow, measured).splitlines() if "blocked" in line] == lines


def test_every_experiment_has_ours_its_reference_and_what_its_targets_compare() -> None:
    for experiment in EXPERIMENTS:
        assert "ours" in experiment.servers
        assert experiment.reference in {"", *experiment.servers}
        empty = {key: Row(key) for key in experiment.servers}
        # Fails with a KeyError where a target names a server that the experiment lacks.
        assert table(experiment, empty).startswith(experiment.title)
