"""Hints are commands that work where they are printed: for make, and for the program by itself."""

import ast
import re
import shlex
import shutil
import sys
from collections.abc import Iterator

import pytest

from setup import variables
from socketlab import checkout, cli, hints
from socketlab.checkout import ROOT
from socketlab.describe.scenario import Servers
from tests.unit.test_makefile import make

SOURCES = sorted((ROOT / "socketlab").rglob("*.py"))
TAKEN = variables.taken((ROOT / "Makefile").read_text(encoding="utf-8"))


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line of this program: how it was called, and its arguments."""
    monkeypatch.delenv(hints.STARTED_BY, raising=False)
    line = [".venv/bin/socketlab", "lossy-udp"]
    monkeypatch.setattr(sys, "argv", line)
    return line


@pytest.fixture
def by_make(monkeypatch: pytest.MonkeyPatch, typed: list[str]) -> None:
    del typed
    monkeypatch.setenv(hints.STARTED_BY, "make")


@pytest.mark.usefixtures("by_make")
def test_hint_below_make_is_a_make_command() -> None:
    assert hints.command("lossy-tcp", seed=1) == "make lossy-tcp SEED=1"
    assert hints.command("client-udp") == "make client-udp"
    assert hints.option("netem", "delay 5ms") == "NETEM='delay 5ms'"
    # make knows no projects.
    assert hints.command("down", project="other") == ".venv/bin/socketlab down --project other"


def test_hint_without_make_is_a_command_of_the_program_for_the_same_project(typed: list[str]) -> None:
    assert hints.command("lossy-tcp", seed=1) == ".venv/bin/socketlab lossy-tcp --seed 1"
    typed += ["--project=other"]
    assert hints.command("client-udp") == ".venv/bin/socketlab client udp --project other"


@pytest.mark.usefixtures("by_make")
def test_hint_at_another_lab_repeats_this_command(typed: list[str]) -> None:
    typed += ["--loss", "30", "--project", "mine", "--netem=loss 5%"]
    repeated = ".venv/bin/socketlab lossy-udp --loss 30 '--netem=loss 5%' --project other"
    assert hints.in_another_lab() == repeated
    accept(repeated)


@pytest.mark.parametrize(
    ("called", "shown"),
    [
        pytest.param(shutil.which("socketlab") or "/bin/socketlab", "socketlab", id="on-the-path"),
        pytest.param("/a place/socketlab", "'/a place/socketlab'", id="blank-in-its-path"),
        pytest.param("/x/socketlab/__main__.py", f"{shlex.quote(sys.executable)} -m socketlab", id="module"),
    ],
)
def test_hint_calls_the_program_as_it_was_called(
    typed: list[str], called: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: called if shown == "socketlab" else None)
    typed[0] = called
    assert hints.command("down") == f"{shown} down"


# --- all that the program says


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield each hint that the sources make, and where."""
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="hints"))):
                    yield f"{source.relative_to(ROOT)}:{node.lineno}", node


COMMANDS = [
    pytest.param(
        str(target.value),
        [keyword.arg for keyword in call.keywords if keyword.arg],
        id=f"{where}-{target.value!s}",
    )
    for where, call in calls()
    if isinstance(call.func, ast.Attribute)
    and call.func.attr == "command"
    and isinstance(target := call.args[0], ast.Constant)
]


def test_hints_are_found_and_only_known_ones_are_put_together() -> None:
    assert len(COMMANDS) > 15
    put_together = {
        ast.unparse(call.args[0])
        for _where, call in calls()
        if call.args and not isinstance(call.args[0], ast.Constant)
    }
    # Of options: a wish's own name. Of commands: the protocols of a server; the two experiments; a file.
    assert put_together == {"name", "f'client-{protocol}'", "f'bundle load {shlex.quote(file.name)}'"}


@pytest.mark.parametrize(("target", "options"), COMMANDS)
@pytest.mark.usefixtures("typed")
def test_hinted_command_is_one_of_make_and_of_the_program(target: str, options: list[str]) -> None:
    assert target in TAKEN
    assert {option.upper() for option in options} - {"PROJECT"} <= TAKEN[target]
    accept(hints.command(target, **dict.fromkeys(options, 1)))


def accept(command: str) -> None:
    """Have the parser of the program read a command, without running it."""
    _program, name, *arguments = shlex.split(command)
    with cli.loaded(name).make_context(name, arguments) as context:
        assert context.args == []


def test_words_of_the_program_name_no_command_but_by_a_hint() -> None:
    written = re.compile(r"\bmake (?!doctor\b)[a-z]+-?[a-z]*(?= [A-Z]+=|[,;:.)]|$)|\b[A-Z]{4,}=\d|--\w+ \w")
    found = []
    for source in SOURCES:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        documentation = {
            node.body[0].value
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        found += [
            f"{source.relative_to(ROOT)}:{node.lineno}: {node.value}"
            for node in set(ast.walk(tree)) - documentation
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and written.search(node.value)
            and node.value != checkout.UNTIL_DOWN  # a comment in .env
        ]
    assert found == []


@pytest.mark.parametrize("servers", Servers)
def test_make_accepts_the_hints_of_up(servers: Servers) -> None:
    for protocol in servers.protocols:
        assert make(f"client-{protocol}").returncode == 0
