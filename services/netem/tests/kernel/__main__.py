"""Boots a kernel that has netem, runs the tests in it, and prints what came out.

    python -m tests.kernel [--only WORD] [--json FILE]

To add a part is to add a module tests/kernel/part_NAME.py with a function `cases`, here or in another folder
of the package `tests.kernel`: the repository has one for the lab.

Exit codes: 0 the kernel did all that was expected; 1 it did not; 2 wrong usage; 4 not measurable here.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from pkgutil import iter_modules
from types import FrameType
from typing import Any

import tests.kernel
from tests.kernel import machine

DEADLINE_S = 600.0
UNMEASURABLE, INTERRUPTED = 4, 130
PARTS = sorted(
    module.name.removeprefix(machine.PREFIX)
    for module in iter_modules(tests.kernel.__path__)
    if module.name.startswith(machine.PREFIX)
)

Row = dict[str, Any]


def table(rows: list[Row]) -> str:
    """Return the figures of the comparisons, a line each."""
    titles = ("packets", "same fate", "order known", "wrong", "undecidable", "early", "grain", "late")
    lines = [columns("case", titles, "what became of them")]
    for row in rows:
        figures = row["figures"]
        if not figures:
            continue
        fates = ", ".join(f"{count} {fate}" for fate, count in sorted(figures["fates"].items()))
        if figures["counted"][0]:
            fates += f"; {figures['counted'][0]} ahead"
        values = (
            figures["packets"],
            figures["packets"] - len(figures["differing"]),
            figures["ordered"],
            len(figures["misordered"]),
            figures["undecidable"],
            len(figures["early"]),
            micros(figures["grain_ns"][0]),
            micros(figures["late_ns"][0]),
        )
        lines.append(columns(row["name"], values, fates))
    lines.append("grain: how exactly it is known when netem decided; late: after a packet was due (medians)")
    return "\n".join(lines)


def columns(name: str, values: Iterable[object], fates: str) -> str:
    """Return a line of the table."""
    return f"{name:<22}" + "".join(f"{value!s:>12}" for value in values) + f"   {fates}"


def micros(value_ns: int) -> str:
    """Return a time in microseconds."""
    return f"{value_ns / 1000:.1f} us"


def run(only: str, deadline_s: float) -> dict[str, Any]:
    """Run the tests, each part in a kernel of its own at the same time, and return what came out.

    Raises:
        Unmeasurable: a kernel could not be run, or ended without a result.
    """
    if reason := machine.why_not():
        raise machine.Unmeasurable(reason)
    results = {part: machine.ROOT / f"results/{part}.json" for part in PARTS}
    processors = sorted(os.sched_getaffinity(0), reverse=True)
    kernels: list[machine.Kernel] = []
    try:
        for number, (part, file) in enumerate(results.items()):
            file.unlink(missing_ok=True)
            settings = {"LAB_PART": part, "LAB_ONLY": only.replace(" ", "_")}
            kernels.append(machine.Kernel(settings, processors[number % len(processors)], deadline_s))
        for kernel in kernels:
            kernel.wait()
    finally:
        for kernel in kernels:
            kernel.end()
    found = [json.loads(file.read_text(encoding="utf-8")) for file in results.values() if file.is_file()]
    if len(found) != len(PARTS) or not all(part["finished"] for part in found):
        raise machine.Unmeasurable("a kernel ended before its tests did; what they said is above")
    rows = [row for part in found for row in part["rows"]]
    if not rows:
        raise machine.Unmeasurable(f"no case has {only!r} in its name")
    return {"kernel": found[0]["kernel"], "rows": rows}


def interrupt(signum: int, frame: FrameType | None) -> None:
    """Treat SIGTERM like Ctrl-C: the kernels are to end with us."""
    del signum, frame
    raise KeyboardInterrupt


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.kernel")
    parser.add_argument("--only", default="", metavar="WORD", help="cases that have this in their name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write what came out")
    parser.add_argument("--deadline", type=float, default=DEADLINE_S, metavar="S", help="in all")
    options = parser.parse_args()
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, interrupt)
    try:
        found = run(options.only, options.deadline)
    except (machine.Unmeasurable, OSError, ValueError) as error:
        print(f"test-kernel: could not be measured: {error}", file=sys.stderr)
        return UNMEASURABLE
    except KeyboardInterrupt:
        print("test-kernel: interrupted", file=sys.stderr)
        return INTERRUPTED
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    rows = found["rows"]
    failed = [row for row in rows if not row["passed"]]
    if any(row["figures"] for row in rows):
        print(f"\n{table(rows)}")
    print(f"\nLinux {found['kernel']}: {len(rows) - len(failed)} of {len(rows)} as expected, "
          f"{time.monotonic() - begun:.0f} s")  # fmt: skip
    for row in failed:
        print(f"FAILED {row['name']}: {row['said']}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
