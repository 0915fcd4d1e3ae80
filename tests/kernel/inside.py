"""The tests, as the first program of the kernel that has netem; ends by switching the kernel off.

What came out is in /results, a row each, and on the console while it happens.
"""

import ctypes
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import distributions
from kernel.netem_message import netem
from model import Model
from netem_impairment import parse

from socketlab.claims.notebook import Finding, Outcome
from socketlab.show.claims import of_finding
from tests.kernel import claims, compare, engine, flips, grammar, sidecar
from tests.kernel.cases import CASES, ORACLE_LOST, ORACLE_SEED, Case
from tests.kernel.machine import BEGIN
from tests.kernel.wire import Wire, wire

RESULTS = Path("/results")
POWER_OFF = 0x4321FEDC


@dataclass
class Row:
    """One case: how it ended, and its figures.

    Attributes:
        name: of the case.
        passed: whether the kernel did what was expected.
        said: in words.
        figures: of a comparison.
        claim: what was seen of a claim of the lecture, as `make lecture` writes it.
        took_s: how long it took.
    """

    name: str
    passed: bool
    said: str
    figures: dict[str, Any] = field(default_factory=dict)
    claim: dict[str, Any] = field(default_factory=dict)
    took_s: float = 0.0


def oracle(on: Wire) -> Row:
    """Check the published losses, by tc itself: seed 42424242, loss 10 %, 5, 12 and 24 of 25."""
    complaint = grammar.tc(f"loss 10% seed {ORACLE_SEED}")
    if complaint:
        return Row("oracle", False, complaint)
    run = on.run((25,))
    there = {arrival.number for arrival in run.arrivals}
    lost = tuple(number + 1 for number in range(25) if number not in there)
    return Row("oracle", lost == ORACLE_LOST, f"seed {ORACLE_SEED}, loss 10 %: lost {lost} of the first 25")


def comparison(case: Case, on: Wire) -> Row:
    """Run a case through the kernel, and compare it with the model."""
    spec = parse(case.spec)
    table = distributions.load(spec.distribution) if spec.distribution else None
    on.impair(netem(spec, table))
    run = on.run(case.bursts)
    first: Mapping[str, int] = {}
    said = ""
    if case.start:
        interval = compare.start(run, case.start, lambda first: Model(spec, table, first))
        if interval is None:
            return Row(case.name, False, f"no draw before the first {case.start} gives what the kernel did")
        first = {case.start: interval[0]}
        said = f"the draw before the first: {interval[0]} to {interval[1]}"
    found = compare.compare(run, Model(spec, table, first), Model(spec, table, first), warm_up=case.warm_up)
    if not found.agrees:
        said = (
            f"differ: fates {found.differing[:10]}, order {found.misordered[:10]}, early {found.early[:10]}, "
            f"sent ahead {found.counted}, late {found.late_ns}"
        )
    return Row(case.name, found.agrees, said, asdict(found))


def texts(on: Wire, compare_texts: Callable[[Wire], tuple[int, list[grammar.Difference]]]) -> Row:
    """Compare how texts are read, or refused."""
    count, found = compare_texts(on)
    said = "; ".join(f"{one.words!r}: {one.difference}" for one in found[:5])
    return Row("", not found, said or f"{count} texts, the same by tc and by us")


def checked(action: Callable[[], str]) -> Row:
    """Run a check of the engine."""
    return Row("", True, action())


def of_the_model() -> Iterator[tuple[str, Callable[[], Row]]]:
    """Yield what is done on the wire, with netem alone."""
    with wire() as on:
        yield "oracle", partial(oracle, on)
        for case in CASES:
            yield case.name, partial(comparison, case, on)
        yield "spec: read as tc reads it", partial(texts, on, grammar.compare)
        yield "spec: refused as tc does", partial(texts, on, grammar.compare_refusals)


def of_the_engine() -> Iterator[tuple[str, Callable[[], Row]]]:
    """Yield what is done on hosts."""
    parts = {"engine": engine.CHECKS, "frames": flips.CHECKS, "sidecar": sidecar.CHECKS}
    for part, actions in parts.items():
        for name, action in actions.items():
            yield f"{part}: {name}", partial(checked, action)


def of_the_claims() -> Iterator[tuple[str, Callable[[], Row]]]:
    """Yield what is shown of the lecture, where a network is impaired."""
    for name, action in claims.showings():
        yield f"claims: {name}", partial(claimed, action)


def claimed(action: Callable[[], Finding]) -> Row:
    """Show a claim."""
    found = action()
    failed = [check.statement for check in found.checks if not check.holds]
    said = f"{found.outcome}, {len(found.checks)} checks" + "".join(f"; NOT {one}" for one in failed)
    said += f"; {found.reason}" if found.reason else ""
    return Row("", found.outcome is Outcome.SHOWN, said, claim=of_finding(found))


PARTS = {"model": of_the_model, "engine": of_the_engine, "claims": of_the_claims}


def guarded(name: str, run: Callable[[], Row]) -> Row:
    """Run a case; what it raises makes it fail."""
    begun = time.monotonic()
    try:
        row = run()
    except Exception as error:  # noqa: BLE001 - one case that breaks must not hide the others
        where = traceback.extract_tb(error.__traceback__)
        place = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(where[-4:]))
        row = Row(name, False, f"{type(error).__name__}: {error} ({place})")
    row.name, row.took_s = name, time.monotonic() - begun
    return row


def main() -> None:
    """Run the cases of one part whose name has a word; both are in the environment."""
    print(BEGIN, flush=True)
    part, only = os.environ["LAB_PART"], os.environ.get("LAB_ONLY", "").replace("_", " ")
    done: list[Row] = []
    for name, run in PARTS[part]():
        if only not in name:
            continue
        done.append(guarded(name, run))
        row = done[-1]
        print(f"{'ok' if row.passed else 'FAILED':6} {row.took_s:5.1f} s  {row.name}: {row.said}", flush=True)
        write(part, done, finished=False)
    write(part, done, finished=True)


def write(part: str, rows: list[Row], *, finished: bool) -> None:
    """Write down what is known so far."""
    known = {"finished": finished, "kernel": os.uname().release, "rows": [asdict(row) for row in rows]}
    (RESULTS / f"{part}.json").write_text(json.dumps(known, allow_nan=False), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except BaseException:  # noqa: BLE001 - whatever it is, without the next line the kernel never ends
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        libc = ctypes.CDLL(None)
        libc.sync()
        libc.reboot(POWER_OFF)
