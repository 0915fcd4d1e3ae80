"""A loopback of our own.

Where Docker or a firewall runs, the kernel keeps a note of every connection for two minutes, those over
loopback too, in a table for the whole machine. A connection for each line fills it within seconds: then new
connections fail, ours and everybody's. A network namespace has no firewall rules and so no such table, it is
as fast as loopback can be, and no other program's traffic is in it.
"""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1  # linux/sockios.h, linux/if.h
TABLE = Path("/proc/sys/net/netfilter")
ONE_MEASUREMENT = 100_000  # connections that a second and its warm-up may need, with something to spare


def isolate() -> str:
    """Move this process, and what it starts, to a loopback of their own; say whether that was possible."""
    # Tried by another process first: where the last step is forbidden, one would be left without a loopback.
    trial = [sys.executable, "-c", "from bench.network import enter; enter()"]
    project = Path(__file__).resolve().parent.parent
    if subprocess.run(trial, cwd=project, capture_output=True, check=False).returncode != 0:
        return "on this machine's loopback (a network namespace is not permitted here)"
    enter()
    return "on a loopback of its own"


def enter() -> None:
    """Enter a new network namespace and bring its loopback up.

    Raises:
        OSError: it is not permitted.
    """
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        # Who is not root may do it as the root of a user namespace.
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1", encoding="ascii")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))
        flags = struct.unpack("16sH14x", request)[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def full_table() -> str:
    """Return why a measurement of many connections would fill this machine's table, or nothing."""
    try:
        tracked, most = (int((TABLE / f"nf_conntrack_{name}").read_text()) for name in ("count", "max"))
    except OSError:
        return ""  # nothing is tracked
    if most - tracked >= ONE_MEASUREMENT:
        return ""
    return f"{tracked:,} of the {most:,} connections that this system can track are taken, for some minutes"
