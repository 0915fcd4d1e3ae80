"""The command `socketlab`: one command a step of the pipeline. Exit codes: see `socketlab.errors`.

A module is loaded when one of its commands is called: most of them take longer to load than to run. So the
table below says which commands a module has, and what the help says of each.
"""

import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from socketlab.errors import Exit, LabError
from socketlab.hosts import steps
from socketlab.observe.words import printable
from socketlab.show.waiting import waiting

COMMANDS = {
    "experiment_commands": {
        "lossy-udp": "Send numbered datagrams through an impaired network, and show what became of each.",
        "lossy-tcp": "Send the same messages as lines over one TCP connection: whole, in order, and at "
        "what cost.",
        "compare": "Send the same messages through the same network, by UDP and by TCP, and show both side "
        "by side.",
    },
    "lecture_commands": {
        "claims": "List what the lecture says, claim by claim, and what shows each.",
        "lecture": "Show the claims of the lecture one by one, on hosts of their own, with the evidence.",
    },
    "capture_commands": {
        "capture": "Record a conversation over UDP and one over TCP; explain each packet, and write all for "
        "Wireshark.",
    },
    "report_commands": {
        "report": "Show the lecture's claims, measure UDP and TCP against loss, and make a page of it, with "
        "pictures.",
    },
    "lab_commands": {
        "up": "Start the lab, show a conversation with the story of its socket calls, and leave the server "
        "running.",
        "down": "Stop the lab: remove its hosts and their network.",
        "client": "Type at a client's prompt, on a host of its own; what you type comes back in upper case.",
        "talk": "Send lines from a client host and show what became of each.",
        "logs": "Show what all hosts of the lab have logged, in order of time.",
        "netem-image": "Build the sidecar's image as socketlab/netem, for projects of your own. It stays: "
        "clean keeps it.",
        "clean": "Remove the labs made from here and the images of their hosts; nothing made from elsewhere.",
    },
    "bundle_commands": {
        "bundle": "Carry the images of all hosts to a machine without an internet.",
    },
}


class Commands(TyperGroup):
    """All commands by name; each is a line of the help until it is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for commands in COMMANDS.values():
            for name, line in commands.items():
                self.add_command(TyperCommand(name, help=line))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is called, with its own arguments and options."""
        name, _line, rest = super().resolve_command(ctx, args)
        return name, loaded(str(name)), rest


def loaded(name: str) -> Any:  # as typer makes it
    """Return a command, from its module."""
    module = next(module for module, commands in COMMANDS.items() if name in commands)
    return of_module(module)[name]


def of_module(module: str) -> dict[str, Any]:
    """Return all commands of a module, by name."""
    commands = typer.Typer()
    commands.callback()(lambda: None)  # a single command stays one that has a name
    import_module(f"socketlab.cli.{module}").add_to(commands)
    return dict(typer.main.get_group(commands).commands)


app = typer.Typer(
    name="socketlab",
    cls=Commands,
    help="The socket programming lecture, run on hosts of its own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.callback()(lambda: None)


def main() -> None:
    """Run the command; a `LabError` becomes one line and its exit code."""
    steps.announce = waiting
    try:
        app()
    except LabError as error:
        typer.echo(f"socketlab: {printable(str(error))}", err=True)  # it may quote a host
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
