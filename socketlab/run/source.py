"""Run: what an image is made from, as one digest. Equal digests: there is nothing to build."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

IGNORED = "__pycache__"  # as in .dockerignore


def digest(build: Mapping[str, Any], base: str) -> str:
    """Return a digest of all that goes into an image.

    Args:
        build: what compose.yaml says of it: `context`, `dockerfile`, `args`.
        base: the id of the image that it begins with; empty: it is not on this machine yet.
    """
    context = Path(build["context"])
    found = hashlib.sha256(
        json.dumps([build["dockerfile"], build.get("args", {}), base], allow_nan=False).encode()
    )
    for path in sorted(context.rglob("*")):
        if IGNORED in path.parts:
            continue
        link = str(path.readlink()) if path.is_symlink() else ""
        content = path.read_bytes() if path.is_file() and not link else b""
        head = [str(path.relative_to(context)), link, path.lstat().st_mode, len(content)]
        found.update(json.dumps(head, allow_nan=False).encode() + content)
    return found.hexdigest()
