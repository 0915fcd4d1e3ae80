"""The command line: `python3 -m setup COMMAND`; `--help` lists the commands.

Exit codes: 0 fine, 1 cannot be done here (stderr says what to do), 2 wrong usage, 4 not audited.
"""

import argparse
import fcntl
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from setup import (
    audit,
    base_image,
    compose,
    doctor,
    engine,
    lab_name,
    lock,
    netem_kernel,
    test_tools,
    variables,
    venv,
)  # fmt: skip
from setup.machine import Machine, this_machine
from setup.shell import SetupError, threads

ITEMS: dict[str, Callable[[Machine], None]] = {
    "engine": engine.ensure,
    "compose": compose.ensure,
    "base-image": base_image.ensure,
    "lab-name": lab_name.ensure,
    "venv": venv.ensure,
    "netem-kernel": netem_kernel.ensure,
    "test-tools": test_tools.ensure,
}
# Extras of pyproject.toml, of which the lab itself needs none. All that are asked for are installed at once.
EXTRAS = ("dev", "bench", "lecture", "report", "browser", "fuzz")
NEEDS = {"compose": "engine", "base-image": "engine"}
USUAL = ("engine", "compose", "base-image", "lab-name", "venv")


def ensure(machine: Machine, names: Sequence[str]) -> None:
    """Provide items, side by side where none needs another.

    Raises:
        SetupError: one cannot be provided; the others are, as far as they do not need it.
    """
    tasks = {name: ITEMS[name] for name in names if name in ITEMS}
    if extras := [name for name in names if name in EXTRAS]:
        tasks["venv"] = lambda machine: venv.ensure(machine, *extras)
    futures: dict[str, Future[None]] = {}

    def provide(name: str) -> None:
        if needed := futures.get(NEEDS.get(name, "")):
            needed.result()
        tasks[name](machine)

    with threads() as pool:
        for name in tasks:  # what others need comes before them
            futures[name] = pool.submit(provide, name)
        for future in futures.values():
            future.result()


def item(name: str) -> str:
    """Accept the name of an item."""
    if name not in {*ITEMS, *EXTRAS}:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join([*ITEMS, *EXTRAS])}")
    return name


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="python3 -m setup", description="Prepare this machine for Socket Lab.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    ensuring = commands.add_parser("ensure", help="provide what is missing; do nothing where it is there")
    ensuring.add_argument(
        "items",
        nargs="*",
        type=item,
        metavar="ITEM",
        help=f"{', '.join([*ITEMS, *EXTRAS])}; without any: {', '.join(USUAL)}",
    )
    commands.add_parser("doctor", help="say what this machine can do and how to mend what it cannot")
    commands.add_parser(
        "audit", help="ask whether a locked package has a known hole: 0 none, 1 some, 2 not known"
    )
    locking = commands.add_parser("lock", help=f"make the files of {lock.FOLDER}/ anew from pyproject.toml")
    locking.add_argument("--upgrade", action="store_true", help="take the newest versions")
    checking = commands.add_parser("variables", help="print why a target of the Makefile refuses a variable")
    checking.add_argument("--target", action="append", default=[], metavar="TARGET")
    checking.add_argument("given", nargs="+", metavar="NAME")
    commands.add_parser("remove-base-image", help=f"remove {base_image.OUR_IMAGE} and its line in .env")
    commands.add_parser("remove-lab-name", help="remove the name of this checkout's lab from .env")
    commands.add_parser("remove-venv", help=f"remove {venv.FOLDER}")
    return top


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a second set-up in the same checkout waiting (`make -j`), which then finds everything done."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def interrupt(signum: int, frame: FrameType | None) -> None:
    """Treat SIGTERM like Ctrl-C, so that what was begun is tidied up."""
    del signum, frame
    raise KeyboardInterrupt


def act(arguments: argparse.Namespace, machine: Machine) -> int:
    """Do what the command line says."""
    if arguments.command == "doctor":
        return doctor.report(machine)
    if arguments.command == "variables":
        takes = variables.taken((machine.repository / "Makefile").read_text(encoding="utf-8"))
        print(variables.refusal(takes, arguments.target, arguments.given))
        return 0
    with alone(machine.repository):
        if arguments.command == "audit":
            return audit.audit(machine)
        if arguments.command == "ensure":
            ensure(machine, arguments.items or USUAL)
        elif arguments.command == "lock":
            lock.renew(machine, upgrade=arguments.upgrade)
        elif arguments.command == "remove-base-image":
            base_image.remove(machine)
        elif arguments.command == "remove-lab-name":
            lab_name.remove(machine)
        else:
            venv.remove(machine)
    return 0


def main(argv: Sequence[str] | None = None, machine: Machine | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = parser().parse_args(argv)
    machine = machine or this_machine()
    # After a plain `su` root lacks the folders with dockerd and with what dpkg needs.
    folders = [str(machine.files / name) for name in ("usr/local/sbin", "usr/sbin", "sbin")]
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), *folders])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an ellipsis must not end us where the locale is ASCII
    try:
        return act(arguments, machine)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a read-only checkout
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
