"""Commands that a message suggests, in the words in which its reader types them.

The Makefile tells this program that make has started it: then a hint is a make command. Else it is a command
of this program, called as this one was, for the same project.
"""

import os
import shlex
import shutil
import sys
from itertools import takewhile
from pathlib import Path

from socketlab import checkout

STARTED_BY = "SOCKETLAB_STARTED_BY"
TARGETS = {"client-udp": "client udp", "client-tcp": "client tcp"}  # where the two names differ


def command(target: str, **options: object) -> str:
    """Return the command of a make target with these options: "make lossy-tcp SEED=1".

    Args:
        target: of the Makefile.
        options: by the names that they have in this program: seed=1. A project is none that make takes: with
            it the command is always one of this program.
    """
    if _by_make() and "project" not in options:
        return " ".join(["make", target, *(_variable(*each) for each in options.items())])
    if project := _project():
        options.setdefault("project", project)
    words = [_program(), TARGETS.get(target, target)]
    return " ".join([*words, *(_flag(*each) for each in options.items())])


def option(name: str, value: object) -> str:
    """Return an option: "LOSS=30" for make, else "--loss 30"."""
    return _variable(name, value) if _by_make() else _flag(name, value)


def own(words: str) -> str:
    """Return a command line of this program, for what make has no target."""
    return f"{_program()} {words}"


def doctor() -> str:
    """Return the command that says what is wrong with this machine; set-up is in a checkout alone."""
    return "docker info" if checkout.INSTALLED else "make doctor"


def in_another_lab() -> str:
    """Return this program's own command line, for a project of another name; make takes no projects."""
    return " ".join([_program(), *map(shlex.quote, _arguments()), _flag("project", "other")])


def _variable(name: str, value: object) -> str:
    return f"{name.upper()}={shlex.quote(str(value))}"


def _flag(name: str, value: object) -> str:
    return f"--{name} {shlex.quote(str(value))}"


def _by_make() -> bool:
    return os.environ.get(STARTED_BY) == "make"


def _project() -> str:
    """Return the project of this program's own command line."""
    words = iter(sys.argv[1:])
    for word in takewhile("--".__ne__, words):
        name, equals, value = word.partition("=")
        if name == "--project":
            return value if equals else next(words, "")
    return ""


def _arguments() -> list[str]:
    """Return this program's own command line without its project."""
    words = iter(sys.argv[1:])
    left = []
    for word in words:
        if word == "--project":
            next(words, "")
        elif not word.startswith("--project="):
            left.append(word)
    return left


def _program() -> str:
    path = sys.argv[0]
    if Path(path).name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m socketlab"
    return "socketlab" if path == shutil.which("socketlab") else shlex.quote(path)
