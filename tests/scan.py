"""Scans what the hosts are made from, by others' rules: compose.yaml, the Dockerfiles, the shell scripts.

    python -m tests.scan

All three scanners bring their rules along, and ask nobody. What they find and we leave stands with its reason
in .compose-lint.yml and .hadolint.yaml. The exit code is 1 when one finds something or does not run.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
COMPOSE = (
    "compose-lint",
    "check",
    "--quiet",
    "--fail-on=low",
    "--strict-config",
    "--no-env",
    "--skip-suppressed",
)
DOCKERFILES = ("hadolint", "--config", str(ROOT / ".hadolint.yaml"))
SCRIPTS = ("shellcheck", "--enable=all", "--exclude=SC2250")  # ${braces} where nothing follows: a taste


def scans() -> list[tuple[str, ...]]:
    """Return the commands."""
    dockerfiles = sorted(map(str, ROOT.glob("services/*/Dockerfile")))
    return [
        (*COMPOSE, "--config", str(ROOT / ".compose-lint.yml"), str(ROOT / "compose.yaml")),
        (*DOCKERFILES, *dockerfiles),
        (*SCRIPTS, "--shell=sh", str(ROOT / "services/client/client.sh")),
        (*SCRIPTS, str(ROOT / ".ci/run")),
    ]


def run(command: tuple[str, ...]) -> bool:
    """Run a scanner of our environment; say whether it found nothing."""
    program = TOOLS / command[0]
    if command[0] == "shellcheck" and not program.exists():  # as pyproject.toml says
        print("scan: no shellcheck is made for machines of this kind: the scripts are not scanned here")
        return True
    return subprocess.run([program, *command[1:]], check=False).returncode == 0


def main() -> int:
    """Run all of them, also after one that found something."""
    found_nothing = [run(command) for command in scans()]
    return 0 if all(found_nothing) else 1


if __name__ == "__main__":
    sys.exit(main())
