"""A bundle, which carries the images of all hosts to machines without a registry or an internet.

It is what `docker save` writes: a tar file with layers, configurations, and `manifest.json`, which says what
there is. It comes from somebody else: what is read here is checked before an engine gets it.
"""

import json
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from socketlab.errors import ScenarioError

LARGEST_TEXT = 1 << 20  # bytes of a file in it that we read; they have some thousand
# As Docker has it. The base image's is written into settings and shown at a terminal: no other is let in.
NAME = re.compile(r"[a-z0-9][\w./:@-]*", re.ASCII)
ROLE_LABEL = "org.socketlab.role"  # on every image of ours
SOURCE_LABEL = "org.socketlab.source"  # a digest of what it was made from, on those that we have built


@dataclass(frozen=True)
class Carried:
    """An image in a bundle.

    Attributes:
        name: its tag.
        role: whose host's image it is; "base": what they are built on.
        source: a digest of what it was made from; nothing: it is the base.
        architecture: of the machines that it runs on, in Docker's words.
    """

    name: str
    role: str
    source: str
    architecture: str


def read(path: Path, roles: Sequence[str]) -> dict[str, Carried]:
    """Return what a bundle carries, by role; without a word of whether its layers are whole.

    Raises:
        ScenarioError: it is no bundle of ours.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            found = [
                _carried(each["RepoTags"], json.loads(_text(archive, each["Config"])))
                for each in json.loads(_text(archive, "manifest.json"))
            ]
    except OSError as error:
        raise ScenarioError(f"cannot read {path}: {error.strerror or error}") from error
    except (tarfile.TarError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _no_bundle(path) from error
    carried = {each.role: each for each in found}
    if len(found) != len(carried) or carried.keys() != {*roles, "base"}:
        raise _no_bundle(path)
    return carried


def _no_bundle(path: Path) -> ScenarioError:
    return ScenarioError(f"expected a bundle that `socketlab bundle save` has written, {path} is none")


def _text(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    content = file.read(LARGEST_TEXT + 1) if file else b""
    if not 0 < len(content) <= LARGEST_TEXT:
        raise ValueError(f"{name} is not what it should be")
    return content


def _carried(names: list[str], config: dict[str, dict[str, dict[str, str]]]) -> Carried:
    (name,) = names
    labels = config["config"].get("Labels") or {}
    source = labels.get(SOURCE_LABEL, "")
    role = labels.get(ROLE_LABEL, "") if source else "base"
    for each in (name, role, source, config["architecture"]):
        if not isinstance(each, str) or not each.isprintable():
            raise TypeError(f"expected text, got {each!r}")
    if not NAME.fullmatch(name):
        raise ValueError(f"expected the name of an image, got {name!r}")
    return Carried(name, role, source, str(config["architecture"]))
