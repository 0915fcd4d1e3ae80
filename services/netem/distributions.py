"""Tables of delay distributions, as iproute2 ships them for tc.

The image has them from Debian's package iproute2; so both engines use the same numbers.
"""

from collections.abc import Sequence
from pathlib import Path

from lab.failures import Failure

# TC_LIB_DIR of tc, then where distributions put the tables.
FOLDERS = (Path("/usr/lib/tc"), Path("/usr/share/tc"), Path("/usr/lib64/tc"),
           *sorted(Path("/usr/lib").glob("*-linux-gnu/tc")))  # fmt: skip
LARGEST = 16_384  # numbers that the kernel takes


def load(name: str, folders: Sequence[Path] = FOLDERS) -> list[int]:
    """Return the table of a distribution: deviations in units of 1/8192 of the jitter.

    Raises:
        Failure: there is no such file, or it is no table of signed 16-bit numbers.
    """
    for folder in folders:
        path = folder / f"{name}.dist"
        if path.is_file():
            return parse(path.read_text(encoding="ascii", errors="replace"), str(path))
    searched = ", ".join(map(str, folders))
    raise Failure(f"no table for distribution {name}: expected {name}.dist in {searched}; install iproute2")


def parse(text: str, source: str) -> list[int]:
    """Return the numbers of a table; lines that begin with # are comments.

    Raises:
        Failure: it is no table of signed 16-bit numbers, or too long for the kernel.
    """
    words = [word for line in text.splitlines() if not line.startswith("#") for word in line.split()]
    try:
        table = [int(word) for word in words]
    except ValueError as error:
        raise Failure(f"{source}: expected whole numbers, got something else ({error})") from error
    if not 1 <= len(table) <= LARGEST or not all(-(2**15) <= number < 2**15 for number in table):
        raise Failure(f"{source}: expected 1 to {LARGEST} numbers of 16 bits, got {len(table)} numbers")
    return table
