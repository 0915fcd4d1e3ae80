"""Where the project's modules are, for those who are not started by pytest, and which of them are ours."""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def folders() -> list[str]:
    """Return the folders that modules are looked for in, as the tests have them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [str(ROOT / folder) for folder in settings["tool"]["pytest"]["ini_options"]["pythonpath"]]


def found() -> None:
    """Let our modules be found."""
    sys.path[:0] = [folder for folder in folders() if folder not in sys.path]


# Top-level names: what libFuzzer is told the way through.
OURS = sorted(
    {"socketlab", "netem_impairment", "lab", "concurrent_server"}
    | {
        file.stem
        for folder in ("server", "client", "netem", "capture", "server/experiments", "client/experiments")
        for file in (ROOT / "services" / folder).glob("*.py")
    }
)
