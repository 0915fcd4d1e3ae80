"""The command `bundle`: the images of all hosts in one file, for machines without an internet."""

import os
import shlex
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from socketlab import checkout, hints
from socketlab.errors import LabError
from socketlab.hosts.docker import bundle
from socketlab.hosts.docker.compose_project import ComposeProject
from socketlab.hosts.docker.images import ROLES
from socketlab.show import files
from socketlab.show.waiting import waiting

SaveArgument = Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE")]
LoadArgument = Annotated[Path, typer.Argument(help="A file that save has written.", metavar="FILE")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    commands = typer.Typer(
        help="Carry the images of all hosts to a machine without an internet.", no_args_is_help=True
    )
    commands.command("save")(save)
    commands.command("load")(load)
    app.add_typer(commands, name="bundle")


def save(file: SaveArgument) -> None:
    """Write the images of all hosts, and the one that they are built on, into a file."""
    files.expect_writable(file)
    with closing(ComposeProject()) as lab, _whole(file) as unfinished:
        typer.echo("Building what has changed, then writing ...")
        with waiting(f"writing {file} ..."):
            names = lab.images.save(unfinished)
    for name in names:
        typer.echo(f"    {name}")
    there = hints.own(f"bundle load {shlex.quote(file.name)}")
    typer.echo(f"{file}  {file.stat().st_size / 1e6:,.0f} MB. On the other machine: {there}")


def load(file: LoadArgument) -> None:
    """Take the images of all hosts from a file that the same version of Socket Lab has written."""
    carried = bundle.read(file, ROLES)
    with closing(ComposeProject()) as lab:
        typer.echo(f"Loading {file} ...")
        with waiting(f"loading {file} ..."):
            notes = lab.images.load(file, carried)
    for role in ROLES:
        typer.echo(f"    {checkout.image(role)}")
    typer.echo(f"    {carried['base'].name}, which they are built on")
    for note in notes:
        typer.echo(note)
    typer.echo(f"Nothing is left to build: {hints.command('up')}")


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """Yield a place to write to, which becomes the file when all is well; else nothing of it is left.

    Raises:
        LabError: the system refuses.
    """
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        try:
            yield unfinished
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise LabError(f"cannot write {file}: {error.strerror}; nothing is left of it") from error
