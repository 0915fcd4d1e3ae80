"""Describe, continued: what somebody types (LOSS=30) becomes an experiment, or is refused in one line.

Nothing is touched here, so that a wrong word costs nothing.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from netem_impairment import Directions, Impairment, Spec, SpecError, Traffic, parse, seeded

from socketlab import hints
from socketlab.describe.scenario import (
    EXPERIMENT_PORT,
    Engine,
    Experiment,
    Program,
    Protocol,
    Stream,
    queue_needed,
)
from socketlab.errors import ScenarioError

SMALLEST, LARGEST_DATAGRAM, LONGEST_LINE = 8, 1_472, 65_535  # bytes
MOST = 50_000
FASTEST = 20_000
LONGEST_MS = 60_000

# What shows both loss and reordering in 100 messages. A datagram that is sent ahead overtakes those that
# wait: so the delay must be longer than the gap between two, here 25 ms and 10 ms.
DEFAULTS = {"loss": "10", "delay": "25", "reorder": "25"}
LECTURE_COUNT = 20  # one loss costs the lecture's client a time-out

T = TypeVar("T")


def wish(metavar: str, meaning: str) -> Any:  # as dataclasses.field returns
    """Return a field of `Wishes`, with what a command's help says of it."""
    return field(default=None, metadata={"metavar": metavar, "help": meaning})


@dataclass(frozen=True)
class Wishes:
    """What was typed, word for word; None: nothing. The commands have an option for each."""

    count: str | None = wish("N", "Messages. [default: 100]")
    size: str | None = wish("BYTES", "Of each message. [default: 64]")
    rate: str | None = wish("N", "Messages a second. [default: 100]")
    loss: str | None = wish("%", f"Lost. [default: {DEFAULTS['loss']}]")
    delay: str | None = wish("MS", f"One way. [default: {DEFAULTS['delay']}]")
    jitter: str | None = wish("MS", "Delay up to so much more, or less.")
    reorder: str | None = wish("%", f"Sent ahead. [default: {DEFAULTS['reorder']}]")
    duplicate: str | None = wish("%", "Doubled.")
    corrupt: str | None = wish("%", "One bit turned over.")
    seed: str | None = wish("N", "Repeats a run; left out: by chance, and shown.")
    direction: str | None = wish("D", "both, ingress (to the server) or egress. [default: both]")
    engine: str | None = wish("E", "auto, kernel or userspace. [default: auto]")
    netem: str | None = wish("SPEC", "All of the impairment, in tc-netem(8)'s language.")
    program: str | None = wish("P", "stream, or lecture: its own client, stop and wait. [default: stream]")
    timeout: str | None = wish("MS", "A later answer is late. [default: 1000]")


FRIENDLY = ("loss", "delay", "jitter", "reorder", "duplicate", "corrupt")


def _refusal(name: str, text: str, expected: str, example: str) -> ScenarioError:
    return ScenarioError(f"{name} {text!r}: expected {expected}, as in {hints.option(name, example)}")


def _number(text: str) -> float | None:
    try:
        # float() alone would take "nan", "1_0" and the digits of other scripts.
        return float(text) if set(text) <= set("0123456789.") else None
    except ValueError:
        return None


def whole(name: str, text: str, low: int, high: int, what: str, example: str) -> int:
    """Convert a whole number from `low` to `high`."""
    if text.isascii() and text.isdecimal() and len(text) <= 20 and low <= int(text) <= high:
        return int(text)
    raise _refusal(name, text, f"{what} from {low:,} to {high:,}", example)


def seed_number(text: str) -> int:
    """Convert a number that repeats a run; netem's seeds follow from it."""
    return whole("seed", text, 0, 2**64 - 1, "a number", "42")


def percent(name: str, text: str, example: str) -> str:
    """Check a percentage, with or without its sign, and return it as tc writes it."""
    number = _number(text.removesuffix("%").rstrip())
    if number is None or number > 100:
        raise _refusal(name, text, "percent from 0 to 100", example)
    return f"{number:.10g}%"


def milliseconds(name: str, text: str, example: str) -> str:
    """Check a time, in milliseconds unless it says s or ms, and return it as tc writes it."""
    for unit, factor in (("ms", 1.0), ("s", 1000.0), ("", 1.0)):
        if text.endswith(unit):
            number = _number(text.removesuffix(unit).rstrip())
            if number is not None and number * factor <= LONGEST_MS:
                return f"{number * factor:.10g}ms"
            break
    raise _refusal(name, text, f"milliseconds from 0 to {LONGEST_MS:,}", example)


def one_of(name: str, text: str, kind: Callable[[str], T], choices: list[str]) -> T:
    """Convert one of some words."""
    try:
        return kind(text)
    except ValueError:
        raise _refusal(name, text, f"one of {', '.join(choices)}", choices[0]) from None


def netem_words(wishes: Wishes) -> str:
    """Return tc's language for what was typed; what was not typed is as in DEFAULTS."""
    given = {name: value for name in FRIENDLY if (value := getattr(wishes, name)) is not None}
    if wishes.netem is not None:
        if given:
            raise ScenarioError(
                f"netem {wishes.netem!r}: expected either netem, which says all, or {', '.join(given)}, got "
                f"both: put it into netem, as in {hints.option('netem', 'delay 50ms loss 10%')}"
            )
        return wishes.netem
    return _friendly(DEFAULTS | given, reorder_given="reorder" in given)


def _friendly(values: Mapping[str, str], *, reorder_given: bool) -> str:
    words = []
    delay = milliseconds("delay", values["delay"], "50")
    jitter = milliseconds("jitter", values["jitter"], "10") if "jitter" in values else "0ms"
    if (delay, jitter) != ("0ms", "0ms"):
        words.append(f"delay {delay}" + (f" {jitter}" if jitter != "0ms" else ""))
    for name, example in (("loss", "10"), ("duplicate", "5"), ("corrupt", "1"), ("reorder", "25")):
        if name not in values:
            continue
        share = percent(name, values[name], example)
        if share == "0%":
            continue
        if name == "reorder" and delay == "0ms":
            if reorder_given:
                raise ScenarioError(
                    f"reorder {values[name]!r}: expected a delay too, as in {hints.option('delay', 50)} "
                    f"{hints.option('reorder', 25)}: "
                    "where nothing waits, nothing can be overtaken"
                )
            continue
        words.append(f"{name} {share}")
    return " ".join(words)


def _spec(wishes: Wishes, directions: Directions) -> tuple[Spec, int | None]:
    """Return the spec with netem's seed, and the number that this follows from; None: it is in NETEM."""
    try:
        spec = parse(netem_words(wishes))
    except SpecError as error:
        raise ScenarioError(f"netem: {error}") from error
    if spec.seed is not None:
        if wishes.seed is not None:
            raise ScenarioError(
                f"seed {wishes.seed!r}: expected one seed, got another in netem: leave one out"
            )
        return spec, None
    # Chance, but chance that can be repeated: the number is shown, and stored with the result.
    number = secrets.randbelow(10**8) if wishes.seed is None else seed_number(wishes.seed)
    return seeded(spec, number, directions), number


def experiment(protocol: Protocol, wishes: Wishes, *, both_protocols: bool = False) -> Experiment:
    """Return the experiment that was asked for.

    Args:
        protocol: what the messages go by.
        wishes: what was typed.
        both_protocols: the same is to go by the other protocol, too: so a message must fit into both.

    Raises:
        ScenarioError: a value is none, or two contradict each other.
    """
    program = one_of("program", wishes.program or "stream", Program, [*Program])
    largest = LARGEST_DATAGRAM if both_protocols or protocol is Protocol.UDP else LONGEST_LINE
    count = str(LECTURE_COUNT if program is Program.LECTURE else Stream.count)
    timeout = milliseconds("timeout", wishes.timeout or "1000", "1000")
    stream = Stream(
        protocol,
        # A datagram larger than this would be cut into several packets, each with a fate of its own.
        size=whole("size", wishes.size or str(Stream.size), SMALLEST, largest, "bytes", "64"),
        count=whole("count", wishes.count or count, 1, MOST, "a number of messages", "100"),
        rate=whole("rate", wishes.rate or str(Stream.rate), 1, FASTEST, "messages a second", "100"),
        program=program,
        timeout_s=max(float(timeout.removesuffix("ms")), 1.0) / 1000,
    )
    directions = one_of("direction", wishes.direction or "both", Directions, ["both", "ingress", "egress"])
    engine = one_of("engine", wishes.engine or "auto", Engine, [*Engine])
    spec, seed = _spec(wishes, directions)
    if wishes.netem is None:
        # The queue of netem holds 1000 packets unless it is told otherwise; what finds it full is lost, too,
        # and nobody has asked for that.
        spec = replace(spec, limit=max(spec.limit, queue_needed(spec, stream)))
    traffic = Traffic(protocol.value, EXPERIMENT_PORT)
    return Experiment(stream, Impairment(spec, directions, traffic), engine, seed)
