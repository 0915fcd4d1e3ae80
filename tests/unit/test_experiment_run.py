"""A run of an experiment, with a lab that is made up."""

import json
from dataclasses import asdict, replace
from typing import cast

from netem_impairment import Counters, Direction

from socketlab.hosts.lab import Lab
from socketlab.run import experiments
from tests.unit import runs


class FakeLab:
    """Its sidecar has these packets on their way, each time that it is asked; in the end none."""

    def __init__(self, *queued: int) -> None:
        self.queued = list(queued)
        self.asked = 0

    def sidecar_now(self) -> str:
        """Return what `netem stats --json` says."""
        self.asked += 1
        left = self.queued.pop(0) if self.queued else 0
        directions = {direction: {"spec": "x", **asdict(Counters(queued=left))} for direction in Direction}
        said = {"engine": "userspace", "reason": "", "epoch": 1, "started_ns": 1, "namespace": {}}
        return json.dumps(said | {"directions": directions})


def queued(lab: FakeLab, seconds: float) -> list[int]:
    """Return what is on its way when the lab has settled, of an impairment that delays so long each way."""
    spec = replace(runs.FIVE.experiment.impairment.spec, delay_ns=int(seconds * 1e9))
    impairment = replace(runs.FIVE.experiment.impairment, spec=spec)
    seen = experiments.settled(cast("Lab", lab), replace(runs.FIVE.experiment, impairment=impairment))
    return [counters.queued for counters in seen.counters.values()]


def test_counters_are_those_when_nothing_is_on_its_way_any_more() -> None:
    lab = FakeLab(3, 1)
    assert queued(lab, 30) == [0, 0]
    assert lab.asked == 3


def test_counters_are_not_waited_for_beyond_the_longest_delay() -> None:
    lab = FakeLab(*[1] * 10_000_000)
    assert queued(lab, 0.001) == [1, 1]
