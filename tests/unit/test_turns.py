"""One experiment at a time on a lab: who comes second is told so, and nothing is left of the lock."""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from socketlab import checkout
from socketlab.errors import EngineError
from socketlab.hosts import turns
from socketlab.hosts.docker.images import Images

HOLDER = """
import pathlib, sys
from socketlab.hosts import turns
turns.FOLDER = pathlib.Path(sys.argv[1])
with turns.turn("lab", "socketlab lecture"):
    print("has it", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for locks of its own."""
    monkeypatch.setattr(turns, "FOLDER", tmp_path)
    return tmp_path


def test_second_run_on_a_lab_is_refused_in_one_line_that_names_the_first() -> None:
    with turns.turn("lab", "socketlab lecture"):
        wanted = (
            rf"^the lab 'lab' is in use by `socketlab lecture` \(process {os.getpid()}\): wait for its end, "
            r"or give this one a lab of its own, as in .+ --project other$"
        )
        with pytest.raises(EngineError, match=wanted), turns.turn("lab", "socketlab lecture"):
            pass


def test_nothing_is_left_and_the_next_one_has_its_turn(folder: Path) -> None:
    for _time in range(2):
        with turns.turn("lab", "one"):
            assert [path.name for path in folder.iterdir()] == ["socketlab-lab.lock"]
        assert list(folder.iterdir()) == []


def test_labs_of_different_names_do_not_wait_for_each_other() -> None:
    with turns.turn("lab", "one"), turns.turn("other", "two"):
        pass


def test_those_who_share_a_lab_do_so_and_the_last_removes_the_file(folder: Path) -> None:
    with turns.turn("lab", "one", shared=True):
        with turns.turn("lab", "two", shared=True):
            pass
        with pytest.raises(EngineError, match="is in use"), turns.turn("lab", "three"):
            pass
    assert list(folder.iterdir()) == []


def test_run_that_is_killed_keeps_nobody_out(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "has it\n"
        with pytest.raises(EngineError, match=f"process {holder.pid}"), turns.turn("lab", "one"):
            pass
        holder.kill()
        holder.wait()
    assert list(folder.iterdir()) != []  # what a killed run leaves, the next one takes
    with turns.turn("lab", "one"):
        pass
    assert list(folder.iterdir()) == []


def test_file_that_is_removed_while_somebody_waits_to_lock_it_locks_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "socketlab-lab.lock"
    opened = turns._opened

    def removed_meanwhile(wanted: Path) -> int:
        descriptor = opened(wanted)
        monkeypatch.setattr(turns, "_opened", opened)
        path.unlink()
        return descriptor

    monkeypatch.setattr(turns, "_opened", removed_meanwhile)
    with turns.turn("lab", "one"):
        assert path.exists()


class Unbuilt(Images):
    """An image, to be built until it is. That takes until somebody else wants to build it, too."""

    def __init__(self, lock: Path) -> None:
        self.lock, self.built, self._replaced = lock, 0, set()

    def outdated(self, **_variables: str) -> dict[str, Any]:
        """Return one image, or none."""
        return {} if self.built else {"image": ("source", {"context": ".", "dockerfile": "Dockerfile"})}

    def attributes(self, name: str) -> dict[str, Any]:
        """Return that the engine does not have it."""
        del name
        return {}

    def _execute(self, _name: str, _command: Any, _output: Any = None, /) -> str:
        deadline = time.monotonic() + 20
        while not waits_for(self.lock):
            assert time.monotonic() < deadline, "nobody waits for this one to have built it"
        self.built += 1
        return ""


def waits_for(lock: Path) -> bool:
    """Return whether the kernel has somebody wait for a lock on this file."""
    told = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
    return any(words[1] == "->" and words[6].endswith(f":{lock.stat().st_ino}") for words in told)


def test_two_who_build_at_once_build_once(folder: Path) -> None:
    images = Unbuilt(folder / f"socketlab-.images-{checkout.project()}.lock")
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(images.build), pool.submit(images.build)]:
            done.result()
    assert images.built == 1
    assert list(folder.iterdir()) == []


def test_name_of_a_project_names_no_other_folder(folder: Path) -> None:
    assert turns.lock_file("../x/y").parent == folder


def test_what_is_no_file_of_ours_is_told_and_left_alone(folder: Path) -> None:
    (folder / "socketlab-lab.lock").symlink_to("/dev/null")
    wanted = r"^cannot tell whether the lab 'lab' is in use"
    with pytest.raises(EngineError, match=wanted), turns.turn("lab", "one"):
        pass
    assert (folder / "socketlab-lab.lock").is_symlink()


def test_users_with_other_folders_for_temporary_files_have_one_lock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    before = turns.lock_file("lab")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert tempfile.gettempdir() == str(tmp_path)
    assert turns.lock_file("lab") == before
