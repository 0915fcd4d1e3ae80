"""Measures the servers of this lab beside others, in one run and under the same load.

Exit status: 0 measured (whether or not a target was met), 1 a server gave wrong answers, did not answer or
died, 3 it could not be measured here.
"""

import argparse
import json
import signal
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

from bench.build import build
from bench.errors import UnmeasurableError
from bench.experiments import EXPERIMENTS, Experiment
from bench.machine import describe, plan_cores, raise_file_limit
from bench.measure import rounds_of, run
from bench.network import isolate
from bench.report import OURS, document, table
from bench.samples import QUICK, Bench, Settings
from bench.servers import ROOT, Server, catalogue
from bench.stats import Row

MEASURED, FAULTY, UNMEASURED, INTERRUPTED = 0, 1, 3, 130
CHOICES = ("udp", "tcp-kept", "tcp-line", "idle", "slow")

Results = Mapping[str, tuple[Experiment[Any, Any], Mapping[str, Row]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench and return its exit status."""
    options = parse(arguments)
    chosen = [one for one in EXPERIMENTS if one.key.startswith(tuple(options.only))]
    settings = QUICK if options.quick else Settings()
    if options.rounds:
        settings = replace(settings, rounds=options.rounds)
    # As with Ctrl-C, so that the servers are ended.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return measure(chosen, settings, options.json, shared=options.shared_loopback)
    except UnmeasurableError as error:
        print(f"bench: could not be measured: {error}.", file=sys.stderr)
        return UNMEASURED
    except KeyboardInterrupt:
        print("\nbench: interrupted; the servers have been ended.", file=sys.stderr)
        return INTERRUPTED


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", type=_names, default=CHOICES, metavar="NAMES", help=f"of {','.join(CHOICES)} (default: all)"
    )
    parser.add_argument("--rounds", type=_positive, metavar="N", help="rounds (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that all works")
    parser.add_argument(
        "--shared-loopback",
        action="store_true",
        help="measure on the machine's loopback, with its firewall, not on one of our own",
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=ROOT / "results" / "bench.json",
        help="where all samples go (default: results/bench.json)",
    )
    return parser.parse_args(arguments)


def measure(
    chosen: Sequence[Experiment[Bench, Server]], settings: Settings, destination: Path, *, shared: bool
) -> int:
    """Measure, show each table as it is ready, and keep everything."""
    if sys.platform != "linux":
        raise UnmeasurableError("the load generator needs Linux (sendmmsg, ppoll, /proc)")
    connections = raise_file_limit(settings.idle_connections)
    if connections < settings.idle_connections:
        print(f"{connections:,} idle connections instead of {settings.idle_connections:,}: see ulimit -Hn")
        settings = replace(settings, idle_connections=connections)
    cores = plan_cores()
    loopback = "on this machine's loopback" if shared else isolate()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        programs = build(Path(directory))
        servers = catalogue(programs)
        if servers[OURS].missing:
            raise UnmeasurableError(servers[OURS].missing)
        bench = Bench(programs["load"], cores, settings)
        machine = {**describe(), "pinned": cores.note, "network": loopback}
        print(
            f"Python {machine['python']}, Linux {machine['kernel']}, {machine['cores']} cores; {cores.note}; "
            f"{loopback}; rounds: {settings.rounds} (medians; ratios within a round)"
        )
        progress = Progress(sum(rounds_of(one, bench) * len(one.servers) for one in chosen))
        results: dict[str, tuple[Experiment[Bench, Server], dict[str, Row]]] = {}
        for experiment in chosen:
            rows = run(experiment, servers, bench, progress.show)
            results[experiment.key] = (experiment, rows)
            progress.clear()
            print(f"\n{table(experiment, rows)}", flush=True)
    destination.parent.mkdir(parents=True, exist_ok=True)
    kept = document(version(), machine, asdict(settings), results)
    destination.write_text(json.dumps(kept, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(f"\nAll samples: {destination}")
    return status(results)


def status(results: Results) -> int:
    """Return the exit status: a fault of any server counts, then what could not be measured at all."""
    if any(row.fault for _, rows in results.values() for row in rows.values()):
        return FAULTY
    for experiment, rows in results.values():
        needed = [OURS, experiment.reference] if experiment.reference else [OURS]
        if any(rows[key].not_measured for key in needed):
            return UNMEASURED
    return MEASURED


def version() -> str:
    """Return the version of the project."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: str = tomllib.load(file)["project"]["version"]
    return found


class Progress:
    """A line on stderr that says what is being measured; on a terminal it is overwritten by the next."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._done = 0
        self._terminal = sys.stderr.isatty()

    def show(self, text: str) -> None:
        """Say what comes next."""
        line = f"[{100 * self._done // self._steps:3d} %] {text}"
        print(
            f"\r\x1b[K{line}" if self._terminal else line,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )
        self._done += 1

    def clear(self) -> None:
        """Make room for a table."""
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _names(text: str) -> tuple[str, ...]:
    """Return the names of a comma-separated list."""
    names = tuple(text.split(","))
    for name in names:
        if name not in CHOICES:
            raise argparse.ArgumentTypeError(f"expected some of {','.join(CHOICES)}, got {name!r}")
    return names


def _positive(text: str) -> int:
    """Return a positive number."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
