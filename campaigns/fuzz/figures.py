"""The figures of runs, as a line for people and as data."""

import importlib.metadata
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from campaigns.fuzz.libfuzzer import Run

VERSION = 1  # of the document
Data = dict[str, Any]


def line(run: Run) -> str:
    """Return what came of a run, for people."""
    speed = run.executions / run.took_s if run.took_s else 0
    outcome = f"BROKEN: {run.broken}" if run.broken else "held"
    return (
        f"{run.target:<16} {run.executions:>10,} executions {run.took_s:7.1f} s {speed:>8,.0f}/s "
        f"{run.edges:>5} edges {run.features:>6} features {run.memory_mb:>5} MB  {outcome}"
    )


def write(file: Path, runs: Sequence[Run], seed: int, seconds: int) -> None:
    """Write runs into a document, in the place of what it has of the same targets.

    Args:
        file: the document.
        runs: what came of them.
        seed: of libFuzzer's mutations.
        seconds: that a target was given at most.
    """
    before: Data = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    targets = {each["target"]: each for each in before.get("targets", [])}
    targets |= {run.target: asdict(run) for run in runs}
    document = {
        "version": VERSION,
        "made": {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "atheris": importlib.metadata.version("atheris"),
            "seed": seed,
            "seconds": seconds,
        },
        "targets": [targets[name] for name in sorted(targets)],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
