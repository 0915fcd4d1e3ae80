"""Scans what the hosts are made from, and what CI runs, by others' rules.

    python -m tests.scan

All scanners bring their rules along, and ask nobody. What they find and we leave stands with its reason
in .compose-lint.yml and .hadolint.yaml. The exit code is 1 when one finds something or does not run.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
COMPOSE = (
    *("compose-lint", "check", "--quiet", "--fail-on=low", "--strict-config", "--no-env"),
    *("--skip-suppressed", "--config", str(ROOT / ".compose-lint.yml")),
)
DOCKERFILES = ("hadolint", "--config", str(ROOT / ".hadolint.yaml"))
SCRIPTS = ("shellcheck", "--enable=all", "--exclude=SC2250")  # ${braces} where nothing follows: a taste
WORKFLOWS = ("zizmor", "--offline", "--quiet", "--no-progress")
SCHEMA = ("check-jsonschema", "--builtin-schema")
# Each scanner, and the files that it reads.
SCANS: tuple[tuple[tuple[str, ...], str], ...] = (
    (COMPOSE, "compose.yaml"),
    (DOCKERFILES, "services/*/Dockerfile"),
    ((*SCRIPTS, "--shell=sh"), "services/client/client.sh"),
    (SCRIPTS, ".ci/run"),
    (WORKFLOWS, ".github/workflows/*.yml"),
    ((*SCHEMA, "vendor.github-workflows"), ".github/workflows/*.yml"),
    ((*SCHEMA, "vendor.github-issue-forms"), ".github/ISSUE_TEMPLATE/[!c]*.yml"),  # not config.yml
)


def run(command: tuple[str, ...], *files: Path) -> bool:
    """Run a scanner of our environment; say whether it found nothing."""
    program = TOOLS / command[0]
    if command[0] == "shellcheck" and not program.exists():  # as pyproject.toml says
        print("scan: no shellcheck is made for machines of this kind: the scripts are not scanned here")
        return True
    return subprocess.run([program, *command[1:], *files], check=False).returncode == 0


def main() -> int:
    """Run all of them, also after one that found something."""
    found_nothing = [run(command, *sorted(ROOT.glob(files))) for command, files in SCANS]
    return 0 if all(found_nothing) else 1


if __name__ == "__main__":
    sys.exit(main())
