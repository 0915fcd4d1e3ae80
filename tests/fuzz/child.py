"""Fuzzes one target with libFuzzer, by atheris: `python -m tests.fuzz.child TARGET [libFuzzer's arguments]`.

A process of its own, for libFuzzer ends the one that it runs in, and so does a crash.
"""

import shlex
import sys

import atheris

from tests.fuzz.paths import OURS


def main() -> None:
    """Have our own modules tell where they come by as they are loaded, then try inputs until told to stop."""
    with atheris.instrument_imports(include=OURS):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - what is loaded before tells nothing
    target = TARGETS[sys.argv[1]]
    # To merge, libFuzzer starts itself anew, by what it takes for its own name, and a shell.
    name = f"{shlex.quote(sys.executable)} -m tests.fuzz.child {target.name}"
    atheris.Setup([name, *sys.argv[2:]], target.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
