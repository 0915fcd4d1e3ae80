"""Analyse: how many messages an experiment is expected to answer, before it runs."""

from dataclasses import dataclass

from netem_impairment import Direction

from socketlab.analyse import asked
from socketlab.analyse.corruption import flips
from socketlab.analyse.intervals import CONFIDENCE, at_most
from socketlab.describe.scenario import Engine, Experiment


@dataclass(frozen=True)
class Expectation:
    """How many of some messages are answered.

    Attributes:
        of: messages.
        going, back: chance that a message reaches the server, and that its answer reaches the client.
        independent: one message's fate says nothing about the next one's: only then is there a range.
    """

    of: int
    going: float
    back: float
    independent: bool

    @property
    def mean(self) -> float:
        """The mean of many runs."""
        return self.of * self.going * self.back

    @property
    def range(self) -> tuple[int, int]:
        """The least and the most answers that 99.9 % of all runs have."""
        return binomial_range(self.of, self.going * self.back)


def of_answers(experiment: Experiment, engine: str = Engine.USERSPACE) -> Expectation | None:
    """Return how many datagrams are expected to be answered; None: copies of them make that hard to say.

    Args:
        experiment: what is to happen.
        engine: what impairs: of corrupted datagrams the kernel's lets some more pass.
    """
    chances, independent = [], True
    for direction in (Direction.INGRESS, Direction.EGRESS):
        spec = experiment.impairment.of(direction)
        if spec is None:
            chances.append(1.0)
            continue
        if spec.duplicate:
            return None
        share = asked.loss(spec, flips(experiment.stream.size, engine, direction))
        chances.append(1 - share.expected)
        independent = independent and share.independent
    going, back = chances
    return Expectation(experiment.stream.count, going, back, independent)


def binomial_range(trials: int, chance: float, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """Return the least and the most successes that runs of independent trials have.

    Fewer come, and more come, in at most half of the remaining share of all runs each.

    Args:
        trials: of a run.
        chance: of success, from 0 to 1.
        confidence: share of the runs that lie in the range, or more of them.
    """
    tail = (1 - confidence) / 2
    return trials - at_most(trials, 1 - chance, tail), at_most(trials, chance, tail)
