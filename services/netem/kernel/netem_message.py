"""The options of the qdisc netem as its netlink message has them: a structure, and attributes behind it.

All of them are written, always. The kernel's netem_change() leaves as it was what a message does not mention
(correlation, reordering, corruption, rate, slot): a `tc qdisc change` from "rate 1mbit" to "delay 1ms" keeps
the rate. Only a distribution's table cannot be taken back, nor can a dump show whether there is one.

What stands here is the part that options share, and that is closed: the kernel adds options as attributes,
and each option's file has its own (netem_impairment/options/).

Source: linux/pkt_sched.h; netem_change() and netem_dump() of the kernel's net/sched/sch_netem.c.
"""

import struct
from collections.abc import Sequence
from dataclasses import fields, replace

from lab.failures import Failure
from netem_impairment import RandomLoss, Spec
from netem_impairment.attributes import attribute, attributes, numbers_of, unpacked
from netem_impairment.spec import OPTIONS
from netem_impairment.units import U32_MAX

STRUCTURE = struct.Struct("=6I")  # tc_netem_qopt: latency, limit, loss, gap, duplicate, jitter
CORRELATION, CORRELATIONS = 1, struct.Struct("=3I")  # TCA_NETEM_CORR: of delay, loss, duplicate
TABLE, SLOT_TABLE = 2, 13  # TCA_NETEM_DELAY_DIST, TCA_NETEM_SLOT_DIST
TICK_NS = 64  # of the kernel's packet scheduler, in the structure


def netem(spec: Spec, table: Sequence[int] | None = None, slot_table: Sequence[int] | None = None) -> bytes:
    """Return the options of netem for a spec.

    Args:
        spec: what it is to do; without a seed the draws go on as they do, or begin anywhere.
        table: the numbers of spec.distribution, if it has one.
        slot_table: those of spec.slot.distribution.
    """
    random_loss = spec.loss if isinstance(spec.loss, RandomLoss) else RandomLoss(0)
    data = STRUCTURE.pack(
        _ticks(spec.delay_ns),
        spec.limit,
        random_loss.probability,
        spec.gap,
        spec.duplicate,
        _ticks(spec.jitter_ns),
    )
    correlations = (spec.delay_correlation, random_loss.correlation, spec.duplicate_correlation)
    data += attribute(CORRELATION, CORRELATIONS.pack(*correlations))
    for option in OPTIONS:
        for kind, value in option.to_kernel(spec).items():
            data += attribute(kind, value)
    for kind, numbers in ((TABLE, table), (SLOT_TABLE, slot_table)):
        if numbers:
            data += attribute(kind, struct.pack(f"={len(numbers)}h", *numbers))
    return data


def _ticks(time_ns: int) -> int:
    return min(time_ns // TICK_NS, U32_MAX)


def read_netem(options: bytes) -> Spec:
    """Return the spec that a dump of netem shows.

    It never shows which table is used: `distribution` is None, that of a slot "uniform". A kernel without
    `seed` shows none, others show one also when they chose it themselves.

    Raises:
        ValueError: something in it is shorter than it has to be.
    """
    latency, limit, loss, gap, duplicate, jitter = unpacked(STRUCTURE, options)
    values = attributes(options, STRUCTURE.size)
    of_delay, of_loss, of_duplicate = numbers_of(values, CORRELATION, CORRELATIONS)
    found = {
        "limit": limit,
        "delay_ns": latency * TICK_NS,
        "jitter_ns": jitter * TICK_NS,
        "delay_correlation": of_delay,
        "loss": RandomLoss(loss, of_loss) if loss else None,
        "duplicate": duplicate,
        "duplicate_correlation": of_duplicate,
        "gap": gap,
    }
    for option in OPTIONS:
        found |= option.from_kernel(values)
    return Spec(**found)


def as_dumped(spec: Spec) -> Spec:
    """Return what a dump shows of a spec that the kernel has taken whole."""
    slot = replace(spec.slot, distribution="uniform") if spec.slot and spec.slot.distribution else spec.slot
    return replace(spec, distribution=None, slot=slot)


def check_taken(requested: Spec, there: Spec) -> None:
    """Check that netem has taken all that was requested.

    Raises:
        Failure: it has not; the message names the first option that differs.
    """
    expected = as_dumped(requested)
    if expected.seed is None:
        there = replace(there, seed=None)  # one that the kernel chose
    for option in OPTIONS:
        for field in fields(option.fields):
            wanted, got = getattr(expected, field.name), getattr(there, field.name)
            if wanted == got:
                continue
            if option.since and got == field.default:
                lacks = f"this kernel's netem has none, Linux {option.since} and newer do"
                raise Failure(f"{option.word}: {lacks}: leave it out")
            raise Failure(f"netem: expected {field.name} {wanted}, the kernel has {got}")
