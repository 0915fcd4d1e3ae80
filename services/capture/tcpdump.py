"""tcpdump: how it is called, and its packets as whole records."""

import ctypes
import fcntl
import signal
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

from lab.failures import Failure

# -n: no names, for which it would ask DNS, and capture its own questions.
# --immediate-mode: a packet is handed over when it comes; else the kernel collects them for a second.
TCPDUMP = ("tcpdump", "-Z", "root", "-p", "-n", "--immediate-mode")
# -U: a packet is written when it has been handed over.
TO_STDOUT = ("-U", "-w", "-")
NANOSECONDS = "--time-stamp-precision=nano"  # not of the kernel's log: the times there are tcpdump's own
INTERFACE = ("-i", "eth0")
PIPE_SIZE = 1 << 20  # bytes that tcpdump may be ahead of us; as much as Linux gives to everybody
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>

MB = 1_000_000
FILE_HEADER = 24
RECORD = struct.Struct("=IIII")  # seconds, nanoseconds, bytes that follow, bytes on the wire


def whole_records(stream: IO[bytes], limit: int) -> Iterator[bytes]:
    """Yield the header of a pcap stream, then its records, as long as they fit into a number of bytes.

    Raises:
        Failure: the next one does not fit.
    """
    room = limit - FILE_HEADER
    yield stream.read(FILE_HEADER)
    while len(head := stream.read(RECORD.size)) == RECORD.size:
        length = RECORD.unpack(head)[2]
        room -= RECORD.size + length
        if room < 0:
            raise Failure(f"full: {limit // MB} MB are captured, and no more is written (CAPTURE_LIMIT_MB)")
        body = stream.read(length)
        if len(body) == length:
            yield head + body


def widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold more, if its user may have that.

    A user's pipes are counted together, root's of all containers: beyond 64 MB there is no more (pipe(7)).
    Then tcpdump has less room to be ahead of us, and what that costs it counts as dropped.
    """
    with suppress(PermissionError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_SIZE)


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends: else it would hold on to what it listens to.

    A system call, and safe beside the thread that waits for signals, which holds no lock.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
