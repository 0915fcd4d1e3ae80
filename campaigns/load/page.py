"""The part of docs/reliability.md about load, made of the figures."""

from collections.abc import Iterable, Mapping
from typing import Any

from campaigns.load.attacks import ATTACKS, KINDS
from campaigns.load.measure import STRETCHES
from campaigns.load.soak import CLASS, EACH_S
from campaigns.outcome import Outcome
from campaigns.reliability import Part

VERSION = 1  # of the document; changes when the meaning of a field does
SOAK = "soak"
MIB = 2**20
LEGEND = (
    "How many times as long an honest client waits beside the attack, in the median: over UDP; TCP, kept; "
    "TCP, new."
)


def section(recorded: Mapping[str, Any]) -> str:
    """Return the part of the page, from the document of the figures.

    Raises:
        ValueError: it is a document of another version, or lacks an attack.
    """
    found = {one["key"]: one for one in recorded["attacks"]}
    if recorded["version"] != VERSION or ATTACKS.keys() - found.keys() or not recorded[SOAK]:
        raise ValueError(f"expected version {VERSION} with all attacks: run make load RECORD=1")
    made = recorded["made"]
    outcomes = [Outcome(one["outcome"]) for one in [*found.values(), recorded[SOAK]]]
    counts = ", ".join(f"{outcomes.count(one)} {one}" for one in Outcome if one in outcomes)
    where = f"{made['system']}, kernel {made['kernel']}, {made['engine']}, {made['cpus']} CPUs"
    return "\n".join(
        [
            f"**{len(outcomes)} attacks: {counts}** ({where}; {made['at'][:10]}; {made['took_s']:.0f} s).",
            "",
            LEGEND,
            "",
            *(row(found[key]) for key in ATTACKS),
            "",
            memory(found.values()),
            "",
            *failures([*found.values(), recorded[SOAK] | {"key": SOAK}]),
            soaked(recorded[SOAK]),
        ]
    )


def row(one: Mapping[str, Any]) -> str:
    """Return an attack's line of the list."""
    waits = "; ".join(wait(one["seen"], kind) for kind in KINDS) if "seen" in one else ""
    return f"- `{one['key']}` ({one['what']}): {waits or one['outcome']}"


def wait(seen: Mapping[str, Any], kind: str) -> str:
    """Return how much longer an honest client waited beside the attack, and how often in vain."""
    if kind not in seen["beside"]:
        return "-"
    alone, beside = seen["alone"][kind], seen["beside"][kind]
    if beside["median_ms"] is None:
        return f"none of {beside['asked']:,} answered"
    ratio = f"{beside['median_ms'] / alone['median_ms']:.1f}×"
    in_vain = beside["asked"] - beside["answered"]
    return f"{ratio}, {in_vain:,} of {beside['asked']:,} unanswered" if in_vain else ratio


def memory(attacks: Iterable[Mapping[str, Any]]) -> str:
    """Return the most memory that the server took in any attack."""
    sizes = [sample["resident"] for one in attacks if "seen" in one for sample in one["seen"]["during"]]
    return f"The server's memory: at most {max(sizes) / MIB:.1f} MiB." if sizes else ""


def failures(several: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what did not hold or was not measured, a line each, and an empty one after them."""
    found = []
    for one in several:
        if "why" in one:
            found.append(f"- `{one['key']}` could not be measured: {one['why']}")
        for check in one.get("checks", ()):
            if not check["holds"]:
                undecided = " (undecided)" if check["holds"] is None else ""
                found.append(f"- `{one['key']}`: {check['statement']}: {check['seen']}{undecided}")
    return [*found, ""] if found else []


def soaked(soak: Mapping[str, Any]) -> str:
    """Return what is to be said of the soak."""
    if "answered" not in soak:
        return f"The soak could not be measured: {soak['why']}"

    def growth(name: str, unit: str, size: int) -> str:
        slope = {key: value / size for key, value in soak["slopes"][name].items()}
        return f"{slope['per_hour']:+.2f}{unit} ({slope['low']:+.2f} to {slope['high']:+.2f})"

    return (
        f"**The soak**: {soak['answered']:,} questions answered in {soak['seconds']:g} s, {soak['lost']:,} "
        f"datagrams lost. As traffic that is {soak['hours_of_a_class']:.1f} hours of a class of {CLASS}, "
        f"each with a line every {EACH_S:g} s; what needs time to show, it does not show. Growth an hour "
        f"(least squares through {STRETCHES} means, 95 % intervals): the server's memory "
        f"{growth('resident', ' MiB', MIB)}, its host's {growth('host', ' MiB', MIB)}, its descriptors "
        f"{growth('descriptors', '', 1)}."
    )


PART = Part("load", section)
