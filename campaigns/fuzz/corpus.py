r"""What a target begins with: words that are worth trying, and the inputs that fuzzing has found.

They stand in one file a target, a line each, as libFuzzer writes the words of a dictionary: in quotation
marks, with a backslash before what would end them, and \xNN for a byte that is no printable character.
"""

import hashlib
import re
from pathlib import Path

from campaigns.fuzz.target import Target

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
LARGEST = 6_000  # bytes of a target's inputs in the repository
WORDS, INPUTS = "# words\n", "# inputs\n"
PLAIN = {bytes([code]): chr(code) for code in range(32, 127)} | {b'"': '\\"', b"\\": "\\\\"}


def quoted(data: bytes) -> str:
    """Return bytes as a line."""
    return '"' + "".join(PLAIN.get(bytes([code]), f"\\x{code:02x}") for code in data) + '"\n'


def unquoted(lines: str) -> list[bytes]:
    """Return the bytes of each line."""
    return [
        re.sub(rb"\\(x[0-9a-f]{2}|.)", _unescaped, line.encode("ascii"))
        for line in re.findall(r'^"(.*)"$', lines, re.MULTILINE)
    ]


def _unescaped(found: re.Match[bytes]) -> bytes:
    escaped = found[1]
    return bytes([int(escaped[1:], 16)]) if len(escaped) == 3 else escaped


def file_of(target: Target) -> Path:
    """Return the file with a target's words and inputs."""
    return CORPUS / f"{target.name}.txt"


def parts(file: Path) -> tuple[str, str]:
    """Return the lines with the words of a file, and those with its inputs; without a file there are none."""
    text = file.read_text(encoding="ascii") if file.is_file() else WORDS
    words, _between, found = text.partition(INPUTS)
    return words, found


def words(target: Target) -> list[bytes]:
    """Return a target's words."""
    return unquoted(parts(file_of(target))[0])


def inputs(target: Target) -> list[bytes]:
    """Return a target's inputs: those written down with it, and those that fuzzing has found, in order."""
    return [*target.seeds, *unquoted(parts(file_of(target))[1])]


def seed_folder(target: Target, folder: Path) -> Path:
    """Make a folder of a target's inputs, as libFuzzer wants them."""
    folder.mkdir()
    for data in inputs(target):
        (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    return folder


def keep(found: Path, file: Path) -> None:
    """Put the shortest inputs of a folder in the place of those of a file, as many as have room."""
    kept, room = [], LARGEST
    for data in sorted((each.read_bytes() for each in found.iterdir()), key=in_order):
        room -= len(data)
        if room >= 0:
            kept.append(data)
    file.write_text(parts(file)[0] + INPUTS + "".join(map(quoted, kept)), encoding="ascii")


def in_order(data: bytes) -> tuple[int, bytes]:
    """Return by what inputs are sorted: the shortest first."""
    return len(data), data
