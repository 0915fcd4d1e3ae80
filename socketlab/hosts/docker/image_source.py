"""What an image is made from, as one digest. Equal digests: there is nothing to build.

It is the same in every checkout and installation of a version: what git, pip or a umask make of a file's mode
does not count, but for whether it can be run.
"""

import hashlib
import json
from collections.abc import Mapping
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

RUNNABLE = 0o100


def digest(build: Mapping[str, Any]) -> str:
    """Return a digest of all that goes into an image, but for what the base image has in it.

    Args:
        build: what compose.yaml says of it: `context`, `dockerfile`, `args`.
    """
    context = Path(build["context"])
    found = hashlib.sha256(json.dumps([build["dockerfile"], build.get("args", {})], allow_nan=False).encode())
    for path in sorted(context.rglob("*")):
        if is_ignored(path, context) or (path.is_dir() and not path.is_symlink()):
            continue
        link = str(path.readlink()) if path.is_symlink() else ""
        content = path.read_bytes() if path.is_file() and not link else b""
        runnable = bool(path.lstat().st_mode & RUNNABLE)
        head = [path.relative_to(context).as_posix(), link, runnable, len(content)]
        found.update(json.dumps(head, allow_nan=False).encode() + content)
    return found.hexdigest()


def is_ignored(path: Path, context: Path) -> bool:
    """Tell whether no image can have a file, as .dockerignore of the context says.

    Of Docker's patterns we use names with `*`, one for each folder from the context on, and `**/NAME`.
    """
    parts = path.relative_to(context).parts
    return any(
        any(fnmatch(part, words[1]) for part in parts)
        if words[0] == "**"
        else len(parts) >= len(words) and all(map(fnmatch, parts, words))
        for words in _patterns(context / ".dockerignore")
    )


@cache
def _patterns(file: Path) -> list[list[str]]:
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [line.split("/") for line in lines if line and not line.startswith("#")]
