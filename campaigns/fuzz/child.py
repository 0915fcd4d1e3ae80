"""Fuzzes one target with libFuzzer, by atheris.

    python -m campaigns.fuzz.child MODULE TARGET [libFuzzer's arguments]

MODULE is where the target is, in `campaigns/fuzz/targets/`: to load all of these takes some seconds. It runs
in a process of its own, for libFuzzer ends the one that it runs in, and so does a crash.
"""

import importlib
import shlex
import sys

import atheris

from campaigns.paths import ROOT

# Top-level names: what libFuzzer is told the way through.
OURS = sorted(
    {"socketlab", "netem_impairment", "lab", "concurrent_server"}
    | {
        file.stem
        for folder in ("server", "client", "netem", "capture", "server/experiments", "client/experiments")
        for file in (ROOT / "services" / folder).glob("*.py")
    }
)


def main() -> None:
    """Have our own modules tell where they come by as they are loaded, then try inputs until told to stop."""
    module, wanted, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=OURS):
        found = importlib.import_module(module)  # what is loaded before tells nothing
    target = next(target for target in found.TARGETS if target.name == wanted)
    # To merge, libFuzzer starts itself anew, by what it takes for its own name, and a shell.
    name = f"{shlex.quote(sys.executable)} -m campaigns.fuzz.child {module} {wanted}"
    atheris.Setup([name, *arguments], target.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
