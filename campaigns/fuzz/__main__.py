"""Fuzzes the parsers, guided by coverage, and says how often and what came of it.

    python -m campaigns.fuzz [TARGET ...] [--executions N] [--seed N] [--seconds S] [--json FILE | --record]
                         [--keep]

Each target has a process of its own: libFuzzer, by atheris. With --json the figures are written into FILE,
in the place of what it had of the same targets; with --record they are written into docs/data, and
docs/reliability.md is made anew of them. With --keep the corpus in the repository becomes the smallest
that reaches as much.

Exit codes: 0 every contract held; 1 one did not, its input is in results/fuzz; 2 wrong usage; 3 atheris is
not here.
"""

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path

from campaigns.fuzz import paths

paths.found()

from campaigns.fuzz import figures, libfuzzer  # noqa: E402 - our modules can be found from here on
from campaigns.fuzz.catalogue import TARGETS  # noqa: E402
from campaigns.fuzz.corpus import file_of, keep, seed_folder  # noqa: E402
from campaigns.fuzz.page import PART  # noqa: E402

HELD, BROKEN, USAGE, UNMEASURED = 0, 1, 2, 3
CRASHES = paths.ROOT / "results" / "fuzz"


def parse(words: list[str] | None) -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.fuzz", description="Fuzzes the parsers.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(TARGETS)}; none: all")
    parser.add_argument(
        "--executions", type=int, metavar="N", help="of each target, in the place of its own number"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="of libFuzzer's mutations (default: 1)"
    )
    parser.add_argument("--seconds", type=int, default=1800, metavar="S", help="at most, for each target")
    to = parser.add_mutually_exclusive_group()
    to.add_argument("--json", type=Path, metavar="FILE", help="write the figures into it")
    to.add_argument(
        "--record", action="store_true", help="into docs/data, and docs/reliability.md is made anew of them"
    )
    parser.add_argument(
        "--keep", action="store_true", help="make the corpus in the repository of what was found"
    )
    options = parser.parse_args(words)
    if unknown := [name for name in options.targets if name not in TARGETS]:
        parser.error(f"expected some of {', '.join(TARGETS)}, got {', '.join(unknown)}")
    if options.record:
        options.json = PART.figures
    return options


def main(words: list[str] | None = None) -> int:
    """Fuzz what was asked for."""
    options = parse(words)
    if importlib.util.find_spec("atheris") is None:
        print(f"fuzz: could not be measured: {libfuzzer.WHY_NOT}", file=sys.stderr)
        return UNMEASURED
    runs = []
    for name in options.targets or TARGETS:
        target = TARGETS[name]
        with tempfile.TemporaryDirectory() as folder:
            work = seed_folder(target, Path(folder) / "corpus")
            run = libfuzzer.fuzz(
                target, work, CRASHES, options.executions or target.executions, options.seed, options.seconds
            )
            runs.append(run)
            print(figures.line(run), flush=True)
            if options.json:
                figures.write(options.json, [run], options.seed, options.seconds)
            if options.keep and not run.broken:
                libfuzzer.merge(target, work, Path(folder) / "smallest")
                keep(Path(folder) / "smallest", file_of(target))
    if options.record:
        PART.write()
    print(f"all: {sum(run.executions for run in runs):,} executions, {sum(run.took_s for run in runs):.0f} s")
    for run in runs:
        if run.broken:
            print(f"{run.target}: {run.broken}; the input: {CRASHES / run.input}", file=sys.stderr)
    return BROKEN if any(run.broken for run in runs) else HELD


if __name__ == "__main__":
    sys.exit(main())
