"""The fault matrix: `make faults`. Exit code 1: a cell is broken.

python -m campaigns.faults [--only WORDS] [--json FILE | --record]
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from socketlab.checkout import ROOT
from socketlab.hosts.docker.compose_project import ComposeProject

# As pytest finds them: pyproject.toml.
sys.path[:0] = [str(ROOT / "services" / "client" / "experiments")]

from campaigns.faults import matrix  # noqa: E402 - our modules can be found from here on
from campaigns.faults.outcome import VERSION, Cell, Outcome  # noqa: E402
from campaigns.faults.page import PART  # noqa: E402


def main() -> int:
    """Run the matrix, and write what came of it."""
    parser = argparse.ArgumentParser(prog="faults", description="What is broken on purpose, and what holds.")
    parser.add_argument(
        "--only", metavar="WORDS", default="", help="faults with one of these in their name or group"
    )
    to = parser.add_mutually_exclusive_group()
    to.add_argument(
        "--json", metavar="FILE", type=Path, help="write the cells to this file; with --only, these alone"
    )
    to.add_argument(
        "--record", action="store_true", help="into docs/data, and docs/reliability.md is made anew of them"
    )
    options = parser.parse_args()
    if options.record:
        options.json = PART.figures
    words = options.only.split() or [""]
    faults = [each for each in matrix.FAULTS if any(w in each.name or w in each.group for w in words)]
    if not faults:
        parser.error(f"expected a word of {', '.join(each.name for each in matrix.FAULTS)}")
    with closing(ComposeProject()) as lab:
        machine = lab.machine() | {"python": platform.python_version(), "root": os.geteuid() == 0}
        machine["load_average"] = round(os.getloadavg()[2])
    before = []
    if options.only and options.json and options.json.exists():  # the others stay as they are
        names = {each.name for each in faults}
        told = json.loads(options.json.read_text(encoding="utf-8"))["cells"]
        before = [cell for cell in told if cell["fault"] not in names]
    cells: list[Cell] = []

    def tell(cell: Cell) -> None:
        matrix.say(cell)
        cells.append(cell)
        if options.json:  # after each, for a machine that does not see the end of it
            write(options.json, before + [each.as_data() for each in cells], machine)

    begun = time.monotonic()
    matrix.run(faults, tell)
    took_s = time.monotonic() - begun
    if options.record:
        PART.write()
    print(f"{took_s:.0f} s: " + ", ".join(f"{sum(c.outcome is o for c in cells)} {o}" for o in Outcome))
    return int(any(cell.outcome is Outcome.BROKEN for cell in cells))


def write(file: Path, cells: list[dict[str, Any]], machine: Mapping[str, Any]) -> None:
    """Write cells as a document, in the order of the matrix."""
    told = {
        "version": VERSION,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "cells": sorted(cells, key=lambda cell: matrix.place(cell["fault"], cell["protocol"])),
    }
    file.write_text(json.dumps(told, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
