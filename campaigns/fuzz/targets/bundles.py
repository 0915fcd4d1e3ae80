"""A bundle: a tar file from somebody else."""

import io
import json
import os
import tarfile
import tempfile
from pathlib import Path

from campaigns.fuzz.target import Draws, Target, one_line
from socketlab.errors import ScenarioError
from socketlab.hosts.docker import bundle

ROLES = ("server",)
# Beside our own they have what a reader may follow, or take for longer than it is.
KINDS = (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE)
MANIFEST, HOST, BASE = "manifest.json", "host", "base"


def packed(kinds: bytes, *texts: bytes) -> bytes:
    """Return a tar file of a bundle's three files: of these kinds, with these texts."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, kind, text in zip((MANIFEST, HOST, BASE), kinds, texts, strict=False):
            member = tarfile.TarInfo(name)
            member.type, member.size = KINDS[kind % len(KINDS)], len(text)
            if member.issym() or member.islnk():
                member.linkname, member.size = text.decode("latin-1")[:99], 0
            archive.addfile(member, io.BytesIO(text))
    return output.getvalue()


def read(data: bytes) -> None:
    draws = Draws(data)
    if draws.number(0, 1):
        texts = draws.rest()
        file = packed(texts[:3], *texts[3:].split(b"\0"))
    else:
        file = draws.rest()
    descriptor, name = tempfile.mkstemp(prefix="bundle-", suffix=".tar")
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as output:
            output.write(file)
        carried = bundle.read(path, ROLES)
    except ScenarioError as refusal:
        one_line(refusal)
        return
    finally:
        path.unlink()
    assert carried.keys() == {*ROLES, "base"}
    for role, each in carried.items():
        assert each.role == role
        assert all(text.isprintable() for text in (each.name, each.source, each.architecture))
        assert each.name.split() == [each.name], "a name that is no word"


WHOLE = (
    json.dumps([
        {"RepoTags": ["socketlab/server:x"], "Config": HOST}, {"RepoTags": ["debian:x"], "Config": BASE},
    ]).encode(),
    json.dumps({
        "architecture": "amd64",
        "config": {"Labels": {bundle.ROLE_LABEL: "server", bundle.SOURCE_LABEL: "digest"}},
    }).encode(),
    json.dumps({"architecture": "amd64", "config": {"Labels": None}}).encode(),
)  # fmt: skip

TARGETS = (
    Target(
        "bundle",
        "a bundle of images, from a file",
        "what it carries, in names that can be shown and written, or ScenarioError in one line",
        read,
        (
            b"\x01\0\0\0" + b"\0".join(WHOLE),
            b"\x01\x01\0\0manifest.json\0{}\0{}",
            b"\x01\x02\x01\0host\0manifest.json\0{}",
            b"\0" + packed(b"\0\0\0", *WHOLE)[:4000],
        ),
        100_000,
        4096,
    ),
)
