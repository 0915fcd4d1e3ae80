"""Leases: names for what goes with the program that has made it, as containers, labs, network namespaces.

A lease is a file that its holder keeps locked. The system lets go of a lock when its holder ends, however it
ends. So whatever has a name whose lease is free can be removed, and what has one that is locked is in use.
Never remove what has no lease: it may belong to somebody else.

A name is of a kind, and whoever tidies up does it for one kind: removes what has its free names, then gives
the names back. For that the file outlives its holder.
"""

import fcntl
import json
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

TEST = "test"  # the kind of what tests make
NAME = re.compile(r"socketlab-([a-z]+)-[0-9a-f]{8}")
# Not where TMPDIR says: the next run, which may have another one, must find it.
FOLDER = Path("/tmp") / f"socketlab-leases-{os.getuid()}"  # noqa: S108 - its owner is checked
RUN = "SOCKETLAB_RUN"  # in the environment: which run of the tests this is

_held: dict[str, int] = {}  # descriptors; locked until this process ends, and not handed on to others


class LeaseError(Exception):
    """A name cannot be taken on this machine; the message says why."""


def take(kind: str = TEST) -> str:
    """Return a name that nobody has, and that is this process's until it ends.

    Args:
        kind: lower-case letters.

    Raises:
        LeaseError: the folder of the leases is somebody else's, or cannot be made.
    """
    name = f"socketlab-{kind}-{secrets.token_hex(4)}"
    try:
        FOLDER.mkdir(mode=0o700, exist_ok=True)
        if FOLDER.lstat().st_uid != os.getuid() or FOLDER.is_symlink():
            raise LeaseError(f"expected {FOLDER} to be a folder of ours, it is somebody else's: remove it")
        descriptor = os.open(FOLDER / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(
            descriptor,
            json.dumps({"pid": os.getpid(), "run": os.environ.get(RUN, "")}, allow_nan=False).encode(),
        )
    except OSError as error:
        raise LeaseError(f"cannot take a name in {FOLDER}: {error.strerror}") from error
    _held[name] = descriptor
    if not (FOLDER / name).exists():  # somebody has tidied up before we had the lock
        return take(kind)
    return name


def known(kind: str = TEST) -> list[str]:
    """Return all names of a kind that have been taken and not been given back."""
    with suppress(OSError):
        names = (entry.name for entry in FOLDER.iterdir())
        return sorted(name for name in names if (found := NAME.fullmatch(name)) and found[1] == kind)
    return []


def is_free(name: str) -> bool:
    """Return whether the holder of a name has ended. Of a name without a lease nothing is known: False."""
    try:
        descriptor = os.open(FOLDER / name, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def run_of(name: str) -> str:
    """Return which run of the tests has taken a name; nothing, where that is not known."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((FOLDER / name).read_text(encoding="utf-8"))["run"])
    return ""


def lease_of(name: str) -> str:
    """Return the name that can have been taken for a thing whose own name begins with it; or nothing."""
    matched = re.match(rf"({NAME.pattern})(?![^-_/])", name)
    return matched[1] if matched else ""


def give_back(name: str) -> None:
    """Forget a name of which nothing is left."""
    (FOLDER / name).unlink(missing_ok=True)
    if name in _held:
        os.close(_held.pop(name))
