"""From samples to medians, ratios and verdicts. No clock and no I/O."""

import statistics
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

HELD_UP_PERCENT = 3  # more of a core than this, taken by other programs, spoils a sample

Sample = dict[str, float]


@dataclass
class Row:
    """What was measured of one server in one experiment.

    `samples` is by round, so that servers can be compared within a round: on a machine that others use too,
    a round is as slow for one as for the other. Why there are none, or not all, is in `not_measured` (no
    verdict) or in `fault` (the server's).
    """

    name: str
    samples: dict[int, Sample] = field(default_factory=dict)
    not_measured: str = ""
    fault: str = ""

    @property
    def medians(self) -> Sample:
        """The median of each value over the rounds."""
        names = {name: None for sample in self.samples.values() for name in sample}
        return {
            name: statistics.median(sample[name] for sample in self.samples.values() if name in sample)
            for name in names
        }


Rows = Mapping[str, Row]


def ratios(row: Row, reference: Row, metric: str) -> list[float]:
    """Return a row's value divided by the reference's, for each round that has both."""
    return [
        sample[metric] / reference.samples[number][metric]
        for number, sample in sorted(row.samples.items())
        if metric in sample and reference.samples.get(number, {}).get(metric)
    ]


class Verdict(Enum):
    """What a target came to."""

    MET = "met"
    MISSED = "missed"
    UNMEASURED = "not measured"


@dataclass(frozen=True)
class Judgement:
    """A verdict, and the numbers that it rests on."""

    verdict: Verdict
    evidence: str


@dataclass(frozen=True)
class ShareOf:
    """A target: ours is at least so many times the reference (the median of the rounds' ratios)."""

    text: str
    reference: str
    metric: str
    at_least: float

    def judge(self, rows: Rows, ours: str) -> Judgement:
        """Compare our row with the reference's."""
        values = ratios(rows[ours], rows[self.reference], self.metric)
        if not values:
            return Judgement(Verdict.UNMEASURED, "")
        value = statistics.median(values)
        return Judgement(Verdict.MET if value >= self.at_least else Verdict.MISSED, f"{value:.2f}")


@dataclass(frozen=True)
class AheadOf:
    """A target: ours does more than each of some others (the median of the rounds' ratios)."""

    text: str
    others: tuple[str, ...]
    metric: str

    def judge(self, rows: Rows, ours: str) -> Judgement:
        """Compare our row with each; one that was not measured leaves it open, unless another is ahead."""
        compared = {other: ratios(rows[ours], rows[other], self.metric) for other in self.others}
        values = {other: statistics.median(rounds) for other, rounds in compared.items() if rounds}
        missing = [rows[other].name for other in self.others if other not in values]
        evidence = ""
        verdict = Verdict.UNMEASURED
        if values:
            nearest = min(values, key=lambda other: values[other])
            evidence = f"{values[nearest]:.2f} of {rows[nearest].name}"
            if values[nearest] <= 1:
                verdict = Verdict.MISSED
            elif not missing:
                verdict = Verdict.MET
        if missing:
            evidence += f"{'; ' if evidence else ''}without {', '.join(missing)}"
        return Judgement(verdict, evidence)


@dataclass(frozen=True)
class _Bound(ABC):
    """A target: a value of ours keeps a bound (the median over the rounds)."""

    text: str
    metric: str
    bound: float
    form: str

    @abstractmethod
    def kept(self, value: float) -> bool:
        """Tell whether a value keeps the bound."""

    def judge(self, rows: Rows, ours: str) -> Judgement:
        """Compare our value with the bound."""
        value = rows[ours].medians.get(self.metric)
        if value is None:
            return Judgement(Verdict.UNMEASURED, "")
        return Judgement(Verdict.MET if self.kept(value) else Verdict.MISSED, self.form.format(value).strip())


class AtMost(_Bound):
    """A target: a value of ours does not exceed a bound."""

    def kept(self, value: float) -> bool:
        """Tell whether a value keeps the bound."""
        return value <= self.bound


class Undisturbed(AtMost):
    """The same of a latency, which other programs that take a core make longer: then nothing is said."""

    def judge(self, rows: Rows, ours: str) -> Judgement:
        """Compare our value with the bound."""
        found = super().judge(rows, ours)
        held_up = rows[ours].medians.get("held_up_percent", 0)
        if found.verdict is Verdict.MISSED and held_up > HELD_UP_PERCENT:
            return Judgement(
                Verdict.UNMEASURED, f"{found.evidence}, but other programs had the core for {held_up:.0f} %"
            )
        return found


class AtLeast(_Bound):
    """A target: a value of ours reaches a bound."""

    def kept(self, value: float) -> bool:
        """Tell whether a value keeps the bound."""
        return value >= self.bound


Target = ShareOf | AheadOf | AtMost | AtLeast


def order(keys: Sequence[str], number: int) -> list[str]:
    """Return the order of a round: each starts with another server, every second one goes backwards."""
    start = number % len(keys)
    turned = [*keys[start:], *keys[:start]]
    return turned[::-1] if number % 2 else turned
