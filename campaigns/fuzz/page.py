"""The part of docs/reliability.md about bad input, made of the figures."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from campaigns.fuzz.catalogue import TARGETS
from campaigns.fuzz.found import FOUND
from campaigns.reliability import Part

VERSION = 1  # of the document


def section(recorded: Mapping[str, Any]) -> str:
    """Return the part of the page, from the document of the figures.

    Raises:
        ValueError: it is a document of another version, or lacks a target.
    """
    runs = {run["target"]: run for run in recorded["targets"]}
    if recorded["version"] != VERSION or TARGETS.keys() != runs.keys():
        raise ValueError(f"expected version {VERSION}, of these targets: run make fuzz RECORD=1")
    found = Counter(each.target for each in FOUND)
    made, total = recorded["made"], sum(run["executions"] for run in runs.values())
    broken = [name for name in TARGETS if runs[name]["broken"]]
    lines = [
        f"**{total:,} inputs on {len(TARGETS)} contracts: "
        + (f"broken: {', '.join(broken)}" if broken else "every contract held")
        + f"** (libFuzzer by atheris {made['atheris']}, guided by coverage; Python {made['python']}, "
        f"{made['machine']}; {made['at'][:10]}; seed {made['seed']}; at most {made['seconds']} s a target). "
        f"{len(FOUND)} inputs broke one before; it is mended, and `make test-fast` tries them.",
        "",
    ]
    for name, target in TARGETS.items():
        mended = f", {found[name]} mended" if found[name] else ""
        lines.append(f"- `{name}` ({target.parses}): {runs[name]['executions']:,}{mended}")
    return "\n".join(lines)


PART = Part("fuzz", section)
