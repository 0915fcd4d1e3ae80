"""The commands `lossy-udp`, `lossy-tcp` and `compare`.

Options are taken as text and read by `socketlab.describe.wishes`: a wrong one is refused in one line, with
an example.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import fields, replace
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from socketlab import hints, hosts
from socketlab.analyse.result import Result, TcpResult, UdpResult
from socketlab.cli.shared_options import ProjectOption, Text, terminated_like_interrupted
from socketlab.describe.scenario import Experiment, Protocol
from socketlab.describe.wishes import Wishes, experiment, whole
from socketlab.errors import ScenarioError
from socketlab.hosts import turns
from socketlab.hosts.lab import operated
from socketlab.run import experiments
from socketlab.show import experiment_report, files
from socketlab.show.terminal import Terminal, this_terminal
from socketlab.show.waiting import Progress, waiting

TimelineOption = Annotated[
    Text,
    typer.Option("--timeline", metavar="N", help="Messages to draw: a number, all or none. [default: 25]"),
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the result to this file.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("lossy-udp")(lossy_udp)
    app.command("lossy-tcp")(lossy_tcp)
    app.command("compare")(compare)


def with_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command, in the place of its argument `wishes`, the options of these names of `Wishes`."""
    known = {each.name: each.metadata for each in fields(Wishes)}
    options = [
        Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[Text, typer.Option(f"--{name}", **known[name])],
        )
        for name in names
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        project, _wishes, *others = signature(command).parameters.values()

        def call(**given: Any) -> None:
            command(wishes=Wishes(**{name: given.pop(name) for name in names}), **given)

        parameters = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in (project, *options, *others)]
        call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # where typer reads it
        call.__annotations__ = {each.name: each.annotation for each in parameters}
        call.__name__, call.__doc__ = command.__name__, command.__doc__
        return call

    return decorate


ALL = tuple(each.name for each in fields(Wishes))
OF_TCP = tuple(name for name in ALL if name != "timeout")  # TCP answers in its own time


@with_options(*ALL)
def lossy_udp(
    project: ProjectOption, wishes: Wishes, timeline: TimelineOption = None, json: JsonOption = None
) -> None:
    """Send numbered datagrams through an impaired network, and show what became of each.

    Exit code 0: measured, whatever was lost. 4: what became of a message could not be measured.
    """
    one_protocol(Protocol.UDP, project, wishes, timeline, json)


@with_options(*OF_TCP)
def lossy_tcp(
    project: ProjectOption, wishes: Wishes, timeline: TimelineOption = None, json: JsonOption = None
) -> None:
    """Send the same messages as lines over one TCP connection: whole, in order, and at what cost.

    Exit code 0: measured, also when TCP gave up. 4: what became of a message could not be measured.
    """
    one_protocol(Protocol.TCP, project, wishes, timeline, json)


def one_protocol(
    protocol: Protocol, project: str, wishes: Wishes, timeline: str | None, json: Path | None
) -> None:
    """Run an experiment over one protocol, and show it."""
    asked, messages = experiment(protocol, wishes), how_many(timeline)

    def shown(results: Sequence[Result], terminal: Terminal) -> str:
        return experiment_report.as_text(results[0], terminal, messages)

    run([asked], project, json, shown)


@with_options(*OF_TCP)
def compare(project: ProjectOption, wishes: Wishes, json: JsonOption = None) -> None:
    """Send the same messages through the same network, by UDP and by TCP, and show both side by side."""
    udp = experiment(Protocol.UDP, wishes)
    again = replace(wishes, seed=None if udp.seed is None else str(udp.seed))
    tcp = experiment(Protocol.TCP, again, both_protocols=True)
    run([udp, tcp], project, json, _side_by_side)


def _side_by_side(results: Sequence[Result], terminal: Terminal) -> str:
    udp, tcp = results
    assert isinstance(udp, UdpResult)  # noqa: S101 - for the type checker: so they were asked for
    assert isinstance(tcp, TcpResult)  # noqa: S101
    return experiment_report.comparison(udp, tcp, terminal)


def how_many(timeline: str | None) -> int | None:
    """Return how many messages the timeline is to have; None: as many as are telling."""
    if timeline is None:
        return None
    words = {"none": 0, "all": 10**9}
    if timeline in words:
        return words[timeline]
    try:
        return whole("timeline", timeline, 0, 10**9, "a number of messages", "25")
    except ScenarioError as error:
        raise ScenarioError(
            f"timeline {timeline!r}: expected a number, all or none, as in {hints.option('timeline', 25)}"
        ) from error


def run(
    asked: Sequence[Experiment],
    project: str,
    json: Path | None,
    shown: Callable[[Sequence[Result], Terminal], str],
) -> None:
    """Run experiments one after the other, show them, and end with the worst exit code."""
    files.expect_writable(json)
    terminal = this_terminal()
    results = []
    with (
        terminated_like_interrupted(),
        turns.turn(project, turns.doing()),
        closing(hosts.backend(project)) as carrier,
        ExitStack() as todo,
    ):
        with waiting("starting the hosts, and the sidecar that impairs the server's network ..."):
            carrier.start()
            carrier.start_sidecar(asked[0].engine)
            lab = todo.enter_context(operated(carrier, clients=1))
        for one in asked:
            progress = Progress(sys.stderr, sys.stderr.isatty(), one.stream.protocol)
            doing = f"sending {one.stream.count:,} messages over {one.stream.protocol.upper()} ..."
            try:
                with waiting(doing):
                    results.append(experiments.measured(lab, one, progress.show))
            finally:
                progress.done()
    typer.echo(shown(results, terminal), color=True)
    files.write(json, experiment_report.as_json(results))
    raise typer.Exit(max(each.exit_code for each in results))
