"""Chance that can be repeated: the seed says which datagrams are lost, and these are, and no others."""

from model import Model
from netem_impairment import Direction, parse

from socketlab.analyse.fates import Fate
from socketlab.analyse.result import UdpResult
from socketlab.claims import registry
from socketlab.claims.notebook import Outcome
from socketlab.describe.claims import BY_ID
from socketlab.hosts.lab import Lab
from tests.claims.told import told


def lost_by(spec: str, packets: list[int]) -> list[int]:
    """Return which of these packets are lost, as the model of netem has it."""
    model: Model[int] = Model(parse(spec))
    return [number for number in packets if not model.enqueue(0, 100, number)]


def test_lost_datagrams_are_those_that_the_seed_says(lab: Lab) -> None:
    (finding,) = registry.show(lab, [BY_ID["U7"]])
    assert finding.outcome is Outcome.SHOWN, told(finding)
    result = finding.figures["udp"]
    assert isinstance(result, UdpResult)
    assert result.network is not None
    specs = result.network.specs
    numbers = [message.number for message in result.story.messages]
    going = lost_by(specs[Direction.INGRESS], numbers)
    back = lost_by(specs[Direction.EGRESS], [number for number in numbers if number not in going])
    assert [message.number for message in result.story.messages if message.fate is Fate.LOST_GOING] == going
    assert [
        message.number for message in result.story.messages if message.fate is Fate.LOST_COMING_BACK
    ] == back
