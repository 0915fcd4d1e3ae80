"""What a run of the tests leaves on the machine: it is compared before and after, and has to be nothing.

Looked at: containers, networks and images of the engine, network namespaces, links, firewall rules, mounts,
files, processes. Other work goes on beside the tests, so a difference counts only when it is recognisably
this run's; others are told. It is this run's when

  - it has a name that this run has taken (`netem_impairment.leases`: labs, namespaces, and more),
  - it is a container that Compose has made from this checkout,
  - it is a file in the folder for temporary files that this run has alone, or in the checkout,
  - it is a process with this run's mark in its environment, which all its children inherit,
  - it is a rule in a chain of ours.

What stays and is meant to: the images of the hosts, by their tags; caches; what is in `results/`.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from netem_impairment import attach, leases
from netem_impairment.attach import AttachError

from socketlab.checkout import ROOT
from socketlab.errors import LabError
from socketlab.hosts.docker.compose_project import is_ours, looking_at_engine
from tests import leftovers
from tests.leftovers import things

# In the checkout; they are ignored by git, and kept on purpose.
KEPT = re.compile(
    r"(.*/)?(__pycache__|\.hypothesis|\.pytest_cache|\.mypy_cache|\.ruff_cache|[^/]*\.egg-info)/.*"
    r"|(\.venv|build|results|captures)/.*|\.env"
)
OUR_CHAINS = re.compile(r"\b(netem-(egress|ingress|probe)|capture-(sent|received))\b")
OURS, OTHERS = "ours", "others'"

# What it is, in words: whose it is.
Found = dict[str, str]


@dataclass(frozen=True)
class Run:
    """A run of the tests.

    Attributes:
        mark: in the environment of all its processes.
        folder: its temporary files.
    """

    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="socketlab-stages-")))

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of its processes."""
        variables = os.environ | {leases.RUN: self.mark, "TMPDIR": str(self.folder)}
        # Hundreds of programs are started: with this one each compiles our modules anew.
        variables.pop("PYTHONDONTWRITEBYTECODE", None)
        return variables

    def whose(self, name: str) -> str:
        """Return whose a thing is, of which the name was taken, or was not."""
        return OURS if name and leases.run_of(name) == self.mark else OTHERS


def on_engine(run: Run) -> Found:
    """Return what is on the engine."""
    found = {}
    with looking_at_engine("look at what is on it") as client:
        made_here = {
            str(container.name)
            for container in client.containers.list(all=True, ignore_removed=True)
            if is_ours(container)
        }
        for thing in things(client):
            here = thing.kind == "container" and thing.name in made_here and not thing.test
            found[str(thing)] = OURS if here else run.whose(thing.test or leases.lease_of(thing.name))
    return found


def namespaces(run: Run) -> Found:
    """Return the network namespaces that have a name."""
    if not leftovers.NAMESPACES.is_dir():
        return {}
    names = sorted(entry.name for entry in leftovers.NAMESPACES.iterdir())
    return {f"network namespace {name}": run.whose(leases.lease_of(name)) for name in names}


def links(_run: Run) -> Found:
    """Return the links of the machine's own network. Whose one is, nothing says."""
    told = json.loads(output("ip", "-json", "link", "show"))
    return {f"link {link['ifname']}": OTHERS for link in told}


def rules(_run: Run) -> Found:
    """Return the firewall's rules, without counters."""
    found = {}
    for command in ("iptables-save", "ip6tables-save"):
        for line in output(command).splitlines():
            if line.startswith("-A"):
                found[f"{command.partition('-')[0]} rule {line}"] = (
                    OURS if OUR_CHAINS.search(line) else OTHERS
                )
    return found


def mounts(run: Run) -> Found:
    """Return what is mounted."""
    found = {}
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        place = line.split()[1]
        here = any(Path(place).is_relative_to(folder) for folder in (run.folder, ROOT))
        found[f"mount {place}"] = OURS if here else run.whose(leases.lease_of(Path(place).name))
    return found


def files(run: Run) -> Found:
    """Return this run's temporary files, and those of the checkout that git does not have."""
    told = output("git", "-C", str(ROOT), "status", "--porcelain", "--ignored", "--untracked-files=all", "-z")
    found = {f"file {line[3:]}": OURS for line in told.split("\0") if line and not KEPT.fullmatch(line[3:])}
    # pytest keeps the folders of the last three runs, for who looks into a failure; here they go in the end.
    left = [entry.name for entry in run.folder.iterdir() if not entry.name.startswith("pytest-of-")]
    return found | {f"temporary file {name}": OURS for name in left}


def processes(run: Run) -> Found:
    """Return the processes with this run's mark."""
    found = {}
    mark = f"{leases.RUN}={run.mark}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone, or somebody else's
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found[f"process {entry.name}: {words.strip()[:80]}"] = OURS
    return found


def output(*command: str) -> str:
    """Run a command and return what it prints.

    Raises:
        LabError: it fails, or is not there.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise LabError(f"cannot run {command[0]}: {error.strerror}") from error
    if done.returncode:
        raise LabError(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout


KINDS: Mapping[str, Callable[[Run], Found]] = {
    "containers, networks, images": on_engine,
    "network namespaces": namespaces,
    "links": links,
    "firewall rules": rules,
    "mounts": mounts,
    "files": files,
    "processes": processes,
}


@dataclass(frozen=True)
class Snapshot:
    """The machine at a time.

    Attributes:
        found: what there is, by its kind.
        unseen: why a kind could not be looked at.
    """

    found: Mapping[str, Found]
    unseen: Mapping[str, str]


def look(run: Run) -> Snapshot:
    """Look at the machine."""
    found, unseen = {}, {}
    for kind, seen in KINDS.items():
        try:
            found[kind] = seen(run)
        except (LabError, OSError) as error:
            unseen[kind] = str(error)
    return Snapshot(found, unseen)


def told(before: Snapshot, after: Snapshot) -> tuple[list[str], list[str]]:
    """Return the differences that are this run's, and lines about the rest."""
    mine, rest = [], []
    for kind in KINDS:
        if reason := before.unseen.get(kind) or after.unseen.get(kind):
            rest.append(f"{kind}: not looked at: {reason}")
            continue
        here, there = before.found[kind], after.found[kind]
        new = {thing: there[thing] for thing in there if thing not in here}
        gone = {thing: here[thing] for thing in here if thing not in there}
        mine += [f"left: {thing}" for thing, whose in new.items() if whose == OURS]
        mine += [f"taken away: {thing}" for thing, whose in gone.items() if whose == OURS]
        others = [f"+ {thing}" for thing, whose in new.items() if whose != OURS]
        others += [f"- {thing}" for thing, whose in gone.items() if whose != OURS]
        if others:
            shown = "; ".join(others[:4]) + (f"; and {len(others) - 4} more" if len(others) > 4 else "")
            rest.append(f"{kind}: changed, not recognisably by these tests: {shown}")
    return mine, rest


def reap() -> list[str]:
    """Remove what killed runs have left; return lines about that."""
    try:
        sidecars = [f"sidecar {name}" for name in attach.remove_left()]
        return [f"removed what a killed run has left: {thing}" for thing in (*sidecars, *leftovers.reap())]
    except (LabError, AttachError) as error:
        return [f"what killed runs may have left is not looked for: {error}"]


def close(run: Run) -> None:
    """Remove a run's temporary files."""
    shutil.rmtree(run.folder, ignore_errors=True)
