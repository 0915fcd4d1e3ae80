"""Run: names for what goes with the program that has made it: labs of tests, network namespaces.

A lease is a file that its holder keeps locked. The system lets go of a lock when its holder ends, however it
ends, so of a name whose lease is free whatever is left can be removed; a name that is locked is in use, and
of one that has no lease nothing is known: it may be anybody's.

The file stays when the holder ends, for whoever tidies up (`socketlab.run.reaper`).
"""

import fcntl
import json
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from socketlab.errors import LabError

PREFIX = "socketlab-test-"
NAME = re.compile(r"socketlab-test-[0-9a-f]{8}")
# Not where TMPDIR says: the next run, which may have another one, must find it.
FOLDER = Path("/tmp") / f"socketlab-leases-{os.getuid()}"  # noqa: S108 - its owner is checked
RUN = "SOCKETLAB_RUN"  # in the environment: which run of the tests this is

_held: list[int] = []  # descriptors; locked until this process ends, and not handed on to others


def take() -> str:
    """Return a name that nobody has, and that is this process's until it ends.

    Raises:
        LabError: the folder of the leases is somebody else's, or cannot be made.
    """
    name = f"{PREFIX}{secrets.token_hex(4)}"
    try:
        FOLDER.mkdir(mode=0o700, exist_ok=True)
        if FOLDER.lstat().st_uid != os.getuid() or FOLDER.is_symlink():
            raise LabError(f"expected {FOLDER} to be a folder of ours, it is somebody else's: remove it")
        descriptor = os.open(FOLDER / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(
            descriptor,
            json.dumps({"pid": os.getpid(), "run": os.environ.get(RUN, "")}, allow_nan=False).encode(),
        )
    except OSError as error:
        raise LabError(f"cannot take a name in {FOLDER}: {error.strerror}") from error
    _held.append(descriptor)
    if not (FOLDER / name).exists():  # somebody has tidied up before we had the lock
        return take()
    return name


def known() -> list[str]:
    """Return all names that have been taken and not been given back."""
    with suppress(OSError):
        return sorted(entry.name for entry in FOLDER.iterdir() if NAME.fullmatch(entry.name))
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
