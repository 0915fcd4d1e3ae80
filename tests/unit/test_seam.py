"""Only one folder of the host side talks to Docker; what is above the seam knows no backend."""

import ast
from pathlib import Path

from socketlab.checkout import ROOT

PRODUCT = ROOT / "socketlab"
DOCKERS = PRODUCT / "hosts" / "docker"
# Images are Docker's own: these commands are about them, and hosts/__init__.py chooses the backend.
MAY_NAME_IT = {"hosts/__init__.py", "cli/lab_commands.py", "cli/bundle_commands.py"}
ABOVE = ("claims", "run", "observe", "analyse", "describe", "show")


def imported(file: Path) -> set[str]:
    """Return the full names of what a module imports."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def modules(*folders: str) -> list[Path]:
    places = [PRODUCT / folder for folder in folders] or [PRODUCT]
    return [file for place in places for file in sorted(place.rglob("*.py"))]


def test_docker_is_talked_to_in_one_folder() -> None:
    for file in modules():
        if not file.is_relative_to(DOCKERS):
            assert not {name for name in imported(file) if name.split(".")[0] in {"docker", "requests"}}, file
            started = {
                node.value
                for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
                if isinstance(node, ast.Constant)
            }
            assert "docker" not in started, f"{file} names the command docker"


def test_modules_above_the_seam_know_no_backend() -> None:
    backends = ("socketlab.hosts.docker", "socketlab.hosts.netns")
    for file in modules(*ABOVE):
        assert not {name for name in imported(file) if name.startswith(backends)}, file
    for file in modules("hosts", "cli"):
        inside = file.parent.name in {"docker", "netns"}
        if not inside and file.relative_to(PRODUCT).as_posix() not in MAY_NAME_IT:
            assert not {name for name in imported(file) if name.startswith(backends)}, file


def test_backends_do_not_know_each_other() -> None:
    for one, other in (("docker", "netns"), ("netns", "docker")):
        for file in modules(f"hosts/{one}"):
            assert not {name for name in imported(file) if name.startswith(f"socketlab.hosts.{other}")}, file


def test_modules_of_the_product_have_names_of_their_own() -> None:
    names: dict[str, Path] = {}
    services = (file for file in (ROOT / "services").rglob("*.py") if "tests" not in file.parts)
    for file in [*modules(), *(file for file in services if "bench" not in file.parts)]:
        real = file.resolve()  # services/*/lab and capture/firewall are links
        if file.name not in {"__init__.py", "__main__.py"}:
            assert names.setdefault(file.name, real) == real, f"{file} has the name of {names[file.name]}"
