"""The machine's own part of a latency: a program that a byte wakes, and that passes it on, at once or later.

No engine in user space can be quicker than this: it is woken by each packet, too, and has more to do. What a
wake-up takes is the machine's affair, and up to ten times as long on one as on another; so the engine's
latency is told in wake-ups, measured beside it.

    python3 -m bench.wakeup DELAY_US      what comes on stdin goes to stdout, so much later
"""

import ctypes
import os
import select
import subprocess
import sys
import time
from collections import deque
from itertools import count
from pathlib import Path

from bench.errors import UnmeasurableError
from bench.machine import pin
from bench.servers import ROOT
from bench.stats import Sample

NETEM = Path(__file__).resolve().parents[1]
PIECE = 4096
PATIENCE_S = 10.0
PR_SET_TIMERSLACK = 29


def pass_on(delay_s: float) -> None:
    """Write as many bytes as are read, each so much later, until there are no more."""
    due_s: deque[float] = deque()
    while True:
        left_s = max(due_s[0] - time.monotonic(), 0) if due_s else None
        if select.select([0], [], [], left_s)[0]:
            data = os.read(0, PIECE)
            if not data:
                return
            due_s.extend([time.monotonic() + delay_s] * len(data))
        while due_s and due_s[0] <= time.monotonic():
            due_s.popleft()
            os.write(1, b".")


def measured(there: int | None, seconds: float, rate: int, delay_us: int) -> Sample:
    """Return how late bytes come back that another program passes on: the median and 95 %, in microseconds.

    Args:
        there: the core of the other program; None: any.
        seconds: how long. The first tenth of it is not measured.
        rate: bytes a second.
        delay_us: for so long it keeps each of them.

    Raises:
        UnmeasurableError: it does not answer.
    """
    command = [sys.executable, "-m", "bench.wakeup", str(delay_us)]
    found = os.environ | {"PYTHONPATH": f"{ROOT}:{NETEM}"}
    theirs_in, to = os.pipe()
    back, theirs_out = os.pipe()
    try:
        with subprocess.Popen(command, cwd=ROOT, env=found, stdin=theirs_in, stdout=theirs_out) as other:
            try:
                pin(other.pid, there)
                late_s = _exchange(to, back, seconds, rate)
            finally:
                other.kill()
    finally:
        for descriptor in (theirs_in, to, back, theirs_out):
            os.close(descriptor)
    late_us = sorted(1e6 * each - delay_us for each in late_s[len(late_s) // 10 :])
    return {
        name: late_us[int(share * (len(late_us) - 1))] for name, share in (("median", 0.5), ("p95", 0.95))
    }


def _exchange(to: int, back: int, seconds: float, rate: int) -> list[float]:
    """Send bytes, so many a second, and return how long each was away."""
    os.write(to, b".")
    if not select.select([back], [], [], PATIENCE_S)[0]:  # until it has started
        raise UnmeasurableError(f"a program did not pass a byte on within {PATIENCE_S:g} s")
    os.read(back, PIECE)
    _exact_time_outs()
    begun = time.monotonic()
    sent_s: deque[float] = deque()
    away_s: list[float] = []
    for number in count():
        next_s = begun + number / rate
        while (left_s := next_s - time.monotonic()) > 0:
            if select.select([back], [], [], left_s)[0]:
                came = os.read(back, PIECE)
                now = time.monotonic()
                away_s += [now - sent_s.popleft() for _byte in came]
        if next_s > begun + seconds:
            break
        sent_s.append(time.monotonic())
        os.write(to, b".")
    if not away_s:
        raise UnmeasurableError(f"no byte came back within {seconds:g} s")
    return away_s


def _exact_time_outs() -> None:
    """Have the system end this thread's waiting when it is time, as the engine does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)


if __name__ == "__main__":
    _exact_time_outs()
    pass_on(int(sys.argv[1]) / 1e6)
