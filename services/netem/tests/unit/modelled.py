"""What the model makes of an option's example."""

from dataclasses import replace

from model import Model
from netem_impairment import Counters, parse
from netem_impairment.option import Option

TABLE = tuple(range(-8192, 8192, 64))  # stands for the tables of iproute2, which is not everywhere
PACKETS = 20_000


def counted(option: Option) -> Counters:
    """Return what the model counts of packets that are a millisecond apart, impaired as in the example."""
    spec = replace(parse(option.example), seed=1)
    model = Model[int](spec, TABLE if spec.distribution else None)
    for number in range(PACKETS):
        model.enqueue(number * 1_000_000, 100, number)
        while model.dequeue(number * 1_000_000) is not None:
            pass
    return model.counters()
