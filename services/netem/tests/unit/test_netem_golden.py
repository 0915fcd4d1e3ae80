"""What `netem` makes of a spec, word for word and byte for byte, as it has always been.

`python -m tests.unit.test_netem_golden` (PYTHONPATH=.:services:services/netem) writes the file anew: a change
that is wanted shows in its diff.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kernel.netem_message import STRUCTURE, netem
from lab.failures import Failure
from model import Model
from netem_impairment import Direction, Impairment, Spec, SpecError, parse
from netem_impairment.attributes import attributes

from tests.kernel.grammar import REFUSED, SPECS

FILE = Path(__file__).parent / "golden" / "netem.json"
MORE = (
    "delay 10ms 5ms 50% loss 5% duplicate 5% corrupt 5% reorder 5% seed 1",
    "loss state 1% 10% 70% 30% 0.1% duplicate 10% seed 3",
    "loss gemodel 1% 10% 70% 0.1% duplicate 10% 30% corrupt 5% 30% seed 3",
    "delay 20ms 5ms distribution normal rate 1mbit 4 48 5 reorder 25% 50% gap 5 seed 9",
    "limit 5 delay 100ms duplicate 50% seed 2",
    # Refused: each rule between options, and of two that are broken the one that is named.
    "reorder 5% distribution normal",
    "reorder 5% loss 0% ecn",
    "gap 5",
    "gap 5 distribution pareto",
    "distribution normal",
    "distribution normal ecn",
    "ecn",
    "delay 1ms distribution normal",
    "delay 0ms 5ms distribution normal",
    "duplicate 0% 5%",
    "slot",
    "slot distribution",
    "slot distribution normal 1ms 0ms",
    "slot 2ms 1ms",
    "slot 2ms packets",
    "slot 2ms packets 0",
    "delay 1ms 3s",
    "limit 0",
    "rate 0",
    "rate 1mbit 1 -2",
    "loss random",
    "loss random state",
    "latency 1ms delay 1ms",
    "seed -1",
    "gap 0",
    "distribution x",
)
TABLE = tuple(range(-20_000, 20_000, 37))  # stands for the tables of iproute2, which is not everywhere


def of_spec(text: str) -> dict[str, Any]:
    """Return all that is made of a spec: its own words, the kernel's message, the fates of 400 packets."""
    try:
        spec = parse(text)
    except SpecError as refusal:
        return {"refused": str(refusal)}
    table = TABLE if spec.distribution else None
    message = netem(spec, table, TABLE if spec.slot and spec.slot.distribution else None)
    seeded = parse(text if spec.seed is not None else f"{text} seed 7")
    return {
        "spec": str(spec),
        "egress": str(Impairment(spec).of(Direction.EGRESS)),
        "structure": message[: STRUCTURE.size].hex(),
        "attributes": {
            str(kind): value.hex() if len(value) < 100 else hashlib.sha256(value).hexdigest()
            for kind, value in sorted(attributes(message, STRUCTURE.size).items())
        },
        "fates": fates(seeded, table),
    }


def fates(spec: Spec, table: tuple[int, ...] | None) -> str:
    """Return what becomes of 400 packets, a millisecond apart, as a digest; or why the model refuses."""
    try:
        model = Model[int](spec, table)
    except Failure as failure:
        return str(failure)
    story: list[Any] = []
    for number in range(400):
        now_ns = number * 1_000_000
        story.append((model.enqueue(now_ns, 60 + number, number), model.next_ns))
        while (due := model.dequeue(now_ns)) is not None:
            story.append(due)
    counted = {name: count for name, count in asdict(model.counters()).items() if count}
    return hashlib.sha256(repr((story, counted, model.immediate)).encode()).hexdigest()


def found() -> dict[str, Any]:
    """Return all that is in the file."""
    return {text: of_spec(text) for text in (*SPECS, *REFUSED, *MORE)}


def test_netem_makes_of_each_spec_what_it_has_always_made_of_it() -> None:
    before, now = json.loads(FILE.read_text(encoding="utf-8")), found()
    assert [*now] == [*before]
    for text, made in now.items():
        assert made == before[text], text


if __name__ == "__main__":
    FILE.write_text(json.dumps(found(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
