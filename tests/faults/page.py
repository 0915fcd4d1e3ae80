"""The part of docs/reliability.md about faults, made of the cells."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.faults.outcome import VERSION, Outcome
from tests.reliability import Part

CONTAINER = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
PROJECT = re.compile(r"socketlab-test-[0-9a-f]{8}")
FOLDER = re.compile(r"/[a-z]+/tmp[a-z0-9_]+/")  # as tempfile names them


def section(told: Mapping[str, Any]) -> str:
    """Return the part of the page.

    Raises:
        ValueError: the cells are of another version.
    """
    if told["version"] != VERSION:
        raise ValueError(f"expected version {VERSION}, got {told['version']}: run make faults RECORD=1")
    cells = told["cells"]
    counted = Counter(cell["outcome"] for cell in cells)
    machine = told["machine"]
    came = [cell["seen"]["came_bytes"] for cell in cells if cell["seen"]["came_bytes"] is not None]
    back = sorted(cell["seen"]["recovery_s"] for cell in cells if cell["seen"]["recovery_s"] is not None)
    lines = [
        f"{len(cells)} cells, {sum(cell['took_s'] for cell in cells):.0f} s in all, four side by side, on "
        f"{machine['cpus']} CPUs (load average {machine['load_average']}, {machine['system']}, "
        f"kernel {machine['kernel']}, {machine['engine']}; {told['at'][:10]}): "
        + ", ".join(f"{counted[outcome]} {outcome}" for outcome in Outcome)
        + ".",
    ]
    if back:
        lines[-1] += (
            f" The next experiment was answered in full after {back[len(back) // 2]:.1f} s in the median, "
            f"{back[-1]:.1f} s at the longest; beside it is what it took before the fault. "
            f"Over TCP {sum(came):,} bytes came in {len(came)} cells, and were compared with those that were "
            "sent."
        )
    lines += [
        "",
        "| fault | over | what is done | the command ends with | it reports | back after | left | outcome |",
        "|---|---|---|---|---|--:|---|---|",
    ]
    lines += [row(cell) for cell in cells]
    return "\n".join(lines)


def row(cell: dict[str, Any]) -> str:
    """Return a cell as a row of the table."""
    seen = cell["seen"]
    fates = ", ".join(f"{number} {fate}" for fate, number in sorted(seen["fates"].items()))
    code = "" if seen["exit_code"] is None else f"exit code {seen['exit_code']}"
    figures = "; ".join(f"{name}: {value}" for name, value in seen["figures"].items())
    sees = ": ".join(filter(None, [code, fates or seen["said"]]))
    if seen["expected_bytes"]:
        sees += f" ({seen['came_bytes']:,} of {seen['expected_bytes']:,} bytes, in order)"
    back = "" if seen["recovery_s"] is None else f"{seen['recovery_s']:.1f} s"
    if seen["usual_s"]:
        # A document of the first release has no start's time.
        start = f", a start: {seen['start_s']:.1f} s" if seen.get("start_s") else ""
        back += f" (usual: {seen['usual_s']:.1f} s{start})"
    if (seen["attempts"] or 1) > 1:
        back += f" ({seen['attempts']} attempts: {seen['meanwhile']})"
    outcome = cell["outcome"] + (f": {cell['why']}" if cell["why"] else "")
    left = ", ".join(seen["left"]) or "nothing"
    told = [
        cell["fault"],
        cell["protocol"],
        cell["does"],
        sees,
        "; ".join(filter(None, [seen["reported"], figures])),
    ]
    return "| " + " | ".join(map(plain, [*told, back, left, outcome])) + " |"


def plain(text: str) -> str:
    """Return a text for a table's cell, without the names that are others in each run."""
    text = CONTAINER.sub(r"\1", text)
    text = FOLDER.sub("", PROJECT.sub("socketlab-test", text))
    return " ".join(text.replace("|", "/").replace("<", "&lt;").split())


PART = Part("faults", section)
