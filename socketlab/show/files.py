"""Show: results, written to a file."""

import os
from pathlib import Path

from socketlab.errors import LabError, ScenarioError


def expect_writable(path: Path | None) -> None:
    """Check that a result can be written there, before anything is done that would be lost.

    Raises:
        ScenarioError: it is a folder, or in none, or may not be written.
    """
    if path is None:
        return
    if path.is_dir():
        raise ScenarioError(f"cannot write the result to {path}: expected a file, it is a folder")
    if not path.parent.is_dir():
        raise ScenarioError(
            f"cannot write the result to {path}: there is no folder {path.parent}, make it first"
        )
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ScenarioError(f"cannot write the result to {path}: not permitted, choose another place")


def write(path: Path | None, result: str) -> None:
    """Write a result, if it is wanted.

    Raises:
        LabError: the system refuses.
    """
    if path is None:
        return
    target = path.resolve()  # a link stays one
    if (target.is_file() or not target.exists()) and os.access(target.parent, os.W_OK):
        write_bytes(target, result.encode())
        return
    try:  # a pipe or a terminal; or a file in a folder that takes no other
        path.write_text(result, encoding="utf-8")
    except OSError as error:
        raise LabError(f"cannot write the result to {path}: {error.strerror}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole, in the place of an earlier one: whoever looks sees the one or the other.

    Raises:
        LabError: the system refuses; nothing half-written is left.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise LabError(f"cannot write {path}: {error.strerror}; nothing is left of it") from error
