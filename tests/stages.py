"""Runs the stages of `make test` one after the other, and says how long each took.

    python -m tests.stages [STAGE ...]        no stage: all of them

All stages run, also after one that failed: a developer wants to see all that is broken. Then the exit code
is 1. In the end nothing of them may be left on this machine (`tests/cleanliness.py`).
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import repeat
from typing import IO

from tests import cleanliness

PYTEST = [sys.executable, "-m", "pytest", "-q", "--durations=3"]
NETEM = "services/netem/tests"  # that product's own

STAGES: dict[str, list[list[str]]] = {
    "lint": [
        [sys.executable, "-m", "ruff", "check"],
        [sys.executable, "-m", "ruff", "format", "--check"],
        [sys.executable, "-m", "tests.scan"],
    ],
    "types": [[sys.executable, "-m", "mypy"]],
    # A process each, side by side. Two workers that share all of these tests import all of them twice, and
    # report each test to a third process: 15 s of a processor's time.
    "unit": [[*PYTEST, "tests/unit", f"{NETEM}/unit"]],
    "socket": [[*PYTEST, "tests/socket", "tests/fuzz"]],
    "bench": [[*PYTEST, "--numprocesses=2", "--dist=worksteal", "tests/bench", f"{NETEM}/bench"]],
    "browser": [[*PYTEST, "tests/browser"]],
    "impairment": [
        [*PYTEST, "--numprocesses=6", "--dist=worksteal", "tests/impairment", f"{NETEM}/impairment"]
    ],
    # Which tests share a lab, and so a worker, and which of them come first: tests/integration/conftest.py.
    "integration": [
        [
            *PYTEST,
            "--numprocesses=4",
            "--dist=loadfile",
            "--no-loadscope-reorder",
            "tests/integration",
            f"{NETEM}/docker",
        ]
    ],
    # What takes the time is the processor's, for programs that start on hosts. The waiting (for what a claim
    # says is never to come, and for delays) is done beside that.
    "claims": [[*PYTEST, "--numprocesses=6", "--dist=load", "--maxschedchunk=1", "tests/claims"]],
    # All of them look at one lab, and making that is what takes the time.
    "security": [[*PYTEST, "tests/security"]],
    "faults": [[*PYTEST, "tests/faults"]],
    # Alone: it takes all of the machine.
    "load": [[*PYTEST, "tests/load"]],
}
# Each of these leaves a part of the machine unused: what is beside it in this list is run at the same time.
SIDE_BY_SIDE = (("lint", "types", "unit", "socket"), ("bench", "impairment"), ("security", "faults"))


def groups(names: Sequence[str]) -> list[list[str]]:
    """Return the stages in their order, and those together that are run side by side."""
    found: list[list[str]] = []
    for name in names:
        partners = next((group for group in SIDE_BY_SIDE if name in group), (name,))
        together = next((group for group in found if group[0] in partners), None)
        if together is None:
            found.append([name])
        else:
            together.append(name)
    return found


def run_stage(name: str, run: cleanliness.Run, output: IO[bytes] | None) -> tuple[str, float, bool]:
    """Run a stage; return its name, how long it took in seconds, and whether it has passed.

    Args:
        name: of the stage.
        run: of the tests.
        output: where all that it says goes; None: to our own.
    """
    begun = time.monotonic()
    codes = [
        subprocess.run(command, check=False, env=run.environment, stdout=output, stderr=output).returncode
        for command in STAGES[name]
    ]
    return name, time.monotonic() - begun, not any(codes)


def run_group(names: Sequence[str], run: cleanliness.Run) -> Iterator[tuple[str, float, bool]]:
    """Run stages side by side. What each says stays together: it comes when the stage is over."""
    if len(names) == 1:
        print(f"--- {names[0]}", flush=True)
        yield run_stage(names[0], run, None)
        return
    print(f"side by side: {', '.join(names)}", flush=True)
    with ThreadPoolExecutor(len(names)) as pool, ExitStack() as files:
        outputs = [files.enter_context(tempfile.TemporaryFile()) for _name in names]
        done = [pool.submit(run_stage, *each) for each in zip(names, repeat(run), outputs)]
        for row, output in zip(done, outputs, strict=True):
            result = row.result()
            output.seek(0)
            print(f"--- {result[0]}\n{output.read().decode(errors='replace')}", end="", flush=True)
            yield result


def main() -> int:
    """Run the stages that are named."""
    names = sys.argv[1:] or list(STAGES)
    if unknown := [name for name in names if name not in STAGES]:
        print(f"stages: expected some of {', '.join(STAGES)}, got {', '.join(unknown)}", file=sys.stderr)
        return 2
    for line in cleanliness.reap():
        print(line, flush=True)
    first = time.monotonic()
    run = cleanliness.Run()
    rows: list[tuple[str, float, bool]] = []
    try:
        before = cleanliness.look(run)
        for group in groups(names):
            rows += run_group(group, run)
        print("--- cleanliness", flush=True)
        begun = time.monotonic()
        left, others = cleanliness.told(before, cleanliness.look(run))
        print("\n".join([*left, *others]))
        rows.append(("cleanliness", time.monotonic() - begun, not left))
    finally:
        cleanliness.close(run)
    print("---")
    for name, took_s, passed in rows:
        print(f"{name:<12} {took_s:6.1f} s  {'passed' if passed else 'FAILED'}")
    print(f"{'all':<12} {time.monotonic() - first:6.1f} s")
    return 0 if all(passed for _name, _took_s, passed in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
