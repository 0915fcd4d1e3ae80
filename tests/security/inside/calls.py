"""Makes system calls that a host has no business with; prints what came of each: {"mount": "EPERM", ...}.

calls.py PID: of a process on another host, as that host's machine numbers it.
"""

import ctypes
import errno
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS = 0x1000_0000, 0x4000_0000, 0x0002_0000
PTRACE_ATTACH = 16
DEVICE = Path("/dev/socketlab-probe")
PID = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> None:
    """Raise the error of a call, where it failed."""
    if result < 0:
        raise OSError(ctypes.get_errno(), "")


def in_a_child(call: Callable[[], None]) -> None:
    """Make a call that changes who makes it: in a child, which hands back its error."""
    child = os.fork()
    if child == 0:
        code = 0
        try:
            call()
        except OSError as error:
            code = error.errno or 255
        os._exit(code)
    if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise OSError(code, "")


def unshare(what: int) -> None:
    """Leave a namespace for a new one."""
    in_a_child(lambda: checked(libc.unshare(what)))


def join() -> None:
    """Join a network namespace: our own, which is the only one that there is a name for."""
    checked(libc.setns(os.open("/proc/self/ns/net", os.O_RDONLY), CLONE_NEWNET))


def make_device() -> None:
    """Make a disk: a loop device."""
    os.mknod(DEVICE, stat.S_IFBLK, os.makedev(7, 0))
    DEVICE.unlink()


def set_name() -> None:
    """Set the host's name, to what it is."""
    name = os.uname().nodename.encode()
    checked(libc.sethostname(name, len(name)))


CALLS: dict[str, Callable[[], None]] = {
    "unshare user namespace": lambda: unshare(CLONE_NEWUSER),
    "unshare network namespace": lambda: unshare(CLONE_NEWNET),
    "unshare mount namespace": lambda: unshare(CLONE_NEWNS),
    "join a network namespace": join,
    "mount": lambda: checked(libc.mount(b"tmpfs", b"/srv", b"tmpfs", 0, None)),
    "chroot": lambda: in_a_child(lambda: os.chroot("/srv")),
    "become root": lambda: in_a_child(lambda: os.setresuid(0, 0, 0)),
    "become somebody else": lambda: in_a_child(lambda: os.setresuid(12_345, 12_345, 12_345)),
    "make a device": make_device,
    "set the host's name": set_name,
    "signal": lambda: os.kill(PID, 0),
    "trace": lambda: in_a_child(lambda: checked(libc.ptrace(PTRACE_ATTACH, PID, None, None))),
}

said = {}
for name, call in CALLS.items():
    try:
        call()
    except OSError as error:
        said[name] = errno.errorcode[error.errno or 0]
    else:
        said[name] = "done"
print(json.dumps(said))
