"""The sidecar's image: built from a checkout's services/, or from what a wheel has of it."""

import hashlib
import os
from pathlib import Path

from .docker_command import docker

PACKAGE = Path(__file__).resolve().parent
CARRIED = PACKAGE / "context"  # only in a wheel: see pyproject.toml
CONTEXT = CARRIED if CARRIED.is_dir() else PACKAGE.parents[1]
NAME = "netem-impairment"
BASES = ("debian:trixie-slim", "socketlab/base:trixie")  # the second is made where no registry answers
BUILD_S = 600.0


def built(name: str = "", base: str = "") -> str:
    """Build the image if there is none of these sources yet; return its name.

    Args:
        name: to give it; empty: one that tells the sources, so that it is built once for each version.
        base: the image that it is built on; empty: `BASE_IMAGE` of the environment, or Debian's.

    Raises:
        AttachError: it cannot be built.
    """
    base = base or os.environ.get("BASE_IMAGE", "") or next(filter(_is_there, BASES), BASES[0])
    name = name or f"{NAME}:{sources(base)}"
    if not _is_there(name):
        words = ("build", "--quiet", "--build-arg", f"BASE_IMAGE={base}", "--tag", name)
        file = CONTEXT / "netem/Dockerfile"
        docker(*words, "--file", str(file), str(CONTEXT), to="build the sidecar's image", within_s=BUILD_S)
    return name


def sources(base: str) -> str:
    """Return a short digest of what the image is built from."""
    digest = hashlib.sha256(base.encode())
    files = [CONTEXT / "netem/Dockerfile", *CONTEXT.glob("lab/*.py")]
    for folder in (".", "firewall", "kernel", "userspace", "netem_impairment", "netem_impairment/options"):
        files += (CONTEXT / "netem" / folder).glob("*.py")
    for file in sorted(files):
        digest.update(f"\n{file.relative_to(CONTEXT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _is_there(image: str) -> bool:
    return bool(docker("image", "ls", "--quiet", image, to="look for an image"))
