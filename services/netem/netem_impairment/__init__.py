"""What is to be done to packets, as data: tc-netem(8)'s language, directions, traffic, and what was counted.

Pure: no clock, no input or output, nothing but the standard library. The sidecar and the host side both read
specs with it, so that a wrong one is refused before anything is touched.
"""

from .counters import Counters
from .options.loss import GilbertElliott, RandomLoss, StateLoss
from .options.slot import Slot
from .request import Direction, Directions, Impairment, Traffic, parse_directions, parse_traffic, seeded
from .seeds import spread
from .spec import Spec, parse
from .units import SpecError

__all__ = [
    "Counters",
    "Direction",
    "Directions",
    "GilbertElliott",
    "Impairment",
    "RandomLoss",
    "Slot",
    "Spec",
    "SpecError",
    "StateLoss",
    "Traffic",
    "parse",
    "parse_directions",
    "parse_traffic",
    "seeded",
    "spread",
]
