"""One variable in the file `.env`, from which Compose reads its settings; the other lines are not ours."""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path


def assignment(name: str) -> re.Pattern[str]:
    """Return the pattern of a line that assigns a variable; its group is the value."""
    return re.compile(rf"\s*(?:export\s+)?{re.escape(name)}\s*=(.*)")


def value_in(line: str, name: str) -> str | None:
    """Return the value a line gives to a variable, None where the line does not assign it."""
    found = assignment(name).match(line)
    if not found:
        return None
    value = re.sub(r"(^|\s)#.*", "", found[1]).strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def read_lines(file: Path) -> list[str]:
    """Return the lines of the file with their ends; none where there is no file."""
    try:
        with file.open(encoding="utf-8", errors="surrogateescape", newline="") as text:
            return text.readlines()
    except FileNotFoundError:
        return []


def read(file: Path, name: str) -> str:
    """Return a variable's value, empty where it has none; of several assignments the last one counts."""
    values = [value for value in (value_in(line, name) for line in read_lines(file)) if value is not None]
    return values[-1] if values else ""


def write(file: Path, name: str, value: str) -> None:
    """Assign a variable, and leave every line that assigns another as it is."""
    lines = [line for line in read_lines(file) if value_in(line, name) is None]
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    replace(file, [*lines, f"{name}={value}\n"])


def remove(file: Path, name: str, value: str) -> bool:
    """Remove the lines that assign this value, and the file when nothing is left; tell whether any did."""
    lines = read_lines(file)
    kept = [line for line in lines if value_in(line, name) != value]
    if kept == lines:
        return False
    if kept:
        replace(file, kept)
    else:
        file.unlink()
    return True


def replace(file: Path, lines: list[str]) -> None:
    """Write the file in one go: whoever reads it meanwhile sees the old or the new one, never half of it."""
    target = file.resolve()  # a link stays a link
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8", errors="surrogateescape", newline="") as text:
            text.writelines(lines)
        if target.exists():
            shutil.copymode(target, unfinished)
        owner = (target if target.exists() else target.parent).stat()
        with suppress(PermissionError):  # only root may, and needs to: the checkout is not root's
            os.chown(unfinished, owner.st_uid, owner.st_gid)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
