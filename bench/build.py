"""Compiles the load generator and the C references."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from bench.errors import UnmeasurableError

HERE = Path(__file__).resolve().parent
SOURCES = {
    "load": HERE / "load.c",
    "path": HERE.parent / "services" / "netem" / "bench" / "path.c",
    "udp_loop": HERE / "references" / "udp_loop.c",
    "tcp_epoll": HERE / "references" / "tcp_epoll.c",
}
FLAGS = ("-std=gnu11", "-O2", "-pthread", "-Wall", "-Wextra", "-Werror")


def compiler() -> list[str]:
    """Return the command of the C compiler: `CC` where it is set, or the first that is found."""
    named = shlex.split(os.environ.get("CC", ""))
    for command in [named] if named else [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(command[0]):
            return command
    raise UnmeasurableError(
        f"no C compiler ({named[0] if named else 'cc, gcc or clang'}) is on PATH. "
        "The load generator is in C, because one in Python would be slower than the servers it measures; "
        "install one (Debian, Ubuntu: apt-get install gcc libc6-dev) and run this again"
    )


def build(directory: Path, *names: str) -> dict[str, Path]:
    """Compile the named programs, or all, into a directory, and return where each is."""
    cc = compiler()
    programs: dict[str, Path] = {}
    for name in names or SOURCES:
        programs[name] = directory / name
        command = [*cc, *FLAGS, "-o", str(programs[name]), str(SOURCES[name])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise UnmeasurableError(f"{shlex.join(command)} failed:\n{done.stderr.strip()}")
    return programs
