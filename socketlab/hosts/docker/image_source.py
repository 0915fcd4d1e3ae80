"""Run: what an image is made from, as one digest. Equal digests: there is nothing to build.

It is the same in every checkout and installation of a version: what git, pip or a umask make of a file's mode
does not count, but for whether it can be run.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RUNNABLE = 0o100
LINKS = {"lab", "firewall"}  # for programs that run in a checkout; an image has the package itself


def digest(build: Mapping[str, Any]) -> str:
    """Return a digest of all that goes into an image, but for what the base image has in it.

    Args:
        build: what compose.yaml says of it: `context`, `dockerfile`, `args`.
    """
    context = Path(build["context"])
    found = hashlib.sha256(json.dumps([build["dockerfile"], build.get("args", {})], allow_nan=False).encode())
    for path in sorted(context.rglob("*")):
        if is_ignored(path) or (path.is_dir() and not path.is_symlink()):
            continue
        link = str(path.readlink()) if path.is_symlink() else ""
        content = path.read_bytes() if path.is_file() and not link else b""
        runnable = bool(path.lstat().st_mode & RUNNABLE)
        head = [path.relative_to(context).as_posix(), link, runnable, len(content)]
        found.update(json.dumps(head, allow_nan=False).encode() + content)
    return found.hexdigest()


def is_ignored(path: Path) -> bool:
    """Tell whether no image has a file, as .dockerignore says: compiled ones, and the links to packages."""
    return "__pycache__" in path.parts or (path.name in LINKS and path.is_symlink())
