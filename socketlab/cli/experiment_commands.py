"""The commands `lossy-udp`, `lossy-tcp` and `compare`.

Options are taken as text and read by `socketlab.describe.wishes`: a wrong one is refused in one line, with
an example.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from socketlab import hints
from socketlab.analyse import result
from socketlab.analyse.result import Result, TcpResult, UdpResult
from socketlab.cli.shared_options import EngineOption, ProjectOption, Text, terminated_like_interrupted
from socketlab.describe.scenario import Experiment, Protocol, Servers
from socketlab.describe.wishes import DEFAULTS, Wishes, experiment, whole
from socketlab.errors import ScenarioError
from socketlab.hosts import turns
from socketlab.hosts.docker.compose_project import Lab
from socketlab.run import experiments
from socketlab.show import experiment_report, files
from socketlab.show.progress import Progress, waiting
from socketlab.show.terminal import Terminal, this_terminal

CountOption = Annotated[Text, typer.Option("--count", metavar="N", help="Messages. [default: 100]")]
SizeOption = Annotated[Text, typer.Option("--size", metavar="BYTES", help="Of each message. [default: 64]")]
RateOption = Annotated[Text, typer.Option("--rate", metavar="N", help="Messages a second. [default: 100]")]
LossOption = Annotated[Text, typer.Option("--loss", metavar="%", help=f"Lost. [default: {DEFAULTS['loss']}]")]
DelayOption = Annotated[
    Text, typer.Option("--delay", metavar="MS", help=f"One way. [default: {DEFAULTS['delay']}]")
]
JitterOption = Annotated[
    Text, typer.Option("--jitter", metavar="MS", help="Delay up to so much more, or less.")
]
ReorderOption = Annotated[
    Text, typer.Option("--reorder", metavar="%", help=f"Sent ahead. [default: {DEFAULTS['reorder']}]")
]
DuplicateOption = Annotated[Text, typer.Option("--duplicate", metavar="%", help="Doubled.")]
CorruptOption = Annotated[Text, typer.Option("--corrupt", metavar="%", help="One bit turned over.")]
SeedOption = Annotated[
    Text, typer.Option("--seed", metavar="N", help="Repeats a run; left out: by chance, and shown.")
]
DirectionOption = Annotated[
    Text,
    typer.Option("--direction", metavar="D", help="both, ingress (to the server) or egress. [default: both]"),
]
NetemOption = Annotated[
    Text, typer.Option("--netem", metavar="SPEC", help="All of the impairment, in tc-netem(8)'s language.")
]
ProgramOption = Annotated[
    Text,
    typer.Option(
        "--program", metavar="P", help="stream, or lecture: its own client, stop and wait. [default: stream]"
    ),
]
TimeoutOption = Annotated[
    Text, typer.Option("--timeout", metavar="MS", help="A later answer is late. [default: 1000]")
]
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


def lossy_udp(
    project: ProjectOption,
    count: CountOption = None, size: SizeOption = None, rate: RateOption = None,
    loss: LossOption = None, delay: DelayOption = None, jitter: JitterOption = None,
    reorder: ReorderOption = None, duplicate: DuplicateOption = None, corrupt: CorruptOption = None,
    seed: SeedOption = None, direction: DirectionOption = None, engine: EngineOption = None,
    netem: NetemOption = None, program: ProgramOption = None, timeout: TimeoutOption = None,
    timeline: TimelineOption = None, json: JsonOption = None,
) -> None:  # fmt: skip
    """Send numbered datagrams through an impaired network, and show what became of each.

    Exit code 0: measured, whatever was lost. 4: what became of a message could not be measured.
    """
    wishes = Wishes(count, size, rate, loss, delay, jitter, reorder, duplicate, corrupt, seed, direction,
                    engine, netem, program, timeout)  # fmt: skip
    asked, shown = experiment(Protocol.UDP, wishes), how_many(timeline)
    run(
        [asked],
        project,
        json,
        lambda results, terminal: experiment_report.as_text(results[0], terminal, shown),
    )


def lossy_tcp(
    project: ProjectOption,
    count: CountOption = None, size: SizeOption = None, rate: RateOption = None,
    loss: LossOption = None, delay: DelayOption = None, jitter: JitterOption = None,
    reorder: ReorderOption = None, duplicate: DuplicateOption = None, corrupt: CorruptOption = None,
    seed: SeedOption = None, direction: DirectionOption = None, engine: EngineOption = None,
    netem: NetemOption = None, program: ProgramOption = None, timeline: TimelineOption = None,
    json: JsonOption = None,
) -> None:  # fmt: skip
    """Send the same messages as lines over one TCP connection: whole, in order, and at what cost.

    Exit code 0: measured, also when TCP gave up. 4: what became of a message could not be measured.
    """
    wishes = Wishes(count, size, rate, loss, delay, jitter, reorder, duplicate, corrupt, seed, direction,
                    engine, netem, program)  # fmt: skip
    asked, shown = experiment(Protocol.TCP, wishes), how_many(timeline)
    run(
        [asked],
        project,
        json,
        lambda results, terminal: experiment_report.as_text(results[0], terminal, shown),
    )


def compare(
    project: ProjectOption,
    count: CountOption = None, size: SizeOption = None, rate: RateOption = None,
    loss: LossOption = None, delay: DelayOption = None, jitter: JitterOption = None,
    reorder: ReorderOption = None, duplicate: DuplicateOption = None, corrupt: CorruptOption = None,
    seed: SeedOption = None, direction: DirectionOption = None, engine: EngineOption = None,
    netem: NetemOption = None, program: ProgramOption = None, json: JsonOption = None,
) -> None:  # fmt: skip
    """Send the same messages through the same network, by UDP and by TCP, and show both side by side."""
    wishes = Wishes(count, size, rate, loss, delay, jitter, reorder, duplicate, corrupt, seed, direction,
                    engine, netem, program)  # fmt: skip
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
        closing(Lab(project, Servers.CONCURRENT)) as lab,
    ):
        with waiting("starting the server host, and the sidecar that impairs its network ..."):
            lab.start_impaired(asked[0].engine)
        for one in asked:
            progress = Progress(sys.stderr, sys.stderr.isatty(), one.stream.protocol)
            doing = f"sending {one.stream.count:,} messages over {one.stream.protocol.upper()} ..."
            try:
                with waiting(doing):
                    results.append(result.result(one, experiments.run(lab, one, progress.show)))
            finally:
                progress.done()
    typer.echo(shown(results, terminal), color=True)
    files.write(json, experiment_report.as_json(results))
    raise typer.Exit(max(each.exit_code for each in results))
