"""Runs the stages of `make test` one after the other, and says how long each took.

    python -m tests.stages [STAGE ...]        no stage: all of them

All stages run, also after one that failed: a developer wants to see all that is broken. Then the exit code
is 1. In the end nothing of them may be left on this machine (`tests/cleanliness.py`).
"""

import subprocess
import sys
import time

from tests import cleanliness

PYTEST = [sys.executable, "-m", "pytest", "-q", "--durations=3"]

STAGES: dict[str, list[list[str]]] = {
    "lint": [
        [sys.executable, "-m", "ruff", "check"],
        [sys.executable, "-m", "ruff", "format", "--check"],
        [sys.executable, "-m", "tests.scan"],
    ],
    "types": [[sys.executable, "-m", "mypy"]],
    "fast": [[*PYTEST, "--numprocesses=2", "--dist=worksteal", "tests/unit", "tests/socket", "tests/fuzz"]],
    "bench": [[*PYTEST, "--numprocesses=2", "--dist=worksteal", "tests/bench"]],
    "browser": [[*PYTEST, "tests/browser"]],
    "impairment": [[*PYTEST, "--numprocesses=4", "--dist=worksteal", "tests/impairment"]],
    # A file at a time: its tests share a lab.
    "integration": [[*PYTEST, "--numprocesses=4", "--dist=loadfile", "tests/integration"]],
    # What takes the time is waiting: for what a claim says is never to come.
    "claims": [[*PYTEST, "--numprocesses=6", "--dist=worksteal", "tests/claims"]],
    # All of them look at one lab, and making that is what takes the time.
    "security": [[*PYTEST, "tests/security"]],
    "faults": [[*PYTEST, "tests/faults"]],
    # Alone: it takes all of the machine.
    "load": [[*PYTEST, "tests/load"]],
}


def main() -> int:
    """Run the stages that are named."""
    names = sys.argv[1:] or list(STAGES)
    if unknown := [name for name in names if name not in STAGES]:
        print(f"stages: expected some of {', '.join(STAGES)}, got {', '.join(unknown)}", file=sys.stderr)
        return 2
    for line in cleanliness.reap():
        print(line, flush=True)
    run = cleanliness.Run()
    rows = []
    try:
        before = cleanliness.look(run)
        for name in names:
            print(f"--- {name}", flush=True)
            begun = time.monotonic()
            codes = [
                subprocess.run(command, check=False, env=run.environment).returncode
                for command in STAGES[name]
            ]
            rows.append((name, time.monotonic() - begun, not any(codes)))
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
    print(f"{'all':<12} {sum(took_s for _name, took_s, _passed in rows):6.1f} s")
    return 0 if all(passed for _name, _took_s, passed in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
