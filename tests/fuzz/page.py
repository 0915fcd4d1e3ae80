"""The part of docs/reliability.md about bad input, made of the figures."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.fuzz import paths

paths.found()

from tests.fuzz.catalogue import TARGETS  # noqa: E402
from tests.fuzz.figures import VERSION  # noqa: E402 - our modules can be found from here on
from tests.fuzz.found import FOUND  # noqa: E402
from tests.reliability import Part  # noqa: E402


def section(told: Mapping[str, Any]) -> str:
    """Return the part of the page, from the document of the figures.

    Raises:
        ValueError: it is a document of another version, or lacks a target.
    """
    runs = {run["target"]: run for run in told["targets"]}
    if told["version"] != VERSION or TARGETS.keys() != runs.keys():
        raise ValueError(f"expected version {VERSION}, of these targets: run make fuzz RECORD=1")
    found = Counter(each.target for each in FOUND)
    made, total = told["made"], sum(run["executions"] for run in runs.values())
    broken = [name for name in TARGETS if runs[name]["broken"]]
    lines = [
        f"**{total:,} inputs** were tried on {len(TARGETS)} contracts, guided by coverage (libFuzzer by "
        f"atheris {made['atheris']}, Python {made['python']}, {made['machine']}; {made['at'][:10]}; seed "
        f"{made['seed']}). Each had its own number of inputs, or {made['seconds']} s, whichever came first: "
        "a slower or a busier machine tries fewer. "
        + (f"Broken at the end: {', '.join(broken)}. " if broken else "At the end every contract held. ")
        + f"Before, {len(FOUND)} inputs broke one; what broke is mended, and they are tried in each "
        "`make test-fast`.",
        "",
        "| target | parses | inputs | a second | edges | features | corpus | memory | broke, mended |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, target in TARGETS.items():
        run = runs[name]
        speed = run["executions"] / run["took_s"] if run["took_s"] else 0
        lines.append(
            f"| `{name}` | {target.parses} | {run['executions']:,} | {speed:,.0f} | {run['edges']:,} "
            f"| {run['features']:,} | {run['corpus']:,} | {run['memory_mb']} MB | {found[name]} |"
        )
    lines += ["", "What holds for any input:", ""]
    lines += [f"- `{name}`: {target.contract}" for name, target in TARGETS.items()]
    lines += ["", "What broke, and is mended:", ""]
    lines += [f"- `{each.target}`: {each.what}: {each.broke}" for each in FOUND]
    return "\n".join(lines)


PART = Part("fuzz", section)
