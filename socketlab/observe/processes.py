"""Observe: a process, as its kernel shows it: /proc/PID/status and /proc/PID/syscall.

Source: proc_pid_status(5), proc_pid_syscall(5); numbers of system calls: asm/unistd_64.h (x86-64) and
asm-generic/unistd.h (aarch64).
"""

import re
from dataclasses import dataclass

from socketlab.errors import TraceError

# Those in which a server waits. Their first argument is a descriptor, but for the last ones.
SYSTEM_CALLS = {
    "x86_64": {
        0: "read", 43: "accept", 45: "recvfrom", 288: "accept4", 232: "epoll_wait", 281: "epoll_pwait",
        7: "poll", 271: "ppoll", 23: "select", 270: "pselect6", 35: "nanosleep", 230: "clock_nanosleep",
    },
    "aarch64": {
        63: "read", 202: "accept", 207: "recvfrom", 242: "accept4", 22: "epoll_pwait",
        73: "ppoll", 72: "pselect6", 101: "nanosleep", 115: "clock_nanosleep",
    },
}  # fmt: skip
LONGEST_NUMBER = 20  # digits: 64 bits


@dataclass(frozen=True)
class SystemCall:
    """What a process sleeps in.

    Attributes:
        name: "accept4"; of a call that is not in our table, or of a machine that has none, its number.
        descriptor: the first argument.
    """

    name: str
    descriptor: int

    def __str__(self) -> str:
        return f"{self.name}(descriptor {self.descriptor}, ...)"


def system_call(text: str, machine: str) -> SystemCall | None:
    """Return the system call that a process sleeps in; None: it runs, or sleeps elsewhere.

    Args:
        text: of /proc/PID/syscall.
        machine: as uname has it: "x86_64".

    Raises:
        TraceError: it is no such text.
    """
    words = text.split()
    if words == ["running"] or words[:1] == ["-1"]:
        return None
    try:
        number, first = int(words[0]), int(words[1], 16)
    except (IndexError, ValueError) as error:
        raise TraceError(f"expected the text of /proc/PID/syscall, got {text[:80]!r}") from error
    return SystemCall(SYSTEM_CALLS.get(machine, {}).get(number, str(number)), first)


def state(status: str) -> str:
    """Return the state of a process: "S (sleeping)", "T (stopped)", ..."""
    return _value("State", status)


def waits(status: str) -> int:
    """Return how often a process has gone to sleep by itself, to wait for something."""
    times = _value("voluntary_ctxt_switches", status)
    if not (times.isascii() and times.isdecimal() and len(times) <= LONGEST_NUMBER):
        raise TraceError(f"expected a number of voluntary_ctxt_switches, got {times[:80]!r}")
    return int(times)


def _value(name: str, status: str) -> str:
    found = re.search(rf"^{name}:\s*(.+)$", status, re.MULTILINE)
    if found is None:
        raise TraceError(f"expected {name} in /proc/PID/status, got {status[:80]!r}")
    return found[1]
