"""Boots the kernel that has netem, and waits for it with a deadline.

User-mode Linux is a program. It runs in the root that `setup` has made, in a mount namespace of its own: all
that is mounted for it goes with it, also when it is killed.
"""

import os
import platform
import shutil
import signal
import subprocess
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[4]
ROOT = REPOSITORY / "build/netem-kernel/root"
MEMORY = "768M"
PREFIX = "part_"  # of the module that has the cases of a part
BEGIN = "the tests begin"  # the line from which on the output is for people

# In the namespace: the kernel's memory is a file, which belongs into memory; the checkout is read-only.
PREPARE = """
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp" && mount --bind /dev "$1/dev" &&
mount --bind "$2" "$1/lab" && mount -o remount,bind,ro "$1/lab" &&
shift 2 && exec chroot "$@"
"""


class Unmeasurable(Exception):
    """The kernel could not be run, or ended without a result; the message says why."""


def why_not() -> str | None:
    """Return why the kernel cannot run on this machine; None where it can."""
    if platform.machine() != "x86_64":
        return f"user-mode Linux runs on x86_64, not on {platform.machine()}"
    if os.geteuid() != 0:
        return "expected to be root (it is run in a mount namespace): sudo make test-kernel"
    if missing := [name for name in ("unshare", "setpriv", "taskset", "chroot") if not shutil.which(name)]:
        return f"expected the programs {', '.join(missing)} (Debian: util-linux)"
    if not (ROOT / "usr/bin/linux.uml").is_file():
        return f"expected a root in {ROOT.relative_to(REPOSITORY)}: python3 -m setup ensure netem-kernel"
    return None


class Kernel:
    """A kernel that runs until it switches itself off; what its tests say comes to our standard output.

    Args:
        settings: environment variables of its first program, without spaces.
        processor: the one that it runs on. Its kernel and the programs in it are processes that take turns:
            on one processor it is ten times as fast as on two.
        deadline_s: how long it may take in all; then it is killed.
    """

    def __init__(self, settings: dict[str, str], processor: int, deadline_s: float) -> None:
        kernel = [
            *("/usr/bin/env", "-i", "HOME=/tmp", "TMPDIR=/tmp", "LD_PRELOAD=/usr/lib/uml/xstate.so"),
            *("/usr/bin/linux.uml", f"mem={MEMORY}", "rootfstype=hostfs", "rootflags=/", "rw"),
            *(
                "init=/lab/services/netem/tests/kernel/init",
                "con=null",
                "con0=null,fd:1",
                "con1=null",
                "quiet",
            ),
            *(f"{name}={value}" for name, value in settings.items()),
        ]
        self._deadline_s = deadline_s
        self._process = subprocess.Popen(
            # When we are killed it goes with us, and all of its processes with it: it is the first of theirs.
            ["setpriv", "--pdeathsig=KILL", "taskset", "--cpu-list", str(processor),
             "unshare", "--mount", "--pid", "--fork", "--kill-child",
             "sh", "-c", PREPARE, "boot", ROOT, REPOSITORY, ROOT, *kernel],
            stdin=subprocess.DEVNULL,
            # A pipe, for the kernel cannot wait for a file, and would end without a console.
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        )  # fmt: skip
        self._late = False
        self._last: deque[str] = deque(maxlen=5)
        self._timer = threading.Timer(deadline_s, self._expire)
        self._relay = threading.Thread(target=self._say)
        self._timer.start()
        self._relay.start()

    def wait(self) -> None:
        """Wait until it has ended.

        Raises:
            Unmeasurable: it did not end in time, or not as it should.
        """
        self._relay.join()
        code = self._process.wait()
        last = " / ".join(self._last)
        if self._late:
            raise Unmeasurable(f"the kernel did not end within {self._deadline_s:.0f} s. Last: {last}")
        if code != 0:
            raise Unmeasurable(f"the kernel ended with {code}. Last: {last}")

    def end(self) -> None:
        """Kill what still runs of it."""
        self._timer.cancel()
        self._kill()
        self._relay.join()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def _expire(self) -> None:
        self._late = True
        self._kill()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):  # it has ended
            os.killpg(self._process.pid, signal.SIGKILL)

    def _say(self) -> None:
        """Print what the tests say; what the kernel says before is left out."""
        said = False
        for line in self._process.stdout or ():
            if said:
                print(line, end="", flush=True)
            said = said or line.rstrip() == BEGIN
            self._last.append(line.strip())
