"""Attacks the concurrent server, on its host with its limits, and says what became of each attack.

    python -m tests.load [--only flood,storm] [--seconds S] [--soak S] [--json FILE]

Exit status: 0 all held; 1 one was broken; 3 one could not be measured here, and none was broken.
"""

import argparse
import json
import platform
import re
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.__main__ import INTERRUPTED, UNMEASURED, _interrupt
from socketlab.errors import LabError
from socketlab.run import leases
from socketlab.show import files
from tests.load import attacks, soak
from tests.load.attacks import ATTACKS, Figures, Outcome

VERSION = 1
SOAK = "soak"
LEAF = re.compile(r"\{[^{}\[\]]*\}")
BREAK = re.compile(r"\n *")  # no line of a string: JSON writes that as \\n
MARKS = {Outcome.HELD: "held", Outcome.BROKEN: "BROKEN", Outcome.UNMEASURED: "could not be measured"}


def names(text: str) -> list[str]:
    """Return the names of attacks, of a list with commas."""
    chosen = text.split(",")
    if unknown := [name for name in chosen if name not in {*ATTACKS, SOAK}]:
        raise argparse.ArgumentTypeError(
            f"expected some of {','.join([*ATTACKS, SOAK])}, got {','.join(unknown)}"
        )
    return chosen


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=names, default=[*ATTACKS, SOAK], metavar="NAMES", help="which of them")
    parser.add_argument("--seconds", type=float, default=6.0, metavar="S", help="each (default: 6)")
    parser.add_argument("--soak", type=float, default=90.0, metavar="S", help="the soak (default: 90)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where all figures go")
    return parser.parse_args(arguments)


def show(name: str, found: Figures) -> None:
    """Print what became of an attack."""
    print(f"{name:<13} {MARKS[found['outcome']]}", flush=True)
    if found["outcome"] is Outcome.UNMEASURED:
        print(f"              {found['why']}")
    for check in found.get("checks", ()):
        print(f"  {'  ' if check['holds'] else '! '}          {check['statement']}: {check['seen']}")


def run(options: argparse.Namespace) -> Figures:
    """Carry out what is wanted, and return all of it."""
    begun_s = time.monotonic()
    with attacks.arena(leases.take()) as here, attacks.serving(here) as server:
        found: Figures = {
            "version": VERSION,
            "made": {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "python": platform.python_version(),
                **here.stage.machine,
            },
            "attacks": [],
            SOAK: None,
        }
        for name in options.only:
            if name == SOAK:
                found[SOAK] = soak.told(here, server, options.soak)
                show(SOAK, found[SOAK])
            else:
                found["attacks"].append(attacks.told(ATTACKS[name], here, server, options.seconds))
                show(name, found["attacks"][-1])
    found["made"]["took_s"] = round(time.monotonic() - begun_s, 1)
    print(f"{found['made']['took_s']:.0f} s")
    return found


def text(found: Figures) -> str:
    """Return the document: JSON, with a sample, a check or a client's figures on a line."""
    return LEAF.sub(lambda leaf: BREAK.sub(" ", leaf[0]), json.dumps(found, indent=1)) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    options = parse(arguments)
    # As with Ctrl-C, so that the hosts are removed.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        files.expect_writable(options.json)
        found = run(options)
        files.write(options.json, text(found))
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
