"""The part of docs/reliability.md about faults, made of the cells."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from campaigns.faults.outcome import VERSION
from campaigns.outcome import Outcome
from campaigns.reliability import Part

CONTAINER = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
PROJECT = re.compile(r"socketlab-test-[0-9a-f]{8}")
FOLDER = re.compile(r"/[a-z]+/tmp[a-z0-9_]+/")  # as tempfile names them

# How a command can end. The first that fits a cell is its own.
ENDS: Mapping[str, Callable[[int], bool]] = {
    "Exit code 0: measured": lambda code: code == 0,
    "Exit code 4: some of it unmeasured": lambda code: code == 4,
    "Ended by the signal": lambda code: code in (130, 143) or code < 0,
    "Exit code 1: one line says why": lambda code: code == 1,
}


def section(recorded: Mapping[str, Any]) -> str:
    """Return the part of the page.

    Raises:
        ValueError: the cells are of another version.
    """
    if recorded["version"] != VERSION:
        raise ValueError(f"expected version {VERSION}, got {recorded['version']}: run make faults RECORD=1")
    cells = recorded["cells"]
    held = [cell for cell in cells if cell["outcome"] == Outcome.HELD]
    lines = [summary(recorded), ""]
    by_end: dict[str, list[Mapping[str, Any]]] = {words: [] for words in ENDS}
    for cell in held:
        by_end.setdefault(end(cell), []).append(cell)
    lines += [
        f"- **{words}** ({len(these)} cell{'s' * (len(these) > 1)}): {faults(these)}."
        for words, these in by_end.items()
        if these
    ]
    lines += [failure(cell) for cell in cells if cell not in held]
    return "\n".join(lines)


def summary(recorded: Mapping[str, Any]) -> str:
    """Return when and where the cells were recorded, and how many held."""
    cells, machine = recorded["cells"], recorded["machine"]
    counted = Counter(cell["outcome"] for cell in cells)
    came = [cell["seen"]["came_bytes"] for cell in cells if cell["seen"]["came_bytes"] is not None]
    back = sorted(cell["seen"]["recovery_s"] for cell in cells if cell["seen"]["recovery_s"] is not None)
    text = (
        f"**{len(cells)} cells: "
        + ", ".join(f"{counted[outcome]} {outcome}" for outcome in Outcome)
        + f"** ({machine['system']}, kernel {machine['kernel']}, {machine['engine']}, "
        f"{machine['cpus']} CPUs, load average {machine['load_average']}; {recorded['at'][:10]}; "
        f"{sum(cell['took_s'] for cell in cells):.0f} s, four side by side)."
    )
    if back:
        text += (
            f" The next experiment was answered in full within {back[len(back) // 2]:.1f} s in the median, "
            f"{back[-1]:.1f} s at the longest. Over TCP {sum(came):,} bytes arrived as they were sent."
        )
    return text


def end(cell: Mapping[str, Any]) -> str:
    """Return how the command of a cell ended, as a key of `ENDS`."""
    code = cell["seen"]["exit_code"]
    return next(
        (words for words, fits in ENDS.items() if code is not None and fits(code)), f"Exit code {code}"
    )


def faults(cells: Iterable[Mapping[str, Any]]) -> str:
    """Return the faults of these cells, each with its protocols and how many messages were answered.

    Left out: the protocols, where it was tried over both; the numbers, where all messages were answered.
    """
    found: dict[str, dict[str, str]] = {}
    for cell in cells:
        found.setdefault(cell["fault"], {})[cell["protocol"].upper()] = answered(cell["seen"]["fates"])
    return ", ".join(plain(name) + _over(protocols) for name, protocols in found.items())


def answered(fates: Mapping[str, int]) -> str:
    """Return how many messages were answered, and each fate but unmeasured; nothing: all were answered."""
    if fates.keys() <= {"answered"}:
        return ""
    others = [f"{number} {fate}" for fate, number in fates.items() if fate not in {"answered", "unmeasured"}]
    return ", ".join([str(fates.get("answered", 0)), *others])


def _over(protocols: Mapping[str, str]) -> str:
    if len(protocols) > 1 and not any(protocols.values()):
        return ""
    return f" ({', '.join(f'{protocol} {number}'.rstrip() for protocol, number in protocols.items())})"


def failure(cell: Mapping[str, Any]) -> str:
    """Return a cell that did not hold, with the reason."""
    left = f"; left: {', '.join(cell['seen']['left'])}" if cell["seen"]["left"] else ""
    return (
        f"- **{cell['outcome']}**: {cell['fault']} ({cell['protocol'].upper()}): {plain(cell['why'] + left)}"
    )


def plain(text: str) -> str:
    """Return a text without markup, and without the names that are others in each run."""
    text = CONTAINER.sub(r"\1", text)
    text = FOLDER.sub("", PROJECT.sub("socketlab-test", text))
    return " ".join(text.replace("|", "/").replace("<", "&lt;").split())


PART = Part("faults", section)
