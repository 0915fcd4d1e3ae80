"""The commands of the lab itself: `up`, `down`, `client`, `talk`, `logs`, `netem-image` and `clean`."""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import typer

from socketlab import checkout, hints, hosts
from socketlab.analyse import fates
from socketlab.cli.shared_options import ProjectOption
from socketlab.describe.scenario import Conversation, Protocol, Servers
from socketlab.errors import EngineError
from socketlab.hosts import turns
from socketlab.hosts.docker.compose_project import ComposeProject, projects
from socketlab.hosts.lab import JSON, KILLED, run_client
from socketlab.hosts.log_times import in_order
from socketlab.observe import trace
from socketlab.show import files, report
from socketlab.show.waiting import waiting

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
    with turns.turn(project, turns.doing(), shared=True), closing(hosts.backend(project, server)) as lab:
        before = set(lab.log("server"))
        with timed("Starting the server host"):
            lab.start()
        with (
            timed("Starting a client host, which finds the server by its name"),
            closing(lab.operate("client")) as host,
        ):
            variables = {"SERVER_PROGRAM": server}
            code, conversation = run_client(
                host, ["conversation"], environment=variables, codes=range(KILLED), merged=True
            )
        if project == checkout.project():
            checkout.remember_server("" if server is Servers.LECTURE else server)
        typer.echo()
        journal = [line for line in lab.log("server") if line not in before]
        for line in sorted([*journal, *in_order("client-1", conversation)], key=attrgetter("time")):
            typer.echo(f"{line.host:<8} | {line.text}")
        typer.echo()
        if code:
            raise EngineError(f"the client ended with exit code {code}: see its last lines above")
    clients = ", ".join(hints.command(f"client-{protocol}") for protocol in server.protocols)
    talk = f"Talk to it yourself: {clients}. " if clients else ""
    typer.echo(f"The server stays up. {talk}The end: {hints.command('down')}.")


def down(project: ProjectOption) -> None:
    """Stop the lab: remove its hosts and their network."""
    with closing(hosts.backend(project)) as lab, waiting(REMOVING):
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
    with turns.turn(project, turns.doing(), shared=True), closing(hosts.backend(project, server)) as lab:
        with waiting(STARTING):
            lab.start()
        command = lab.terminal(protocol, arguments or [])
    # From here on the terminal belongs to the client: it has this process, its signals and its exit code.
    os.execvpe(command.words[0], list(command.words), command.environment)  # noqa: S606 - a literal command, and no shell between


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
    with turns.turn(project, turns.doing(), shared=True), closing(hosts.backend(project, server)) as lab:
        with waiting(STARTING):
            lab.start()
        arguments = [protocol, f"--timeout={timeout:g}"]
        typed = "".join(f"{line}\n" for line in lines)
        with waiting("talking ..."), closing(lab.operate("client")) as host:
            _code, journal = run_client(host, arguments, typed, JSON)
        events = trace.parse(journal)
    exchanges = fates.exchanges(conversation, events)
    typer.echo(report.as_text(exchanges))
    files.write(json, report.as_json(conversation, exchanges))
    raise typer.Exit(fates.exit_code(exchanges))


def logs(project: ProjectOption) -> None:
    """Show what all hosts of the lab have logged, in order of time."""
    with closing(hosts.backend(project)) as lab:
        for line in lab.log("server", "client", "netem"):
            typer.echo(f"{line.host:<8} | {line.text}")


def netem_image() -> None:
    """Build the sidecar's image as socketlab/netem, for projects of your own. It stays: clean keeps it."""
    with closing(ComposeProject()) as lab:
        lab.images.build(COMPOSE_PROFILES="impaired")
        lab.images.name("netem", NETEM_IMAGE)
    page = 'services/netem/docs/netem.md, "Your own services",'
    about = f"`docker run --rm {NETEM_IMAGE} --help`" if checkout.INSTALLED else page
    typer.echo(f"{NETEM_IMAGE} is there: {about} says how to use it.")


def clean() -> None:
    """Remove the labs made from here and the images of their hosts; nothing made from elsewhere."""
    for project in projects():
        with closing(hosts.backend(project)) as lab:
            with waiting(REMOVING):
                lab.stop()
            typer.echo(f"removed the lab {project}")
    checkout.remember_server("")
    with closing(ComposeProject()) as lab, waiting("removing the images ..."):
        removed, kept = lab.images.remove()
    for name in removed:
        typer.echo(f"removed the image {name}")
    for name in kept:
        typer.echo(f"kept the image {name}: a container that is not the lab's uses it")
