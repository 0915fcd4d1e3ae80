"""What the targets begin with: the inputs in the repository, and words that are worth trying."""

import hashlib
import shutil
from pathlib import Path

from tests.fuzz.target import Target

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
WORDS = HERE / "words"
LARGEST = 6_000  # bytes of a target's corpus in the repository


def inputs(target: Target) -> list[bytes]:
    """Return a target's inputs: those written down with it, and those that fuzzing has found, in order."""
    folder = CORPUS / target.name
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [*target.seeds, *(file.read_bytes() for file in found)]


def seed_folder(target: Target, folder: Path) -> Path:
    """Make a folder of a target's inputs, as libFuzzer wants them."""
    folder.mkdir()
    for data in inputs(target):
        (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    return folder


def dictionary(target: Target) -> Path | None:
    """Return the file with a target's words, in libFuzzer's format; None: it has none."""
    file = WORDS / f"{target.name}.dict"
    return file if file.is_file() else None


def keep(found: Path, corpus: Path) -> None:
    """Put the shortest inputs of a folder in the place of a corpus, as many as have room."""
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True)
    room = LARGEST
    for file in sorted(found.iterdir(), key=lambda file: (file.stat().st_size, file.name)):
        room -= file.stat().st_size
        if room >= 0:
            shutil.copy(file, corpus)
