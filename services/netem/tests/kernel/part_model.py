"""What is done on the wire, with the kernel's netem alone, beside the model; and tc beside the language."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial

import distributions
from kernel.netem_message import netem
from model import Model
from netem_impairment import parse

from tests.kernel import compare, grammar
from tests.kernel.cases import CASES, ORACLE_LOST, ORACLE_SEED, Case
from tests.kernel.rows import Named, Row
from tests.kernel.wire import Wire, wire


def cases() -> Iterator[Named]:
    """Yield what is done on the wire, with netem alone."""
    with wire() as on:
        yield "oracle", partial(oracle, on)
        for case in CASES:
            yield case.name, partial(comparison, case, on)
        yield "spec: read as tc reads it", partial(texts, on, grammar.compare)
        yield "spec: refused as tc does", partial(texts, on, grammar.compare_refusals)


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
