"""Attacks the concurrent server, on its host with its limits, and says what became of each attack.

    python -m campaigns.load [--only flood,storm] [--seconds S] [--soak S] [--json FILE | --record]

Exit status: 0 all held; 1 one was broken; 3 one could not be measured here, and none was broken.
"""

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from netem_impairment import leases

from campaigns.load import attacks, soak
from campaigns.load.attacks import ATTACKS, Figures, Outcome
from campaigns.load.document import MARKS, SOAK, VERSION, text
from campaigns.load.page import PART
from socketlab.cli import INTERRUPTED
from socketlab.cli.shared_options import terminated_like_interrupted
from socketlab.errors import LabError
from socketlab.show import files

UNMEASURED = 3  # exit status
ORDER = [*ATTACKS]
ORDER.insert(ORDER.index("half-open"), SOAK)  # which leaves the system in another state


def names(text: str) -> list[str]:
    """Return the names of attacks, of a list with commas."""
    chosen = text.split(",")
    if unknown := [name for name in chosen if name not in ORDER]:
        raise argparse.ArgumentTypeError(f"expected some of {','.join(ORDER)}, got {','.join(unknown)}")
    return chosen


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=names, default=ORDER, metavar="NAMES", help="which of them")
    parser.add_argument("--seconds", type=float, default=6.0, metavar="S", help="each (default: 6)")
    parser.add_argument("--soak", type=float, default=90.0, metavar="S", help="the soak (default: 90)")
    to = parser.add_mutually_exclusive_group()
    to.add_argument("--json", type=Path, metavar="FILE", help="where all figures go")
    to.add_argument(
        "--record", action="store_true", help="into docs/data, and docs/reliability.md is made anew of them"
    )
    options = parser.parse_args(arguments)
    if options.record:
        if set(options.only) != {*ORDER}:
            parser.error(f"expected all attacks with --record, got {','.join(options.only)}")
        options.json = PART.figures
    return options


def show(name: str, found: Figures) -> None:
    """Print what became of an attack."""
    print(f"{name:<13} {MARKS[found['outcome']]}", flush=True)
    if "why" in found:
        print(f"              {found['why']}")
    for check in found.get("checks", ()):
        mark = {True: "  ", False: "! ", None: "? "}[check["holds"]]
        print(f"  {mark}          {check['statement']}: {check['seen']}")


def run(options: argparse.Namespace) -> Figures:
    """Carry out what is wanted, and return all of it."""
    begun_s = time.monotonic()
    with attacks.arena(leases.take()) as here, attacks.serving(here) as server:
        found: Figures = {
            "version": VERSION,
            "made": {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "python": platform.python_version(),
                **here.lab.machine,
            },
            "attacks": [],
            SOAK: None,
        }
        for name in sorted(options.only, key=ORDER.index):
            if name == SOAK:
                found[SOAK] = soak.told(here, server, options.soak)
                show(SOAK, found[SOAK])
            else:
                found["attacks"].append(attacks.told(ATTACKS[name], here, server, options.seconds))
                show(name, found["attacks"][-1])
    found["made"]["took_s"] = round(time.monotonic() - begun_s, 1)
    print(f"{found['made']['took_s']:.0f} s")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    options = parse(arguments)
    try:
        files.expect_writable(options.json)
        with terminated_like_interrupted():
            found = run(options)
        files.write(options.json, text(found))
        if options.record:
            PART.write()
    except LabError as error:
        print(f"load: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nload: interrupted; the hosts have been removed.", file=sys.stderr)
        return INTERRUPTED
    outcomes = [one["outcome"] for one in [*found["attacks"], found[SOAK]] if one]
    if Outcome.BROKEN in outcomes:
        return 1
    return UNMEASURED if Outcome.UNMEASURED in outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
