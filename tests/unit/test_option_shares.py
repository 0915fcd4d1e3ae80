"""What the host side expects of an option, beside what the model makes of it."""

from collections.abc import Callable

import pytest
from netem_impairment import Counters, Direction, Spec, parse
from netem_impairment.option import Option
from netem_impairment.spec import OPTIONS

from socketlab.analyse import asked
from socketlab.analyse.asked import Share
from socketlab.analyse.corruption import flips
from socketlab.describe.scenario import Engine
from tests.unit.modelled import counted

FLIPS = flips(64, Engine.USERSPACE, Direction.INGRESS)
DEVIATIONS = 6  # of a binomial share: two in a billion


# What the host side expects of each counter, as a share, and of what.
EXPECTED: dict[str, tuple[Callable[[Spec], Share], Callable[[Counters], int]] | None] = {
    "dropped": (lambda spec: asked.packet_loss(spec, copies_counted=True), lambda found: found.packets),
    "duplicated": (lambda spec: asked.duplication(spec, FLIPS), lambda found: found.packets),
    "corrupted": (asked.corruption, lambda found: found.packets),
    "reordered": (asked.sent_ahead, lambda found: found.packets),
    "over_limit": None,  # a matter of time, not of chance: nothing is expected of it
}


@pytest.mark.parametrize("option", [one for one in OPTIONS if one.counted], ids=lambda option: option.word)
def test_option_comes_to_the_share_that_is_expected_of_it(option: Option) -> None:
    expected = EXPECTED[option.counted]
    if expected is None:
        return
    of_spec, of = expected
    found = counted(option)
    share, trials = of_spec(parse(option.example)).expected, of(found)
    deviation = (trials * share * (1 - share)) ** 0.5
    assert abs(getattr(found, option.counted) - trials * share) <= DEVIATIONS * deviation
