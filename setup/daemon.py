"""Starting the engine's daemon, also where no service manager does it."""

import re
import subprocess
import time

from setup import docker
from setup.machine import Machine
from setup.progress import step
from setup.shell import SetupError, last_lines, run

LOG = "var/log/dockerd.log"
# A daemon's pid file, and the name of the process.
DOCKERD = ("run/docker.pid", "dockerd")
CONTAINERD = ("run/docker/containerd/containerd.pid", "containerd")
NO_RIGHTS = (
    "this container may not run an engine: start it with --privileged, or with its host's engine socket"
)
OLD_IPTABLES = (
    "if this kernel has only the older iptables: update-alternatives --set iptables /usr/sbin/iptables-legacy"
)
START_LIMIT_S = 60.0
POLL_S = 0.1


def process_name(machine: Machine, pid: int) -> str:
    """Return the name of a running process, or an empty string; a zombie runs no more."""
    try:
        stat = (machine.files / f"proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # `12 (name) S …`: the name itself may contain blanks and brackets.
    name, _, rest = stat.partition("(")[2].rpartition(")")
    return "" if rest.split()[:1] in (["Z"], ["X"]) else name


def running(machine: Machine, pid_file: str, name: str) -> int:
    """Return the pid of the daemon that a pid file names, 0 when that daemon does not run."""
    try:
        pid = int((machine.files / pid_file).read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):  # ValueError: it was killed while it wrote
        return 0
    return pid if process_name(machine, pid) == name else 0


def remove_if_stale(machine: Machine, pid_file: str, name: str) -> None:
    """Remove the pid file of a daemon that was killed.

    The next one would refuse to start ("pid file found") or wait in vain, whether the number is a dead
    process's or by now somebody else's.
    """
    file = machine.files / pid_file
    if file.exists() and not running(machine, pid_file, name):
        print(f"engine: removing the stale {file} of a {name} that was killed", flush=True)
        file.unlink(missing_ok=True)


def start(machine: Machine) -> None:
    """Start the engine and wait until it answers.

    Raises:
        SetupError: it did not; the message has the end of its log.
    """
    if machine.systemd:
        with step("engine", "starting it with systemctl"):
            outcome = run("systemctl", "start", "docker")
            if not outcome.ok:
                raise SetupError(f"`systemctl start docker` failed:\n{last_lines(outcome.err)}")
            wait_until_it_answers(machine, None)
        return
    remove_if_stale(machine, *CONTAINERD)
    remove_if_stale(machine, *DOCKERD)
    pid = running(machine, *DOCKERD)
    if pid:
        with step("engine", f"waiting for dockerd, which runs already as process {pid}"):
            wait_until_it_answers(machine, None)
        return
    log = machine.files / LOG
    with step("engine", f"starting dockerd in the background, logging to {log}"), log.open("ab") as output:
        process = subprocess.Popen(
            ["dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # it must outlive this terminal and its Ctrl-C
            cwd="/",
        )
        wait_until_it_answers(machine, process)


def wait_until_it_answers(
    machine: Machine, process: subprocess.Popen[bytes] | None, limit_s: float = START_LIMIT_S
) -> None:
    """Poll the engine until it answers, its process ends, or the time is up.

    Raises:
        SetupError: it does not answer.
    """
    deadline = time.monotonic() + limit_s
    while True:
        ended = process is not None and process.poll() is not None
        answer = docker.ask()
        if answer.reply is docker.Reply.ANSWERS:
            return
        # The package's own script may have started another dockerd, for which ours made way: wait for that.
        if ended and not running(machine, *DOCKERD):
            raise SetupError(f"dockerd ended at once; {end_of_log(machine)}")
        if time.monotonic() > deadline:
            raise SetupError(f"no answer within {limit_s:.0f} s ({answer.reason}); {end_of_log(machine)}")
        time.sleep(POLL_S)


def end_of_log(machine: Machine) -> str:
    """Return the end of the daemon's log, and a word about the usual suspects."""
    if machine.systemd:
        return "its log: journalctl -u docker"
    log = machine.files / LOG
    end = last_lines(log.read_text(encoding="utf-8", errors="replace") if log.is_file() else "")
    if machine.container and re.search(r"operation not permitted|permission denied", end, re.IGNORECASE):
        end += f"\n  -> {NO_RIGHTS}"
    elif "iptables" in end:
        end += f"\n  -> {OLD_IPTABLES}"
    return f"the end of {log}:\n{end}"
