"""The part of docs/reliability.md about load, made of the figures."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.load.attacks import ATTACKS, KINDS, Outcome
from tests.load.document import MARKS, SOAK, VERSION
from tests.load.measure import STRETCHES
from tests.load.soak import CLASS, EACH_S
from tests.reliability import Part

MIB = 2**20
LEGEND = (
    "UDP and TCP: the median time to an answer of an honest client alone, then beside the attack, and how "
    "many of its questions were answered beside it."
)


def section(told: Mapping[str, Any]) -> str:
    """Return the part of the page, from the document of the figures.

    Raises:
        ValueError: it is a document of another version, or lacks an attack.
    """
    found = {one["key"]: one for one in told["attacks"]}
    if told["version"] != VERSION or ATTACKS.keys() - found.keys() or not told[SOAK]:
        raise ValueError(f"expected version {VERSION} with all attacks: run make load RECORD=1")
    made = told["made"]
    outcomes = [Outcome(one["outcome"]) for one in [*found.values(), told[SOAK]]]
    counts = ", ".join(f"{outcomes.count(one)} {one}" for one in Outcome if one in outcomes)
    where = f"{made['system']}, kernel {made['kernel']}, {made['engine']}, {made['cpus']} CPUs"
    return "\n".join(
        [
            f"**{len(outcomes)} attacks: {counts}** ({where}; {made['at'][:10]}; {made['took_s']:.0f} s).",
            "",
            "| attack | outcome | memory before, at most, after | descriptors | UDP | TCP, kept | TCP, new |",
            "|---|---|---|---|---|---|---|",
            *(row(found[key]) for key in ATTACKS),
            "",
            LEGEND,
            "",
            "What did not hold, or was not measured:",
            "",
            *(list(failures([*found.values(), told[SOAK] | {"key": SOAK}])) or ["- nothing"]),
            "",
            "What was seen in each:",
            "",
            *(line for key in ATTACKS for line in details(found[key])),
            "",
            *soaked(told[SOAK]),
        ]
    )


def row(one: Mapping[str, Any]) -> str:
    """Return an attack's row of the table."""
    words = [f"`{one['key']}`: {one['what']}", MARKS[Outcome(one["outcome"])]]
    if "seen" not in one:
        return "| " + " | ".join([*words, *[""] * (2 + len(KINDS))]) + " |"
    seen = one["seen"]
    sizes = (
        seen["before"]["resident"],
        max(sample["resident"] for sample in seen["during"]),
        seen["after"]["resident"],
    )
    words.append(", ".join(f"{size / MIB:.1f}" for size in sizes) + " MiB")
    most = max(sample["descriptors"] for sample in seen["during"])
    words.append(f"{seen['before']['descriptors']}, {most:,}, {seen['after']['descriptors']}")
    for kind in KINDS:
        if kind not in seen["beside"]:
            words.append("")
            continue
        alone, beside = seen["alone"][kind], seen["beside"][kind]
        if beside["median_ms"] is None:
            words.append(f"{alone['median_ms']:.2f} ms; none of {beside['asked']:,} answered")
        else:
            ratio = beside["median_ms"] / alone["median_ms"]
            words.append(
                f"{alone['median_ms']:.2f}, {beside['median_ms']:.2f} ms ({ratio:.1f}×), "
                f"{beside['answered']:,} of {beside['asked']:,}"
            )
    return "| " + " | ".join(words) + " |"


def failures(several: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Return what did not hold, or was not measured."""
    for one in several:
        if "why" in one:
            yield f"- `{one['key']}` could not be measured: {one['why']}"
        for check in one.get("checks", ()):
            if not check["holds"]:
                undecided = " (undecided)" if check["holds"] is None else ""
                yield f"- `{one['key']}`: {check['statement']}: {check['seen']}{undecided}"


def details(one: Mapping[str, Any]) -> Iterable[str]:
    """Return what was seen of an attack beside what is in the table."""
    own = [check for check in one.get("checks", ()) if not check["statement"].startswith("an honest client")]
    said = "; ".join(f"{check['statement']}: {check['seen']}" for check in own)
    yield f"- `{one['key']}`: {said or 'nothing'}"


def soaked(soak: Mapping[str, Any]) -> list[str]:
    """Return what is to be said of the soak."""
    if "answered" not in soak:
        return [f"The soak could not be measured: {soak['why']}"]

    def told(name: str, unit: str, size: int) -> str:
        slope = {key: value / size for key, value in soak["slopes"][name].items()}
        return f"{slope['per_hour']:+.2f} {unit} an hour ({slope['low']:+.2f} to {slope['high']:+.2f})"

    pace = CLASS / EACH_S * 3600
    seen = "; ".join(f"{check['statement']}: {check['seen']}" for check in soak["checks"])
    text = (
        f"**The soak**: {soak['answered']:,} questions answered in {soak['seconds']:g} s, {soak['lost']:,} "
        "datagrams lost. It is *not* an hour: what needs time to show, and not traffic, it does not show. As "
        f"traffic it is {soak['hours_of_a_class']:.1f} hours of a class of {CLASS} in which each types a "
        f"line every {EACH_S:g} s ({pace:,.0f} lines an hour). Lines by least squares through the means of "
        f"{STRETCHES} stretches of the {len(soak['samples'])} samples, with 95 % intervals: the server's "
        f"memory {told('resident', 'MiB', MIB)}, its host's {told('host', 'MiB', MIB)}, its descriptors "
        f"{told('descriptors', 'of them', 1)}. {seen}."
    )
    return [text]


PART = Part("load", section)
