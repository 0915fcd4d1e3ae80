"""The matrix, and running it: each fault over each of its protocols gives a cell."""

import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from threading import Event

from campaigns.faults import commands, engine, hosts, limits, machine
from campaigns.faults.fault import BOTH, Fault
from campaigns.faults.outcome import Broken, Cell, Seen, allowed_s
from campaigns.faults.scene import Scene
from campaigns.outcome import Outcome, Result, Unmeasurable

LABS_EACH = 2  # of a protocol

FAULTS: tuple[Fault, ...] = (*hosts.FAULTS, *limits.FAULTS, *machine.FAULTS, *engine.FAULTS, *commands.FAULTS)


def tried(fault: Fault, scene: Scene) -> Cell:
    """Try a fault on a lab, and return what came of it; the lab is fit for the next one then."""
    try:
        return Cell(fault.name, fault.does, scene.protocol, Outcome.HELD, fault.run(scene))
    except Unmeasurable as error:
        return Cell(fault.name, fault.does, scene.protocol, Outcome.UNMEASURED, Seen(), str(error))
    except Broken as error:
        scene.stop()
        return Cell(fault.name, fault.does, scene.protocol, Outcome.BROKEN, error.seen, str(error))
    except Exception as error:  # noqa: BLE001 - an instrument that breaks says nothing about the lab
        scene.stop()
        why = f"the instrument broke: {type(error).__name__}: {error}"
        return Cell(fault.name, fault.does, scene.protocol, Outcome.UNMEASURED, Seen(), why)


def run(faults: Iterable[Fault], told: Callable[[Cell], None], labs_each: int = LABS_EACH) -> list[Cell]:
    """Try all faults, on labs side by side: each of them has to survive all that is tried on it.

    Args:
        faults: which.
        told: is called with each cell, as soon as it is known.
        labs_each: labs of each protocol.
    """
    wanted = list(faults)
    tables = [(protocol, wanted[n::labs_each]) for protocol in BOTH for n in range(labs_each)]
    interrupted = Event()

    def column(table: tuple[str, list[Fault]]) -> list[Cell]:
        protocol, ours = table
        cells: list[Cell] = []
        if not any(protocol in fault.protocols for fault in ours):
            return cells
        with tempfile.TemporaryDirectory() as folder:
            scene = Scene(protocol, Path(folder))
            try:
                for fault in ours:
                    if protocol in fault.protocols and not interrupted.is_set():
                        begun = time.monotonic()
                        cells.append(tried(fault, scene))
                        cells[-1].took_s = round(time.monotonic() - begun, 1)
                        told(cells[-1])
            finally:
                left = scene.close()
        if left:
            why = f"left: {', '.join(left)}"
            cells.append(
                Cell("the end", "the lab is removed", protocol, Outcome.BROKEN, Seen(left=left), why)
            )
            told(cells[-1])
        return cells

    with ThreadPoolExecutor(len(tables)) as pool:
        try:
            cells = [cell for column_of in pool.map(column, tables) for cell in column_of]
        except BaseException:
            interrupted.set()  # else each lab would be tried to the end before this one could
            raise
    return sorted(cells, key=lambda cell: place(cell.fault, cell.protocol))


def place(fault: str, protocol: str) -> tuple[int, int]:
    """Return where a cell stands in the matrix."""
    names = [each.name for each in FAULTS]
    return names.index(fault) if fault in names else len(names), BOTH.index(protocol)


def result(cell: Cell) -> Result:
    """Return what came of a cell."""
    seen = cell.seen
    back = (
        f"  back after {seen.recovery_s:.1f} s (usual: {seen.usual_s:.1f}, a start: {seen.start_s:.1f}, "
        f"allowed: {allowed_s(seen.usual_s, seen.start_s):.1f})"
        if seen.recovery_s is not None and seen.usual_s is not None and seen.start_s is not None
        else ""
    )
    what = cell.why or seen.reported or seen.said
    line = f"{cell.outcome:<22} {cell.protocol:<4} {cell.fault:<24} {cell.took_s:5.1f} s{back}  {what}"
    return Result(f"{cell.fault} {cell.protocol}", cell.outcome, line, asdict(cell), cell.why)
