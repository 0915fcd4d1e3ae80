"""Runs an experiment: round after round, all servers in each, every time in another order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from bench.errors import ServerFaultError, UnmeasurableError
from bench.experiments import Experiment
from bench.samples import Settings
from bench.stats import HELD_UP_PERCENT, Row, Sample, order

Progress = Callable[[str], None]

TRIES = 3


class HasSettings(Protocol):
    """What every measurement needs, whatever else is in it."""

    @property
    def settings(self) -> Settings:
        """How long and how much is measured."""


class Candidate(Protocol):
    """What is measured: a server, ..."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def missing(self) -> str:
        """Why it cannot be measured here."""


B = TypeVar("B", bound=HasSettings)
C = TypeVar("C", bound=Candidate)


@dataclass
class SecondTries:
    """How often a measurement may still be repeated: on a busy machine the bench would never end."""

    left: int

    def take(self) -> bool:
        """Use one up, if there is one."""
        self.left -= 1
        return self.left >= 0


def run(
    experiment: Experiment[B, C],
    servers: Mapping[str, C],
    bench: B,
    progress: Progress,
) -> dict[str, Row]:
    """Measure the experiment's servers in turn.

    A server at fault, or one that cannot be measured, is left out of the later rounds; the others go on.
    """
    rows = {key: Row(servers[key].name, not_measured=servers[key].missing) for key in experiment.servers}
    rounds = rounds_of(experiment, bench)
    second_tries = SecondTries(bench.settings.second_tries)
    for number in range(rounds):
        for key in order(experiment.servers, number):
            row = rows[key]
            progress(f"{experiment.key}, round {number + 1} of {rounds}: {row.name}")
            if row.not_measured or row.fault:
                continue
            try:
                row.samples[number] = _undisturbed(experiment, bench, servers[key], second_tries)
            except ServerFaultError as error:
                row.fault = str(error)
            except (UnmeasurableError, OSError) as error:
                row.not_measured = str(error)
    return rows


def _undisturbed(experiment: Experiment[B, C], bench: B, server: C, second_tries: SecondTries) -> Sample:
    """Measure, and again if other programs took a core meanwhile; return the least disturbed sample."""
    samples = [experiment.measure(bench, server)]
    while (
        samples[-1].get("held_up_percent", 0) > HELD_UP_PERCENT
        and len(samples) < TRIES
        and second_tries.take()
    ):
        samples.append(experiment.measure(bench, server))
    return min(samples, key=lambda sample: sample.get("held_up_percent", 0))


def rounds_of(experiment: Experiment[Any, Any], bench: HasSettings) -> int:
    """Return how many rounds an experiment has."""
    return min(bench.settings.rounds, experiment.rounds_at_most)
