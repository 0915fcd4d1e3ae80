"""The tests, as the first program of the kernel that has netem; ends by switching the kernel off.

What came out is in /results, a row each, and on the console while it happens.
"""

import ctypes
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from tests.kernel.machine import BEGIN, PREFIX
from tests.kernel.rows import Named, Row

RESULTS = Path("/results")
POWER_OFF = 0x4321FEDC


def guarded(name: str, run: Callable[[], Row]) -> Row:
    """Run a case; what it raises makes it fail."""
    begun = time.monotonic()
    try:
        row = run()
    except Exception as error:  # noqa: BLE001 - one case that breaks must not hide the others
        where = traceback.extract_tb(error.__traceback__)
        place = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(where[-4:]))
        row = Row(name, False, f"{type(error).__name__}: {error} ({place})")
    row.name, row.took_s = name, time.monotonic() - begun
    return row


def main() -> None:
    """Run the cases of one part whose name has a word; both are in the environment."""
    print(BEGIN, flush=True)
    part, only = os.environ["LAB_PART"], os.environ.get("LAB_ONLY", "").replace("_", " ")
    done: list[Row] = []
    cases: Callable[[], Iterator[Named]] = import_module(f"tests.kernel.{PREFIX}{part}").cases
    for name, run in cases():
        if only not in name:
            continue
        done.append(guarded(name, run))
        row = done[-1]
        print(f"{'ok' if row.passed else 'FAILED':6} {row.took_s:5.1f} s  {row.name}: {row.said}", flush=True)
        write(part, done, finished=False)
    write(part, done, finished=True)


def write(part: str, rows: list[Row], *, finished: bool) -> None:
    """Write down what is known so far."""
    known = {"finished": finished, "kernel": os.uname().release, "rows": [asdict(row) for row in rows]}
    (RESULTS / f"{part}.json").write_text(json.dumps(known, allow_nan=False), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except BaseException:  # noqa: BLE001 - whatever it is, without the next line the kernel never ends
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        libc = ctypes.CDLL(None)
        libc.sync()
        libc.reboot(POWER_OFF)
