"""Bursts: packets wait for the next slot, and leave in it together."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from .. import units
from ..attributes import numbers_of
from ..option import Fields, Option
from ..spec_words import Words, parse_distribution
from ..units import S32_MAX, SpecError

SLOT = 12  # TCA_NETEM_SLOT
LAYOUT = struct.Struct("=qqiiqq")  # delays, packets, bytes, delay and jitter of the distribution


@dataclass(frozen=True)
class Slot:
    """Packets leave in bursts: when, and how much at most. 0 packets or bytes: no such limit."""

    min_delay_ns: int = 0
    max_delay_ns: int = 0
    distribution: str | None = None
    dist_delay_ns: int = 0
    dist_jitter_ns: int = 0
    packets: int = 0
    bytes: int = 0

    def __str__(self) -> str:
        """Return it in tc's language."""
        if self.distribution is not None:
            words = [f"slot distribution {self.distribution}", units.duration(self.dist_delay_ns),
                     units.duration(self.dist_jitter_ns)]  # fmt: skip
        else:
            words = [f"slot {units.duration(self.min_delay_ns)}", units.duration(self.max_delay_ns)]
        words += [f"packets {self.packets}"] if self.packets else []
        words += [f"bytes {self.bytes}"] if self.bytes else []
        return " ".join(words)


@dataclass(frozen=True)
class SlotFields:
    """When bursts leave; None: packets leave when they are due."""

    slot: Slot | None = None


def parse(words: Words) -> Fields:
    """Read `MIN [MAX]` or `distribution NAME DELAY JITTER`, then `[packets N] [bytes N]`."""
    fields = _parse_distributed(words) if words.follows("distribution") else _parse_even(words)
    for name in ("packets", "bytes"):
        if words.follows(name):
            text = words.needed(name, "a number", f"slot 10ms {name} 5")
            fields[name] = units.whole_number(text, 1, S32_MAX, "a number", f"slot 10ms {name} 5")
    return {"slot": Slot(**fields)}


def _parse_distributed(words: Words) -> Fields:
    example = "slot distribution normal 10ms 2ms"
    fields: Fields = {"distribution": parse_distribution(words, "distribution", example) or "uniform"}
    for name in ("dist_delay_ns", "dist_jitter_ns"):
        fields[name] = units.time_ns(words.needed("slot", "a time", example), "a time", example)
    if not 0 < fields["dist_jitter_ns"] <= S32_MAX:
        raise SpecError(
            f"'slot': expected a jitter above 0 and at most {units.duration(S32_MAX)}, as in {example!r}"
        )
    return fields


def _parse_even(words: Words) -> Fields:
    example = "slot 10ms 20ms packets 5"
    least = most = units.time_ns(words.needed("slot", "a time", example), "a time", example)
    if words.number_follows():
        most = units.time_ns(words.take(), "a time", example)
    if not 0 < most >= least:
        raise SpecError(f"'slot': expected a delay above 0 and no larger than the last, as in {example!r}")
    return {"min_delay_ns": least, "max_delay_ns": most}


def render(spec: SlotFields) -> str:
    """Return its words."""
    return str(spec.slot) if spec.slot else ""


def to_kernel(spec: SlotFields) -> dict[int, bytes]:
    """Return the delays and limits; zeros where there are no slots."""
    slot = spec.slot or Slot()
    delays, limits = (slot.min_delay_ns, slot.max_delay_ns), (slot.packets, slot.bytes)
    return {SLOT: LAYOUT.pack(*delays, *limits, slot.dist_delay_ns, slot.dist_jitter_ns)}


def from_kernel(values: Mapping[int, bytes]) -> Fields:
    """Return the slots; whichever table they have, a dump does not show it."""
    if SLOT not in values:
        return {"slot": None}
    least, most, packets, size, delay, jitter = numbers_of(values, SLOT, LAYOUT)
    return {"slot": Slot(least, most, "uniform" if jitter else None, delay, jitter, packets, size)}


OPTION = Option(
    "slot",
    forms=(("slot …", "packets leave in bursts (kernel's engine)"),),
    example="slot 10ms 20ms packets 5 bytes 3000",
    fields=SlotFields,
    parse=parse,
    render=render,
    to_kernel=to_kernel,
    from_kernel=from_kernel,
    # get_slot_next() draws when a packet leaves, by get_random_u32() or in between the packets' own draws:
    # when that happens no seed decides.
    kernel_alone=(
        "not in the user-space engine, for the kernel's draws for it follow no seed: "
        "use the kernel's engine, or leave it out"
    ),
)
