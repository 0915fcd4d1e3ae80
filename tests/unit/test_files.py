"""Results, written to a file; and refused before a run whose result could not be written."""

import errno
import os
from pathlib import Path

import pytest

from socketlab.errors import LabError, ScenarioError
from socketlab.show import files


def test_result_is_written(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    files.expect_writable(path)
    files.write(path, "×\n")
    assert path.read_bytes() == "×\n".encode()


def test_without_a_file_nothing_is_checked_or_written() -> None:
    files.expect_writable(None)
    files.write(None, "result")


def test_folder_that_is_not_there_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"there is no folder .*/missing, make it first"):
        files.expect_writable(tmp_path / "missing" / "result.json")


def test_folder_is_refused_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="expected a file, it is a folder"):
        files.expect_writable(tmp_path)


def test_place_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append((path, mode)))
    with pytest.raises(ScenarioError, match="not permitted"):
        files.expect_writable(tmp_path / "result.json")
    assert asked == [(tmp_path, os.W_OK)]


def test_system_that_refuses_is_told_in_one_line() -> None:
    with pytest.raises(LabError, match=r"^cannot write the result to /dev/full: No space left on device$"):
        files.write(Path("/dev/full"), "result")


def test_link_stays_one_and_what_it_names_is_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "result.json")
    files.write(tmp_path / "link", "result")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "result.json").read_text(encoding="utf-8") == "result"


def test_file_takes_the_place_of_an_earlier_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "captured"
    path.write_bytes(b"before")
    files.write_bytes(path, b"after")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("captured", b"after")]


def test_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "captured"
    path.write_bytes(b"before")

    def half(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(LabError, match="No space left on device; nothing is left of it"):
        files.write_bytes(path, b"after")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("captured", b"before")]
