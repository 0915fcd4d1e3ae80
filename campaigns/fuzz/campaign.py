"""Fuzzes the parsers, guided by coverage, and says how often and what came of it.

Each target has a process of its own: libFuzzer, by atheris. With --record the corpus in the repository
becomes the smallest that reaches as much. An input that breaks a contract is kept in results/fuzz.
"""

import argparse
import importlib.metadata
import importlib.util
import platform
import tempfile
from dataclasses import asdict
from pathlib import Path

from campaigns.fuzz import libfuzzer, page
from campaigns.fuzz.catalogue import TARGETS
from campaigns.fuzz.corpus import file_of, keep, seed_folder
from campaigns.outcome import Data, Outcome, Result, Unmeasurable
from campaigns.paths import ROOT
from campaigns.runner import Campaign, Run

CRASHES = ROOT / "results" / "fuzz"


def options(parser: argparse.ArgumentParser) -> None:
    """Add what this campaign takes."""
    parser.add_argument(
        "--executions", type=int, metavar="N", help="of each target, in the place of its own number"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="of libFuzzer's mutations (default: 1)"
    )
    parser.add_argument("--seconds", type=int, default=1800, metavar="S", help="at most, for each target")


def carry_out(run: Run) -> None:
    """Fuzz one target after the other."""
    if importlib.util.find_spec("atheris") is None:
        raise Unmeasurable(libfuzzer.WHY_NOT)
    for name in run.only:
        target, given = TARGETS[name], run.options
        with tempfile.TemporaryDirectory() as folder:
            work = seed_folder(target, Path(folder) / "corpus")
            executions = given.executions or target.executions
            fuzzed = libfuzzer.fuzz(target, work, CRASHES, executions, given.seed, given.seconds)
            run.report(result(fuzzed))
            if given.record and not fuzzed.broken:
                libfuzzer.merge(target, work, Path(folder) / "smallest")
                keep(Path(folder) / "smallest", file_of(target))


def result(fuzzed: libfuzzer.Run) -> Result:
    """Return what came of a target."""
    speed = fuzzed.executions / fuzzed.took_s if fuzzed.took_s else 0
    outcome = Outcome.BROKEN if fuzzed.broken else Outcome.HELD
    line = (
        f"{fuzzed.target:<16} {fuzzed.executions:>10,} executions {fuzzed.took_s:7.1f} s {speed:>8,.0f}/s "
        f"{fuzzed.edges:>5} edges {fuzzed.features:>6} features {fuzzed.memory_mb:>5} MB  {outcome}"
    )
    why = f"{fuzzed.broken}; the input: {CRASHES / fuzzed.input}" if fuzzed.broken else ""
    return Result(fuzzed.target, outcome, line, asdict(fuzzed), why)


def document(run: Run) -> Data:
    """Return the figures of all targets."""
    return {
        "version": page.VERSION,
        "made": {
            "at": run.at,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "atheris": importlib.metadata.version("atheris"),
            "seed": run.options.seed,
            "seconds": run.options.seconds,
        },
        "targets": sorted(
            run.with_others("targets", lambda each: each["target"]), key=lambda each: each["target"]
        ),
    }


CAMPAIGN = Campaign(
    "fuzz", "Fuzzes the parsers.", dict.fromkeys(TARGETS, ""), carry_out, document, options, page.PART
)
