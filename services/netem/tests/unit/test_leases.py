"""Names that are locked as long as their holder lives."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from netem_impairment import leases

NETEM = Path(__file__).resolve().parents[2]

HOLDER = """
import sys
from pathlib import Path
from netem_impairment import leases
leases.FOLDER = Path(sys.argv[1])
print(leases.take(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(leases, "FOLDER", tmp_path / "leases")
    return tmp_path / "leases"


def test_name_is_free_when_its_holder_is_killed_and_not_before(folder: Path) -> None:
    words = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(
        words, cwd=NETEM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {leases.RUN: "this run"},
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        name = holder.stdout.readline().strip()
        assert leases.NAME.fullmatch(name)
        assert leases.known() == [name]
        assert leases.run_of(name) == "this run"
        assert not leases.is_free(name)
        holder.kill()
        holder.wait()
        assert leases.is_free(name)
    leases.give_back(name)
    assert leases.known() == []


def test_of_a_name_that_nobody_has_taken_nothing_is_known() -> None:
    assert not leases.is_free("socketlab-test-0badcafe")
    assert leases.run_of("socketlab-test-0badcafe") == ""


@pytest.mark.parametrize(
    ("name", "lease"),
    [
        ("socketlab-test-0123abcd", "socketlab-test-0123abcd"),
        ("socketlab-test-0123abcd-near", "socketlab-test-0123abcd"),
        ("socketlab-test-0123abcd_lab", "socketlab-test-0123abcd"),
        ("socketlab-test-0123abcd/hostile", "socketlab-test-0123abcd"),
        ("socketlab-test-0123abcdef", ""),
        ("socketlab-test-mine", ""),
        ("my-socketlab-test-0123abcd", ""),
    ],
)
def test_only_a_name_that_begins_with_a_lease_has_one(name: str, lease: str) -> None:
    assert leases.lease_of(name) == lease


def test_names_that_are_taken_are_different_and_ours() -> None:
    names = {leases.take() for _ in range(3)}
    assert len(names) == 3
    assert not any(leases.is_free(name) for name in names)


def test_names_of_one_kind_are_not_those_of_another() -> None:
    test, other = leases.take(), leases.take("other")
    assert (leases.known(), leases.known("other")) == ([test], [other])
    assert leases.lease_of(f"{other}-near") == other


def test_folder_that_is_a_link_of_somebody_is_refused(folder: Path, tmp_path: Path) -> None:
    folder.symlink_to(tmp_path)
    with pytest.raises(leases.LeaseError, match="remove it"):
        leases.take()
