"""The file `.env`: some lines are ours, the others are the user's."""

from pathlib import Path

import pytest

from socketlab import dotenv

NAME, VALUE = "BASE_IMAGE", "socketlab/base:trixie"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(None, "BASE_IMAGE=socketlab/base:trixie\n", id="no file"),
        pytest.param("", "BASE_IMAGE=socketlab/base:trixie\n", id="empty file"),
        pytest.param("A=1\n", "A=1\nBASE_IMAGE=socketlab/base:trixie\n", id="appended"),
        pytest.param("A=1", "A=1\nBASE_IMAGE=socketlab/base:trixie\n", id="no newline at the end"),
        pytest.param(
            "# a\r\n\r\nA=é\r\n", "# a\r\n\r\nA=é\r\nBASE_IMAGE=socketlab/base:trixie\n", id="Windows"
        ),
        pytest.param("BASE_IMAGE=\nA=1\n", "A=1\nBASE_IMAGE=socketlab/base:trixie\n", id="was empty"),
        pytest.param(
            "#BASE_IMAGE=x\nMY_BASE_IMAGE=x\n",
            "#BASE_IMAGE=x\nMY_BASE_IMAGE=x\nBASE_IMAGE=socketlab/base:trixie\n",
            id="others that look like it",
        ),
    ],
)
def test_write_keeps_all_other_lines(tmp_path: Path, before: str | None, after: str) -> None:
    file = tmp_path / ".env"
    if before is not None:
        file.write_bytes(before.encode())
    dotenv.write(file, NAME, VALUE)
    assert file.read_bytes().decode() == after
    assert dotenv.read(file, NAME) == VALUE
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("BASE_IMAGE=a:1\n", "a:1"),
        ("BASE_IMAGE = a:1 \n", "a:1"),
        ("export BASE_IMAGE='a:1'\n", "a:1"),
        ('BASE_IMAGE="a:1"\n', "a:1"),
        ("BASE_IMAGE=a:1 # mine\n", "a:1"),
        ("BASE_IMAGE= # none\n", ""),
        ("BASE_IMAGE=a\nBASE_IMAGE=b\n", "b"),
        ("# BASE_IMAGE=a\n", ""),
        ("BASE_IMAGES=a\n", ""),
        ("BASE_IMAGE=\n", ""),
    ],
)
def test_read(tmp_path: Path, text: str, value: str) -> None:
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    assert dotenv.read(tmp_path / ".env", NAME) == value


def test_read_without_a_file(tmp_path: Path) -> None:
    assert dotenv.read(tmp_path / ".env", NAME) == ""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(f"A=1\n{NAME}={VALUE}\nB=2", "A=1\nB=2", id="ours"),
        pytest.param(f"{NAME}={VALUE}\n", None, id="ours alone"),
        pytest.param(f"{NAME}=mine\n", f"{NAME}=mine\n", id="somebody's choice"),
        pytest.param("A=1\n", "A=1\n", id="not there"),
        pytest.param(None, None, id="no file"),
    ],
)
def test_remove_takes_our_line_alone(tmp_path: Path, before: str | None, after: str | None) -> None:
    file = tmp_path / ".env"
    if before is not None:
        file.write_text(before, encoding="utf-8")
    assert dotenv.remove(file, NAME, VALUE) is (before != after)
    assert (file.read_text(encoding="utf-8") if file.exists() else None) == after


def test_write_keeps_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    dotenv.write(tmp_path / ".env", NAME, VALUE)
    assert (tmp_path / ".env").read_bytes() == b"A=\xff\nBASE_IMAGE=socketlab/base:trixie\n"


def test_write_keeps_mode_and_link(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_text("A=1\n", encoding="utf-8")
    real.chmod(0o600)
    (tmp_path / ".env").symlink_to(real)
    dotenv.write(tmp_path / ".env", NAME, VALUE)
    assert (tmp_path / ".env").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    assert dotenv.read(real, NAME) == VALUE


def test_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\n", encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("shutil.copymode", full)
    with pytest.raises(OSError, match="No space"):
        dotenv.write(file, NAME, VALUE)
    assert [path.name for path in tmp_path.iterdir()] == [".env"]
    assert file.read_text(encoding="utf-8") == "A=1\n"
