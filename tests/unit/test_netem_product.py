"""Netem is a product of its own: what it imports, and that its files have names of their own."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from socketlab.checkout import ROOT

SERVICES = ROOT / "services"
NETEM = SERVICES / "netem"
PACKAGE = "netem_impairment"
BESIDE = {"tests", "bench", "build"}  # the program
TOOLS = {"pytest", "hypothesis", "scipy"}


def imported(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what modules below a folder import that is not the standard library's, with the module's path."""
    for file in sorted(folder.rglob("*.py")):
        name = str(file.relative_to(NETEM))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for package in {name.partition(".")[0] for name in names} - sys.stdlib_module_names:
                yield name, package


def own() -> set[str]:
    """Return the names of the sidecar's modules and packages."""
    return {path.stem for path in NETEM.iterdir() if path.suffix == ".py" or path.is_dir()} - BESIDE


def test_package_needs_the_standard_library_alone() -> None:
    assert list(imported(NETEM / PACKAGE)) == []


@pytest.mark.parametrize(
    ("folder", "others"), [("", {"lab"}), ("tests", TOOLS | {"tests"})], ids=["program", "tests"]
)
def test_program_and_tests_know_nothing_of_the_lab(folder: str, others: set[str]) -> None:
    found = {
        (name, package)
        for name, package in imported(NETEM / folder)
        if folder or name.partition("/")[0] not in BESIDE
    }
    of_the_bench = {(name, package) for name, package in found if name.startswith("tests/bench/")}
    assert {
        (name, package) for name, package in found - of_the_bench if package not in own() | others
    } == set()
    assert {package for _name, package in of_the_bench} <= TOOLS | {"tests", "bench", "campaigns", PACKAGE}


def test_its_files_have_names_that_no_other_module_has() -> None:
    def names(*folders: Path) -> list[str]:
        files = (file for folder in folders for file in folder.rglob("*.py"))
        return [file.name for file in files if file.name != "__init__.py" and not file.is_symlink()]

    ours = [file for file in NETEM.rglob("*.py") if file.relative_to(NETEM).parts[0] not in {*BESIDE, "lab"}]
    others = names(ROOT / "socketlab", *(SERVICES / name for name in ("lab", "server", "client")))
    others += [file.name for file in (SERVICES / "capture").glob("*.py")]
    assert len(others) > 100
    found = [file.name for file in ours if file.name != "__init__.py"]
    assert sorted(set(found) & set(others)) == []
    assert len(found) == len(set(found))
