"""One experiment at a time on a lab: two at once would impair each other's network.

Image builds are serialized: two at once would produce two versions of each image, and labs started from one
would be recreated from the other.

A lab in use is a locked file in /tmp, one for each project (flock(2)). The kernel lets go of the lock when
the process ends, however it ends: so nothing is left that somebody has to remove, and a killed run keeps
nobody out.
"""

import fcntl
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from socketlab import hints
from socketlab.errors import EngineError
from socketlab.observe.words import printable

# All users of the machine share an engine: so this is no folder of a user's own, and not where TMPDIR says.
FOLDER = Path("/tmp")  # noqa: S108 - see `_opened`
LONGEST_NOTE = 200  # bytes


def lock_file(project: str) -> Path:
    """Return the file that is locked while a project's lab is in use."""
    return FOLDER / f"socketlab-{re.sub(r'[^A-Za-z0-9_.-]', '_', project)}.lock"


@contextmanager
def turn(project: str, doing: str, *, shared: bool = False) -> Iterator[None]:
    """Lock a lab for the body of the `with`.

    Args:
        project: of the lab.
        doing: what is done with it, for the error message of others that want it meanwhile.
        shared: admit others that ask for a shared turn, and nobody that asks for the lab alone.

    Raises:
        EngineError: it is in use; or the file cannot be made.
    """
    path = lock_file(project)
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    descriptor = _locked(path, f"the lab {project!r} is in use", how)
    try:
        with suppress(OSError):  # another user's file: then nobody is told what is done, and that is all
            path.write_text(f"`{doing}` (process {os.getpid()})", encoding="utf-8")
        yield
    finally:
        # By the last one, while it is its own: whoever has opened it meanwhile sees that it is gone.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        os.close(descriptor)


@contextmanager
def building(tag: str) -> Iterator[None]:
    """Be the only one who builds images of this tag in the body of the `with`, as soon as nobody else does.

    Raises:
        EngineError: the file cannot be made.
    """
    path = lock_file(f".images-{tag}")  # as no project can be called
    descriptor = _locked(path, "somebody builds images", fcntl.LOCK_EX)
    try:
        yield
    finally:
        with suppress(OSError):  # while it is locked: who has opened it meanwhile sees that it is gone
            path.unlink()
        os.close(descriptor)


def doing() -> str:
    """Return what this process was started as, for whoever comes meanwhile."""
    return " ".join(["socketlab", *sys.argv[1:2]])


def _locked(path: Path, meaning: str, how: int) -> int:
    """Return the descriptor of the file, which is locked so, as in flock(2), and still has its name."""
    while True:
        try:
            descriptor = _opened(path)
        except OSError as error:
            raise EngineError(f"cannot tell whether {meaning}: {path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, how)
        except BlockingIOError:
            note = os.read(descriptor, LONGEST_NOTE).decode(errors="replace")
            os.close(descriptor)
            raise EngineError(
                f"{meaning} by {printable(note) or 'another run'}: wait for its end, "
                f"or give this one a lab of its own, as in {hints.in_another_lab()}"
            ) from None
        try:
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)  # its user has just ended, and has removed it


def _opened(path: Path) -> int:
    """Open the file, or make it.

    In a folder where everybody may write, the kernel lets nobody open another user's file as one that is to
    be made (fs.protected_regular): so what is there is opened first, and only to read, which a lock needs.
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            with suppress(FileExistsError):
                return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            continue
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FileExistsError(0, "expected a file of ours, it is something else: remove it")
        return descriptor
