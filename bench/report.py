"""From rows to a table that is read and a document that is kept."""

import statistics
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from bench.experiments import Experiment
from bench.stats import Row, Rows, Verdict, ratios
from campaigns.outcome import Data, Outcome, Result
from campaigns.runner import Run

OURS = "ours"
FORMAT = 1  # of the document; a change that its readers would notice makes it 2


def table(experiment: Experiment[Any, Any], rows: Rows) -> str:
    """Return an experiment's table, its notes, and its targets with their verdicts."""
    headings = [experiment.subject, *(column.heading for column in experiment.columns)]
    if experiment.reference:
        headings += [experiment.share, "least", "most"]
    cells: list[list[str]] = []
    remarks: list[str] = []
    for key in experiment.servers:
        row = rows[key]
        if row.fault:
            remarks.append(f"{row.name}: FAULT: {row.fault}")
        elif row.not_measured:
            remarks.append(f"{row.name}: not measured: {row.not_measured}")
        if remark := experiment.remark(row.medians):
            remarks.append(f"{row.name}: {remark}")
        if row.samples:
            cells.append([row.name, *_values(experiment, row), *_shares(experiment, rows, key)])
    lines = [experiment.title, *_aligned([headings, *cells]), *(f"  {remark}" for remark in remarks)]
    lines += [f"  {note}" for note in experiment.notes]
    for text, verdict, evidence in judgements(experiment, rows):
        lines.append(f"  target: {text}: {verdict.value}" + (f" ({evidence})" if evidence else ""))
    return "\n".join(lines)


def judgements(experiment: Experiment[Any, Any], rows: Rows) -> Iterator[tuple[str, Verdict, str]]:
    """Yield each target of an experiment with its verdict and the numbers that it rests on."""
    for target in experiment.targets:
        judgement = target.judge(rows, OURS)
        yield target.text, judgement.verdict, judgement.evidence


def _values(experiment: Experiment[Any, Any], row: Row) -> list[str]:
    """Return the medians of a row; a value that no round has is a dash, not a zero."""
    medians = row.medians
    return [
        column.form.format(medians[column.metric]) if column.metric in medians else "-"
        for column in experiment.columns
    ]


def _shares(experiment: Experiment[Any, Any], rows: Rows, key: str) -> list[str]:
    """Return a row's ratio to the reference within the rounds: median, least and most."""
    if not experiment.reference:
        return []
    values = ratios(rows[key], rows[experiment.reference], "rate")
    if not values:
        return ["-"] * 3
    return [f"{value:.2f}" for value in (statistics.median(values), min(values), max(values))]


def _aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    """Return lines with the first column to the left and the others to the right."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return [
        "  "
        + row[0].ljust(widths[0])
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in cells
    ]


def result(experiment: Experiment[Any, Any], rows: Rows) -> Result:
    """Return what came of an experiment: a fault of any server counts most, then what was not measured."""
    faults = [f"{row.name}: {row.fault}" for row in rows.values() if row.fault]
    needed = [rows[key] for key in (OURS, experiment.reference) if key]
    missing = [f"{row.name}: {row.not_measured}" for row in needed if row.not_measured]
    outcome = Outcome.BROKEN if faults else Outcome.UNMEASURED if missing else Outcome.HELD
    text, data = f"\n{table(experiment, rows)}", _experiment(experiment, rows)
    return Result(experiment.key, outcome, text, data, "; ".join(faults or missing))


def document(run: Run) -> Data:
    """Return all samples, medians, ratios and verdicts, ready for JSON."""
    return {
        "format": FORMAT,
        "version": version("socketlab"),
        **run.facts,
        "experiments": {result.name: result.data for result in run.results},
    }


def _experiment(experiment: Experiment[Any, Any], rows: Rows) -> Data:
    """Return one experiment, ready for JSON."""
    return {
        "title": experiment.title,
        "reference": experiment.reference or None,
        "servers": {key: _server(experiment, rows, key) for key in experiment.servers},
        "targets": [
            {"target": text, "verdict": verdict.value, "evidence": evidence}
            for text, verdict, evidence in judgements(experiment, rows)
        ],
    }


def _server(experiment: Experiment[Any, Any], rows: Rows, key: str) -> dict[str, object]:
    """Return one row, ready for JSON."""
    row = rows[key]
    shares = ratios(row, rows[experiment.reference], "rate") if experiment.reference else []
    return {
        "name": row.name,
        "samples": [{"round": number, **sample} for number, sample in sorted(row.samples.items())],
        "medians": row.medians,
        "ratios": shares,
        "ratio": statistics.median(shares) if shares else None,
        "not_measured": row.not_measured or None,
        "fault": row.fault or None,
    }
