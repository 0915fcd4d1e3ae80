"""Attacks the concurrent server, on its host with its limits, and says what became of each attack."""

import argparse
import platform
import re

from netem_impairment import leases

from campaigns.load import attacks, soak
from campaigns.load.attacks import ATTACKS
from campaigns.load.page import PART, SOAK, VERSION
from campaigns.outcome import Data, Result
from campaigns.runner import Campaign, Run, as_json
from socketlab.errors import ScenarioError

LEAF = re.compile(r"\{[^{}\[\]]*\}")
BREAK = re.compile(r"\n *")  # no line of a string: JSON writes that as \\n
ORDER = [*ATTACKS]
ORDER.insert(ORDER.index("half-open"), SOAK)  # which leaves the system in another state


def options(parser: argparse.ArgumentParser) -> None:
    """Add what this campaign takes."""
    parser.add_argument("--seconds", type=float, default=6.0, metavar="S", help="each (default: 6)")
    parser.add_argument("--soak", type=float, default=90.0, metavar="S", help="the soak (default: 90)")


def carry_out(run: Run) -> None:
    """Carry out the attacks that were chosen, all on one server."""
    if run.options.record and run.only != ORDER:
        raise ScenarioError(f"expected all attacks with --record, got {', '.join(run.only)}")
    with attacks.arena(leases.take()) as here, attacks.serving(here) as server:
        run.facts |= here.lab.machine
        for name in run.only:
            if name == SOAK:
                found = soak.told(here, server, run.options.soak)
            else:
                found = attacks.told(ATTACKS[name], here, server, run.options.seconds)
            run.report(result(name, found))


def result(name: str, found: Data) -> Result:
    """Return what came of an attack."""
    lines = [f"{name:<13} {found['outcome']}"]
    for check in found.get("checks", ()):
        mark = {True: "  ", False: "! ", None: "? "}[check["holds"]]
        lines.append(f"  {mark}          {check['statement']}: {check['seen']}")
    open_ = (f"{each['statement']}: {each['seen']}" for each in found.get("checks", ()) if not each["holds"])
    return Result(name, found["outcome"], "\n".join(lines), found, found.get("why") or "; ".join(open_))


def document(run: Run) -> Data:
    """Return all that is known: of one run, for the attacks are compared."""
    found = {result.name: result.data for result in run.results}
    made = {"at": run.at, "python": platform.python_version(), **run.facts, "took_s": round(run.took_s, 1)}
    whole = found.pop(SOAK, None)
    return {"version": VERSION, "made": made, "attacks": [*found.values()], SOAK: whole}


def text(found: Data) -> str:
    """Return the document with a sample, a check or a client's figures on a line."""
    return LEAF.sub(lambda leaf: BREAK.sub(" ", leaf[0]), as_json(found))


CAMPAIGN = Campaign(
    "load",
    "Attacks the concurrent server, and says what became of each attack.",
    dict.fromkeys(ORDER, ""),
    carry_out,
    document,
    options,
    PART,
    text,
)
