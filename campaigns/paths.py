"""Where the project's modules are, for those who are not started by pytest."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def folders() -> list[str]:
    """Return the folders that modules are looked for in, as the tests have them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [str(ROOT / folder) for folder in settings["tool"]["pytest"]["ini_options"]["pythonpath"]]
