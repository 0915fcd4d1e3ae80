"""What is taken for a bundle: it comes from somebody else."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from socketlab.errors import EngineError, ScenarioError
from socketlab.hosts.docker import bundle
from socketlab.hosts.docker.bundle import Carried
from socketlab.hosts.docker.images import Images

ROLES = ("server", "client")


def config(role: str) -> dict[str, Any]:
    labels = {"org.socketlab.role": role, "org.socketlab.source": f"digest of {role}"}
    return {"architecture": "amd64", "config": {"Labels": None if role == "base" else labels}}


def files(*roles: str) -> dict[str, Any]:
    """Return the files of a bundle that we read, as data."""
    manifest = [{"RepoTags": [f"socketlab/{role}:x"], "Config": f"blobs/{role}"} for role in roles]
    return {"manifest.json": manifest} | {f"blobs/{role}": config(role) for role in roles}


def written(path: Path, content: Mapping[str, Any]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in content.items():
            text = data if isinstance(data, bytes) else json.dumps(data).encode()
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return path


def test_a_bundle_says_what_it_carries(tmp_path: Path) -> None:
    assert bundle.read(written(tmp_path / "x.tar", files(*ROLES, "base")), ROLES) == {
        "server": Carried("socketlab/server:x", "server", "digest of server", "amd64"),
        "client": Carried("socketlab/client:x", "client", "digest of client", "amd64"),
        "base": Carried("socketlab/base:x", "base", "", "amd64"),
    }


WHOLE = files(*ROLES, "base")
(SERVER, *OTHERS) = WHOLE["manifest.json"]
NO_BUNDLES = {
    "empty": {},
    "no configuration": {"manifest.json": WHOLE["manifest.json"]},
    "a host is missing": files("server", "base"),
    "one too many": files(*ROLES, "base", "netem"),
    "no base": files(*ROLES),
    "twice": WHOLE | {"manifest.json": [SERVER, SERVER, *OTHERS]},
    "no name": WHOLE | {"manifest.json": [SERVER | {"RepoTags": []}, *OTHERS]},
    "two names": WHOLE | {"manifest.json": [SERVER | {"RepoTags": ["a", "b"]}, *OTHERS]},
    "name is a number": WHOLE | {"manifest.json": [SERVER | {"RepoTags": [7]}, *OTHERS]},
    "name is nothing": WHOLE | {"manifest.json": [SERVER | {"RepoTags": None}, *OTHERS]},
    "name of two lines": WHOLE | {"manifest.json": [SERVER | {"RepoTags": ["base\nPATH=x"]}, *OTHERS]},
    "name is no image's": WHOLE | {"manifest.json": [SERVER | {"RepoTags": ["--all"]}, *OTHERS]},
    "architecture moves the cursor": WHOLE | {"blobs/server": config("server") | {"architecture": "\x1b[2J"}},
    "no JSON": WHOLE | {"manifest.json": b"{"},
    "no text": WHOLE | {"manifest.json": b"\xff\xfe\xff"},
    "deep": WHOLE | {"manifest.json": b"[" * 100_000},
    "long": WHOLE | {"manifest.json": b"[]" + b" " * bundle.LARGEST_TEXT},
    "number": WHOLE | {"manifest.json": 1},
    "no architecture": WHOLE | {"blobs/server": {"config": config("server")["config"]}},
    "configuration is a list": WHOLE | {"blobs/server": []},
    "labels are text": WHOLE | {"blobs/server": {"architecture": "amd64", "config": {"Labels": "role"}}},
    "role is a list": WHOLE
    | {
        "blobs/server": {
            "architecture": "amd64",
            "config": {"Labels": {"org.socketlab.role": [], "org.socketlab.source": "x"}},
        }
    },
}


@pytest.mark.parametrize("content", NO_BUNDLES.values(), ids=list(NO_BUNDLES))
def test_what_is_none_is_refused_in_a_line(content: Mapping[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path / "x.tar", content)
    with pytest.raises(ScenarioError) as refused:
        bundle.read(path, ROLES)
    assert str(refused.value) == f"expected a bundle that `socketlab bundle save` has written, {path} is none"


@pytest.mark.parametrize("kept", [0, 100, 1000])
def test_the_beginning_of_one_is_none(kept: int, tmp_path: Path) -> None:
    path = written(tmp_path / "x.tar", WHOLE)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ScenarioError, match=r"is none$"):
        bundle.read(path, ROLES)


@pytest.mark.parametrize(("name", "reason"), [("none.tar", "No such file"), (".", "Is a directory")])
def test_what_cannot_be_read_says_why(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=f"^cannot read .*: {reason}"):
        bundle.read(tmp_path / name, ROLES)


class OfOtherMachines(Images):
    """Images of an engine that runs another architecture's images; it is asked for nothing else."""

    def __init__(self) -> None:
        self._docker = cast("Any", self)

    def version(self) -> dict[str, str]:
        """Return what the engine says of itself."""
        return {"Arch": "arm64"}

    def _execute(self, name: str, _command: Any, _to: Any = None, /) -> str:
        raise AssertionError(f"the engine is told to change something: {name}")


def test_a_bundle_for_other_machines_is_refused_before_the_engine_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socketlab.checkout.chosen_base", lambda: "")
    file = written(tmp_path / "x.tar", WHOLE)
    with pytest.raises(EngineError) as refused:
        OfOtherMachines().load(file, bundle.read(file, ROLES))
    assert str(refused.value) == "expected images for arm64, got some for amd64"
