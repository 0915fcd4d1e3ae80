"""Faults of the machine under the lab: its disk and its clock."""

import json
import os
import subprocess
import sys
from pathlib import Path

from campaigns.faults.fault import Fault
from campaigns.faults.outcome import Broken, Seen
from campaigns.faults.scene import Running, Scene, expect_code
from campaigns.outcome import Unmeasurable
from socketlab.checkout import ROOT

STEP_S = 1_000_000  # of the time namespace's monotonic clock
# Says what its clocks are, as a journal of ours does.
START_A_JOURNAL = """
import sys, time
sys.path.insert(0, "services")
from lab.journal import Journal
print(time.clock_gettime_ns(time.CLOCK_MONOTONIC), time.clock_gettime_ns(time.CLOCK_REALTIME), flush=True)
Journal(as_json=True, quiet=False, fd=1).facts("start", {})
"""


def on_a_full_disk(folder: Path, command: list[str], room: str = "0") -> list[str]:
    """Return a command that sees a folder on a small disk of its own, which goes with the command.

    Args:
        folder: that is there.
        command: what is run.
        room: what is free on the disk, as head(1) and tmpfs(5) write it.
    """
    if os.geteuid() != 0:
        raise Unmeasurable("only root may mount a small disk")
    # A page that is taken, and the room beside it.
    size = "4k" if room == "0" else room
    fill = 'head -c 4096 /dev/zero >"$0/taken" && ' if room == "0" else ""
    script = f'mount -t tmpfs -o size={size} none "$0" && {fill}exec "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(folder), *command]


def full_for_results(scene: Scene) -> Seen:
    """The result of an experiment is larger than what is free where it is to go."""
    folder = scene.folder / "small"
    folder.mkdir(exist_ok=True)
    # Without a fault first: the lab is up then, and it is known that only the disk makes the difference.
    with scene.traffic() as running:
        expect_code(running.end(), (0,))
        options = [
            "--engine",
            "userspace",
            "--count",
            "200",
            "--rate",
            "1000",
            "--json",
            str(folder / "r.json"),
        ]
        command = scene.command(f"lossy-{scene.protocol}", *options)
        seen = Running(on_a_full_disk(folder, command, "8k")).end()
    expect_code(seen, (1,))
    if "No space left on device" not in seen.said:
        raise Broken(f"expected to be told that the disk is full, got {seen.said!r}", seen)
    return scene.recover(seen)


def full_for_temporary_files(scene: Scene) -> Seen:
    """The folder for temporary files is full: nothing that an experiment needs is kept there."""
    folder = scene.folder / "temporary"
    folder.mkdir(exist_ok=True)
    with scene.traffic() as running:
        expect_code(running.end(), (0,))
    options = ["--engine", "userspace", "--count", "200", "--rate", "2000"]
    command = ["env", f"TMPDIR={folder}", *scene.command(f"lossy-{scene.protocol}", *options)]
    # Some room: in a folder that takes no file at all no program makes its temporary ones (tempfile).
    seen = Running(on_a_full_disk(folder, command, "16k")).end()
    expect_code(seen, (0,))
    return scene.recover(seen)


def full_for_captures(scene: Scene) -> Seen:
    """The file of packets is larger than what is free where it is to go."""
    folder = scene.folder / "captures"
    folder.mkdir(exist_ok=True)
    project = f"{scene.lab.name}-capture"
    command = [
        sys.executable,
        "-m",
        "socketlab",
        "capture",
        "--protocol",
        scene.protocol,
        "--project",
        project,
    ]
    command += ["--file", str(folder / "packets.pcapng")]
    seen = Running(on_a_full_disk(folder, command)).end()
    expect_code(seen, (1,))
    if "No space left on device" not in seen.said:
        raise Broken(f"expected to be told that the disk is full, got {seen.said!r}", seen)
    seen.left = scene.everything(project)
    if seen.left:
        raise Broken(f"expected nothing to be left, there is {', '.join(seen.left)}", seen)
    return seen


def clock(_scene: Scene) -> Seen:
    """Step the monotonic clock of a journal, in a time namespace: its times step by as much."""
    command = ["unshare", "--time", f"--monotonic={STEP_S}", "--fork", sys.executable, "-c", START_A_JOURNAL]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise Unmeasurable(f"no time namespace can be made here: {done.stderr.strip()[-200:]}")
    clocks, line = done.stdout.splitlines()
    monotonic_ns, real_ns = map(int, clocks.split())
    journal = json.loads(line)
    here_ns = int(Path("/proc/uptime").read_text(encoding="ascii").split()[0].replace(".", "")) * 10_000_000
    seen = Seen(exit_code=0)
    seen.figures["the clock was set by, in s"] = STEP_S
    seen.figures["the journal is off by, in s"] = round((journal["time_ns"] - here_ns) / 1e9)
    if not 0 <= journal["time_ns"] - monotonic_ns < 1e9:
        raise Broken(f"expected the time of CLOCK_MONOTONIC, {monotonic_ns}, got {journal['time_ns']}", seen)
    if abs(journal["time_ns"] - here_ns - STEP_S * 10**9) > 60e9 or abs(journal["time_ns"] - real_ns) < 1e15:
        raise Broken("expected the journal's time to be off by as much as its clock was set", seen)
    return seen


FAULTS = (
    Fault("no space for the result", "disk", "the result goes to a disk of 8 kB", full_for_results),
    Fault("no space for the capture", "disk", "the packets go to a disk that is full", full_for_captures),
    Fault("no temporary space", "disk", "16 kB are left for temporary files (not listed)",
          full_for_temporary_files),
    Fault("clock stepped", "clock", f"a journal's CLOCK_MONOTONIC is set by {STEP_S:,} s (time namespace)",
          clock, protocols=("udp",)),
)  # fmt: skip
