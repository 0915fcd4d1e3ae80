"""The lab needs what `make up` installs: packages of an extra are imported in the part that it is for."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from socketlab import extras
from socketlab.checkout import ROOT
from socketlab.errors import EngineError

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = {"socketlab", "netem_impairment"}
COMES_WITH = {"docker": ("requests",)}  # what a package of ours hands us as its own
# The extra that a part of the host side is for; the commands that lead there ask for it first.
PARTS = {"lecture": ("socketlab/observe/packets.py",), "report": ("socketlab/show/page/",)}


def imported(file: Path) -> Iterator[str]:
    """Yield the packages of others that a module imports, at its top or later."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for package in {name.partition(".")[0] for name in names}:
            if package not in sys.stdlib_module_names | OURS:
                yield package


def named(requirements: list[str]) -> set[str]:
    return {requirement.partition(">")[0] for requirement in requirements}


def test_packages_that_only_an_extra_brings_are_imported_only_in_its_part() -> None:
    base = named(PROJECT["dependencies"])
    base |= {package for name, packages in COMES_WITH.items() if name in base for package in packages}
    found = {}
    for file in sorted((ROOT / "socketlab").rglob("*.py")):
        name = str(file.relative_to(ROOT))
        allowed = set(base)
        for extra, parts in PARTS.items():
            if name.startswith(parts):
                allowed |= named(PROJECT["optional-dependencies"][extra])
        if more := set(imported(file)) - allowed:
            found[name] = more
    assert found == {}


def test_packages_of_an_extra_that_are_not_there_are_named() -> None:
    extras.expect("lecture", "json")
    wanted = r"^expected the packages of the extra 'lecture', no_such_package not found: install them by `.*`"
    with pytest.raises(EngineError, match=wanted):
        extras.expect("lecture", "json", "no_such_package")
