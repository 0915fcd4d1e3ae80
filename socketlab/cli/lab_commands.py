"""The commands of the lab itself: `up`, `down`, `client`, `talk`, `logs`, `netem-image` and `clean`."""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from socketlab import checkout, hints
from socketlab.analyse import fates
from socketlab.cli.shared_options import ProjectOption
from socketlab.describe.scenario import Conversation, Protocol, Servers
from socketlab.errors import EngineError
from socketlab.hosts import turns
from socketlab.hosts.docker.compose_project import Lab, projects
from socketlab.observe import trace
from socketlab.run.reaper import reap
from socketlab.show import files, report
from socketlab.show.progress import waiting

NETEM_IMAGE = "socketlab/netem"
STARTING, REMOVING = "starting the server host ...", "removing the hosts and their network ..."

ServerOption = Annotated[
    Servers | None,
    typer.Option(help="What runs on the server host; left out: what runs there, else the lecture's servers."),
]
ProtocolArgument = Annotated[Protocol, typer.Argument(help="The service to use.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (up, down, client, talk, logs, netem_image, clean):
        app.command()(command)


@contextmanager
def timed(doing: str) -> Iterator[None]:
    """Say what is being done, and in the end how long it took."""
    start = time.monotonic()
    try:
        with waiting(f"{doing} ..."):
            yield
    except BaseException:
        typer.echo(f"{doing} ... failed")
        raise
    typer.echo(f"{doing} ... {time.monotonic() - start:.1f} s")


def up(
    project: ProjectOption,
    server: Annotated[
        Servers, typer.Option(help="What runs on the server host: the lecture's two servers, or another one.")
    ] = Servers.LECTURE,
) -> None:
    """Start the lab, show a conversation with the story of its socket calls, and leave the server running."""
    with turns.turn(project, turns.doing(), shared=True), closing(Lab(project, server)) as lab:
        seen = set(lab.log("server"))
        with timed("Starting the server host"):
            lab.start()
        with timed("Starting a client host, which finds the server by its name"):
            code = lab.converse()
        if project == checkout.project():
            checkout.remember_server("" if server is Servers.LECTURE else server)
        typer.echo()
        for line in lab.log("server", "client"):
            if line not in seen:
                _time, host, text = line
                typer.echo(f"{host:<8} | {text}")
        typer.echo()
        if code:
            raise EngineError(f"the client ended with exit code {code}: see its last lines above")
    clients = ", ".join(hints.command(f"client-{protocol}") for protocol in server.protocols)
    talk = f"Talk to it yourself: {clients}. " if clients else ""
    typer.echo(f"The server stays up. {talk}The end: {hints.command('down')}.")


def down(project: ProjectOption) -> None:
    """Stop the lab: remove its hosts and their network."""
    with closing(Lab(project)) as lab, waiting(REMOVING):
        lab.stop()
    if project == checkout.project():
        checkout.remember_server("")
    for other in projects():
        end = hints.command("down", project=other)
        typer.echo(f"The lab {other} of this {checkout.KIND} goes on: {end} ends it.")


def client(
    protocol: ProtocolArgument,
    project: ProjectOption,
    arguments: Annotated[list[str] | None, typer.Argument(help="Arguments of the client program.")] = None,
    server: ServerOption = None,
) -> None:
    """Type at a client's prompt, on a host of its own; what you type comes back in upper case."""
    with turns.turn(project, turns.doing(), shared=True), closing(Lab(project, server)) as lab:
        with waiting(STARTING):
            lab.start()
        command, environment = lab.client_command(protocol, arguments or []), lab.environment()
    # From here on the terminal belongs to the client: it has this process, its signals and its exit code.
    os.execvpe(command[0], command, environment)  # noqa: S606 - a literal command, and no shell between


def talk(
    protocol: ProtocolArgument,
    lines: Annotated[list[str], typer.Argument(help="Lines to send.", metavar="LINE...")],
    project: ProjectOption,
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait for an answer.", min=0.001, max=86_400)
    ] = 2.0,
    json: Annotated[Path | None, typer.Option(help="Write the result to this file.")] = None,
    server: ServerOption = None,
) -> None:
    """Send lines from a client host and show what became of each.

    Exit code 3: a line got no answer. 4: what became of it could not be measured.
    """
    files.expect_writable(json)
    conversation = Conversation(protocol, tuple(lines), timeout_s=timeout)
    with turns.turn(project, turns.doing(), shared=True), closing(Lab(project, server)) as lab:
        with waiting(STARTING):
            lab.start()
        with waiting("talking ..."):
            said = lab.talk(conversation)
        events = trace.parse(said)
    exchanges = fates.exchanges(conversation, events)
    typer.echo(report.as_text(exchanges))
    files.write(json, report.as_json(conversation, exchanges))
    raise typer.Exit(fates.exit_code(exchanges))


def logs(project: ProjectOption) -> None:
    """Show what all hosts of the lab have logged, in order of time."""
    with closing(Lab(project)) as lab:
        for _time, host, text in lab.log("server", "client", "netem"):
            typer.echo(f"{host:<8} | {text}")


def netem_image() -> None:
    """Build the sidecar's image as socketlab/netem, for projects of your own. It stays: clean keeps it."""
    with closing(Lab()) as lab:
        lab.build(COMPOSE_PROFILES="impaired")
        lab.name_image("netem", NETEM_IMAGE)
    page = 'docs/netem.md, "Your own services",'
    about = f"`docker run --rm {NETEM_IMAGE} --help`" if checkout.INSTALLED else page
    typer.echo(f"{NETEM_IMAGE} is there: {about} says how to use it.")


def clean() -> None:
    """Remove the labs made from here and the images of their hosts; nothing made from elsewhere."""
    for thing in reap():
        typer.echo(f"removed the {thing}, which a killed run has left")
    for project in projects():
        with closing(Lab(project)) as lab:
            with waiting(REMOVING):
                lab.stop()
            typer.echo(f"removed the lab {project}")
    checkout.remember_server("")
    with closing(Lab()) as lab, waiting("removing the images ..."):
        removed, kept = lab.remove_images()
    for name in removed:
        typer.echo(f"removed the image {name}")
    for name in kept:
        typer.echo(f"kept the image {name}: a container that is not the lab's uses it")
