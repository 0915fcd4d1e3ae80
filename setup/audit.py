"""Whether the locked packages have holes that are known: by pip-audit, which asks the internet.

There are three outcomes, and none is taken for another: known holes (exit code 1), none known (0), not
audited (4). pip-audit itself knows two: where the service knows no package at all, as behind a mirror of the
package index, it says "no known vulnerabilities" and succeeds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from setup import lock, venv
from setup.machine import Machine
from setup.progress import step
from setup.shell import Outcome, SetupError, last_lines, run

NAME = "audit"
NOT_AUDITED = 4  # exit code: nothing was measured
# Who is asked, in this order, until one knows all the packages: the index's own advisories, OSV's.
SERVICES = ("pypi", "osv")
LIMIT_S = 300.0


@dataclass(frozen=True)
class Audit:
    """What a service said.

    Attributes:
        holes: by package and version, the identifiers of what is known about it.
        audited: packages that the service knows.
        unknown: packages that it does not know, or was not asked about.
        reason: why there are such.
    """

    holes: Mapping[str, Sequence[str]]
    audited: int
    unknown: int
    reason: str = ""


def understood(outcome: Outcome) -> Audit:
    """Return what pip-audit found, by what it wrote: its exit code has two outcomes, and there are three."""
    try:
        packages = json.loads(outcome.out)["dependencies"]
    except (ValueError, KeyError, TypeError):
        said = last_lines(outcome.err, 1).strip() or "it said nothing"
        return Audit({}, 0, 1, said)
    # A package may be in several locks, and is one.
    skipped = {package["name"]: package["skip_reason"] for package in packages if "skip_reason" in package}
    known = {
        f"{package['name']} {package['version']}": [hole["id"] for hole in package["vulns"]]
        for package in packages
        if "skip_reason" not in package
    }
    reason = next(iter(skipped.values()), "" if packages else "it looked at no package")
    holes = {package: found for package, found in known.items() if found}
    return Audit(holes, len(known), len(skipped) + (not packages), reason)


def audit(machine: Machine) -> int:
    """Ask about every package of every lock, print the outcome, and return the exit code."""
    try:
        venv.ensure(machine, NAME)
    except SetupError as error:
        print(f"{error}\n{NAME}: not audited, which says nothing about the packages")
        return NOT_AUDITED
    locks = [
        f"--requirement={lock.file_of(machine, extra)}" for extra in lock.extras(lock.description(machine))
    ]
    tool = machine.repository / venv.FOLDER / "bin/pip-audit"
    options = ("--format=json", "--progress-spinner=off", "--require-hashes", "--disable-pip", "--timeout=10")
    reasons = []
    for service in SERVICES:
        with step(NAME, f"asking {service} about every package of {lock.FOLDER}/ with pip-audit"):
            found = understood(
                run(tool, *options, *locks, f"--vulnerability-service={service}", timeout_s=LIMIT_S)
            )
        for package, identifiers in found.holes.items():
            print(f"{NAME}: {package} has known holes: {', '.join(identifiers)}")
        if found.holes:
            print("  -> make lock UPGRADE=1; or say in SECURITY.md why it does not matter here")
            return 1
        if not found.unknown:
            print(f"{NAME}: {found.audited} packages, none with a known hole")
            return 0
        reasons.append(f"{service}: {found.reason}")
        if found.audited:
            reasons[-1] += f" (and {found.unknown - 1} more; {found.audited} have no known hole)"
    print(f"{NAME}: not audited, which says nothing about the packages:")
    for reason in reasons:
        print(f"    {reason}")
    print("  -> run it where the internet can be reached, as a scheduled job does")
    return NOT_AUDITED
