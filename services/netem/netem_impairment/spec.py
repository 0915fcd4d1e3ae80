"""The spec: tc-netem(8)'s language, read into a value that does not change, and printed back.

    limit PACKETS
    delay TIME [JITTER [CORRELATION]] [distribution {uniform|normal|pareto|paretonormal}]
    loss PERCENT [CORRELATION]            (also: loss random ...)
    loss state P13 [P31 [P32 [P23 [P14]]]]
    loss gemodel P [R [1-H [1-K]]]
    ecn
    duplicate PERCENT [CORRELATION]
    corrupt PERCENT [CORRELATION]
    reorder PERCENT [CORRELATION] [gap DISTANCE]
    rate RATE [PACKETOVERHEAD [CELLSIZE [CELLOVERHEAD]]]
    slot MIN_DELAY [MAX_DELAY] | slot distribution NAME DELAY JITTER   [packets N] [bytes N]
    seed NUMBER

Options come in any order, each once. Defaults and rules between options are those of tc. What differs from
tc: words are not abbreviated, a time needs its unit, `rate` is no share of the device's, and an option given
twice is refused where tc would silently take the last.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from . import units
from .units import U32_MAX, U64_MAX, SpecError, refusal

DISTRIBUTIONS = ("uniform", "normal", "pareto", "paretonormal")
S32_MIN, S32_MAX = -(2**31), 2**31 - 1


@dataclass(frozen=True)
class RandomLoss:
    """Each packet is lost with the same probability; correlation: how far a draw counts for the next."""

    probability: int
    correlation: int = 0

    def __str__(self) -> str:
        """Return it in tc's language."""
        return _with_correlation(f"loss {units.percent(self.probability)}", self.correlation)


@dataclass(frozen=True)
class StateLoss:
    """The four-state Markov chain; names as in tc-netem(8): p13 leads from state 1 to state 3."""

    p13: int
    p31: int
    p32: int
    p23: int
    p14: int

    def __str__(self) -> str:
        """Return it in tc's language."""
        return "loss state " + " ".join(
            map(units.percent, (self.p13, self.p31, self.p32, self.p23, self.p14))
        )


@dataclass(frozen=True)
class GilbertElliott:
    """The Gilbert-Elliott model, as the kernel has it.

    Attributes:
        p: from good to bad.
        r: from bad to good.
        h: that a packet passes in the bad state (the user gives 1-h).
        k1: 1-k, that a packet is lost in the good state.
    """

    p: int
    r: int
    h: int
    k1: int

    def __str__(self) -> str:
        """Return it in tc's language."""
        return "loss gemodel " + " ".join(map(units.percent, (self.p, self.r, U32_MAX - self.h, self.k1)))


Loss: TypeAlias = RandomLoss | StateLoss | GilbertElliott


@dataclass(frozen=True)
class Slot:
    """Packets leave in bursts: when, and how much at most. 0 packets or bytes: no such limit."""

    min_delay_ns: int = 0
    max_delay_ns: int = 0
    distribution: str | None = None
    dist_delay_ns: int = 0
    dist_jitter_ns: int = 0
    packets: int = 0
    bytes: int = 0

    def __str__(self) -> str:
        """Return it in tc's language."""
        if self.distribution is not None:
            words = [f"slot distribution {self.distribution}", units.duration(self.dist_delay_ns),
                     units.duration(self.dist_jitter_ns)]  # fmt: skip
        else:
            words = [f"slot {units.duration(self.min_delay_ns)}", units.duration(self.max_delay_ns)]
        words += [f"packets {self.packets}"] if self.packets else []
        words += [f"bytes {self.bytes}"] if self.bytes else []
        return " ".join(words)


@dataclass(frozen=True)
class Spec:
    """One impairment. Probabilities and correlations are shares of 2**32 - 1, `rate` is in bytes a second.

    `distribution` None is the kernel's own uniform one; `gap` 0 means that nothing is sent ahead.
    """

    limit: int = 1000
    delay_ns: int = 0
    jitter_ns: int = 0
    delay_correlation: int = 0
    distribution: str | None = None
    loss: Loss | None = None
    ecn: bool = False
    duplicate: int = 0
    duplicate_correlation: int = 0
    corrupt: int = 0
    corrupt_correlation: int = 0
    reorder: int = 0
    reorder_correlation: int = 0
    gap: int = 0
    rate: int = 0
    packet_overhead: int = 0
    cell_size: int = 0
    cell_overhead: int = 0
    slot: Slot | None = None
    seed: int | None = None

    def __str__(self) -> str:
        """Return it in tc's language; `parse` makes the same spec of it."""
        words = [f"limit {self.limit}"] if self.limit != Spec.limit else []
        if self.delay_ns or self.jitter_ns:
            delay = f"delay {units.duration(self.delay_ns)}"
            if self.jitter_ns:
                delay = _with_correlation(f"{delay} {units.duration(self.jitter_ns)}", self.delay_correlation)
            words.append(delay)
        words += [f"distribution {self.distribution}"] if self.distribution else []
        words += [str(self.loss)] if self.loss else []
        words += ["ecn"] if self.ecn else []
        for name, value, correlation in (
            ("duplicate", self.duplicate, self.duplicate_correlation),
            ("corrupt", self.corrupt, self.corrupt_correlation),
            ("reorder", self.reorder, self.reorder_correlation),
        ):
            words += [_with_correlation(f"{name} {units.percent(value)}", correlation)] if value else []
        words += [f"gap {self.gap}"] if self.gap > 1 else []
        if self.rate:
            extras = [self.packet_overhead, self.cell_size, self.cell_overhead]
            while extras and not extras[-1]:
                extras.pop()
            words.append(" ".join([f"rate {units.rate_text(self.rate)}", *map(str, extras)]))
        words += [str(self.slot)] if self.slot else []
        words += [f"seed {self.seed}"] if self.seed is not None else []
        return " ".join(words)


def _with_correlation(words: str, correlation: int) -> str:
    return f"{words} {units.percent(correlation)}" if correlation else words


class _Words:
    """The words of a spec that have not been read yet."""

    def __init__(self, text: str) -> None:
        self._left = text.split()[::-1]

    def __bool__(self) -> bool:
        return bool(self._left)

    def take(self) -> str:
        return self._left.pop()

    def needed(self, option: str, expected: str, example: str) -> str:
        if not self._left:
            raise SpecError(f"{option!r}: expected {expected} after it, as in {example!r}")
        return self._left.pop()

    def number_follows(self, signed: bool = False) -> bool:
        following = self._left[-1] if self._left else ""
        return units.is_number(following.removeprefix("-") if signed else following)

    def follows(self, word: str) -> bool:
        if self._left and self._left[-1] == word:
            self._left.pop()
            return True
        return False


def _probability(words: _Words, option: str, what: str, example: str) -> int:
    return units.probability(words.needed(option, what, example), what, example)


def _correlation(words: _Words, example: str) -> int:
    if not words.number_follows():
        return 0
    return units.probability(words.take(), "a correlation", example)


def _share(words: _Words, option: str) -> dict[str, Any]:
    probability = _probability(words, option, "a probability", f"{option} 5%")
    return {option: probability, f"{option}_correlation": _correlation(words, f"{option} 5% 25%")}


def _limit(words: _Words, option: str) -> dict[str, Any]:
    text = words.needed(option, "a number of packets", "limit 1000")
    return {"limit": units.whole_number(text, 1, U32_MAX, "a number of packets", "limit 1000")}


def _delay(words: _Words, option: str) -> dict[str, Any]:
    example = "delay 50ms 10ms 25%"
    options = {"delay_ns": units.time_ns(words.needed(option, "a time", example), "a time", example)}
    if words.number_follows():
        jitter = words.take()
        options["jitter_ns"] = units.time_ns(jitter, "a jitter", example)
        if options["jitter_ns"] > S32_MAX:  # the kernel would silently cut it down
            raise refusal(jitter, f"a jitter of at most {units.duration(S32_MAX)}", example)
        options["delay_correlation"] = _correlation(words, example)
    return options


def _distribution(words: _Words, option: str) -> dict[str, Any]:
    return {"distribution": _named_distribution(words, option, "delay 50ms 10ms distribution normal")}


def _named_distribution(words: _Words, option: str, example: str) -> str | None:
    name = words.needed(option, "a name", example)
    if name not in DISTRIBUTIONS:
        raise refusal(name, f"a distribution: {', '.join(DISTRIBUTIONS)}", example)
    return None if name == "uniform" else name


def _loss(words: _Words, option: str) -> dict[str, Any]:
    kind = words.needed(option, "a probability or a model", "loss 10%")
    if kind == "state":
        example = "loss state 1% 10% 70% 30% 0.1%"
        first = words.needed("loss state", "P13", example)
        p13 = units.probability(first, "P13", example)
        # As tc has them where they are left out: a chain of two states.
        others = [units.share_of_u32(1.0 - float(first.removesuffix("%")) / 100.0), 0, U32_MAX, 0]
        _replace_given(words, others, ("P31", "P32", "P23", "P14"), example)
        return {"loss": StateLoss(p13, *others)}
    if kind == "gemodel":
        example = "loss gemodel 1% 10% 70% 0.1%"
        first = words.needed("loss gemodel", "P", example)
        p = units.probability(first, "P", example)
        others = [units.share_of_u32(1.0 - float(first.removesuffix("%")) / 100.0), U32_MAX, 0]
        _replace_given(words, others, ("R", "1-H", "1-K"), example)
        r, not_h, k1 = others
        return {"loss": GilbertElliott(p, r, U32_MAX - not_h, k1)}
    text = words.needed("loss random", "a probability", "loss random 10%") if kind == "random" else kind
    if not units.is_number(text):
        raise refusal(text, "a probability, random, state or gemodel", "loss 10%")
    probability = units.probability(text, "a probability", "loss 10%")
    correlation = _correlation(words, "loss 10% 25%")
    return {"loss": RandomLoss(probability, correlation) if probability else None}


def _replace_given(words: _Words, values: list[int], names: tuple[str, ...], example: str) -> None:
    for index, name in enumerate(names):
        if not words.number_follows():
            return
        values[index] = units.probability(words.take(), name, example)


def _gap(words: _Words, option: str) -> dict[str, Any]:
    example = "delay 10ms reorder 25% gap 5"
    text = words.needed(option, "a distance", example)
    return {"gap": units.whole_number(text, 1, U32_MAX, "a distance", example)}


def _rate(words: _Words, option: str) -> dict[str, Any]:
    example = "rate 20mbit"
    options = {"rate": units.rate(words.needed(option, "a rate", example), "a rate", example)}
    for name, low, high in (
        ("packet_overhead", S32_MIN, S32_MAX),
        ("cell_size", 0, U32_MAX),
        ("cell_overhead", S32_MIN, S32_MAX),
    ):
        if not words.number_follows(signed=low < 0):
            break
        what = f"the {name.replace('_', ' ')} in bytes"
        options[name] = units.whole_number(words.take(), low, high, what, "rate 20mbit 24 53 5")
    return options


def _slot(words: _Words, option: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if words.follows("distribution"):
        example = "slot distribution normal 10ms 2ms"
        options["distribution"] = _named_distribution(words, "distribution", example) or "uniform"
        for name in ("dist_delay_ns", "dist_jitter_ns"):
            options[name] = units.time_ns(words.needed(option, "a time", example), "a time", example)
        if not 0 < options["dist_jitter_ns"] <= S32_MAX:
            raise SpecError(
                f"'slot': expected a jitter above 0 and at most {units.duration(S32_MAX)}, as in {example!r}"
            )
    else:
        example = "slot 10ms 20ms packets 5"
        options["min_delay_ns"] = units.time_ns(words.needed(option, "a time", example), "a time", example)
        options["max_delay_ns"] = options["min_delay_ns"]
        if words.number_follows():
            options["max_delay_ns"] = units.time_ns(words.take(), "a time", example)
        if not 0 < options["max_delay_ns"] >= options["min_delay_ns"]:
            raise SpecError(
                f"'slot': expected a delay above 0 and no larger than the last, as in {example!r}"
            )
    for name in ("packets", "bytes"):
        if words.follows(name):
            text = words.needed(name, "a number", f"slot 10ms {name} 5")
            options[name] = units.whole_number(text, 1, S32_MAX, "a number", f"slot 10ms {name} 5")
    return {"slot": Slot(**options)}


def _seed(words: _Words, option: str) -> dict[str, Any]:
    text = words.needed(option, "a number", "seed 42")
    return {"seed": units.whole_number(text, 0, U64_MAX, "a seed", "seed 42")}


def _ecn(_words: _Words, option: str) -> dict[str, Any]:
    return {option: True}


OPTIONS: dict[str, Callable[[_Words, str], dict[str, Any]]] = {
    "limit": _limit,
    "delay": _delay,
    "distribution": _distribution,
    "loss": _loss,
    "ecn": _ecn,
    "duplicate": _share,
    "corrupt": _share,
    "reorder": _share,
    "gap": _gap,
    "rate": _rate,
    "slot": _slot,
    "seed": _seed,
}
CORRELATIONS = {  # and what they are of
    "delay_correlation": "jitter_ns",
    "duplicate_correlation": "duplicate",
    "corrupt_correlation": "corrupt",
}
ALIASES = {"latency": "delay", "drop": "loss"}  # older words that tc still knows


def parse(text: str) -> Spec:
    """Return the spec that a text in tc-netem(8)'s language describes; an empty one impairs nothing.

    Raises:
        SpecError: a word is unknown, misplaced or out of range, or two options contradict each other.
    """
    words = _Words(text)
    given: dict[str, dict[str, Any]] = {}
    while words:
        word = words.take()
        option = ALIASES.get(word, word)
        if option not in OPTIONS:
            raise refusal(word, f"one of {', '.join(OPTIONS)}", "delay 50ms loss 10%")
        if option in given:
            raise SpecError(f"{word!r}: expected each option once, got it twice: leave one out")
        given[option] = OPTIONS[option](words, option)
    fields = {name: value for options in given.values() for name, value in options.items()}
    return Spec(**_checked(fields, given))


def _checked(fields: dict[str, Any], given: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Check the rules between options, those of tc."""
    # How draws depend on each other is nothing to be told where none are made: it could not be printed.
    for correlation, of in CORRELATIONS.items():
        if not fields.get(of):
            fields.pop(correlation, None)
    if fields.get("reorder"):
        if not fields.get("delay_ns"):
            raise SpecError(
                "'reorder': expected a delay for the others to wait, as in 'delay 10ms reorder 25%': "
                "without one there is nothing to overtake"
            )
        fields.setdefault("gap", 1)
    elif "gap" in given:
        raise SpecError("'gap': expected a probability to send ahead, as in 'delay 10ms reorder 25% gap 5'")
    else:
        fields["reorder_correlation"] = 0
    if fields.get("distribution") and not (fields.get("delay_ns") and fields.get("jitter_ns")):
        raise SpecError(
            "'distribution': expected a delay and a jitter to distribute, as in "
            "'delay 50ms 10ms distribution normal'"
        )
    if fields.get("ecn") and not fields.get("loss"):
        raise SpecError("'ecn': expected a loss to mark instead, as in 'loss 10% ecn'")
    return fields
