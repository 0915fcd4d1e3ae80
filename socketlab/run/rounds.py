"""Run, continued: a sweep, experiment by experiment. One that breaks is told, and the others go on."""

from collections.abc import Callable

from socketlab.analyse.result import Result
from socketlab.analyse.sweep_curve import Round
from socketlab.describe.scenario import Engine, Experiment
from socketlab.describe.sweep import Sweep
from socketlab.errors import LabError


def run(
    experiment: Callable[[Experiment], Result],
    sweep: Sweep,
    told: Callable[[int, int], None],
    engine: Engine = Engine.AUTO,
) -> list[Round]:
    """Run a sweep.

    Args:
        experiment: runs one, as `Lab.experiment` does.
        sweep: what is to be measured.
        told: is called before each with how many are done, and of how many.
        engine: what impairs.
    """
    order = list(sweep.order())
    rounds = []
    for done, (number, loss_percent, protocol) in enumerate(order):
        told(done, len(order))
        asked = sweep.experiment(protocol, loss_percent, number, engine)
        try:
            rounds.append(Round(protocol, loss_percent, number, experiment(asked)))
        except LabError as error:
            rounds.append(Round(protocol, loss_percent, number, broken=str(error)))
    return rounds
