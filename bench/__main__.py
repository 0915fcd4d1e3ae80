"""Measures the servers of this lab beside others, in one run and under the same load.

What all campaigns take, and how they end: `campaigns.runner`. An experiment is held when it was measured,
whether or not a target was met, and broken when a server gave wrong answers, did not answer or died.
"""

import argparse
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from bench.build import build
from bench.errors import UnmeasurableError
from bench.experiments import EXPERIMENTS
from bench.machine import describe, plan_cores, raise_file_limit
from bench.measure import rounds_of, run
from bench.network import isolate
from bench.report import OURS, document, result
from bench.samples import QUICK, Bench, Settings
from bench.servers import ROOT, catalogue
from campaigns import runner
from campaigns.runner import Campaign, Progress, positive


def options(parser: argparse.ArgumentParser) -> None:
    """Add what this campaign takes."""
    parser.add_argument("--rounds", type=positive, metavar="N", help="rounds (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that all works")
    parser.add_argument(
        "--shared-loopback",
        action="store_true",
        help="measure on the machine's loopback, with its firewall, not on one of our own",
    )


def measure(campaign: runner.Run) -> None:
    """Measure, and show each table as it is ready."""
    if sys.platform != "linux":
        raise UnmeasurableError("the load generator needs Linux (sendmmsg, ppoll, /proc)")
    given = campaign.options
    settings = QUICK if given.quick else Settings()
    settings = replace(settings, rounds=given.rounds or settings.rounds)
    connections = raise_file_limit(settings.idle_connections)
    if connections < settings.idle_connections:
        print(f"{connections:,} idle connections instead of {settings.idle_connections:,}: see ulimit -Hn")
        settings = replace(settings, idle_connections=connections)
    cores = plan_cores()
    loopback = "on this machine's loopback" if given.shared_loopback else isolate()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        programs = build(Path(directory))
        servers = catalogue(programs)
        if servers[OURS].missing:
            raise UnmeasurableError(servers[OURS].missing)
        bench = Bench(programs["load"], cores, settings)
        machine = {**describe(), "pinned": cores.note, "network": loopback}
        campaign.facts |= {"machine": machine, "settings": asdict(settings)}
        print(
            f"Python {machine['python']}, Linux {machine['kernel']}, {machine['cores']} cores; {cores.note}; "
            f"{loopback}; rounds: {settings.rounds} (medians; ratios within a round)"
        )
        chosen = [one for one in EXPERIMENTS if one.key in campaign.only]
        progress = Progress(sum(rounds_of(one, bench) * len(one.servers) for one in chosen))
        for experiment in chosen:
            rows = run(experiment, servers, bench, progress.show)
            progress.clear()
            campaign.report(result(experiment, rows))


CAMPAIGN = Campaign(
    "bench",
    "Measures the servers of this lab beside others, in one run and under the same load.",
    dict.fromkeys((one.key for one in EXPERIMENTS), ""),
    measure,
    document,
    options,
    default=ROOT / "results" / "bench.json",
)

if __name__ == "__main__":
    sys.exit(runner.main(CAMPAIGN))
