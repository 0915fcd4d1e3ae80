"""The commands `claims` and `lecture`: what the lecture says, and showing it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from socketlab import extras, hosts
from socketlab.claims import registry
from socketlab.claims.notebook import Finding, Outcome
from socketlab.cli.shared_options import EngineOption, project_option, terminated_like_interrupted
from socketlab.describe.claims import CLAIMS, Claim
from socketlab.describe.scenario import Engine, Servers
from socketlab.describe.wishes import one_of, seed_number
from socketlab.errors import Exit
from socketlab.hosts import turns
from socketlab.hosts.lab import Lab, temporary
from socketlab.show import files
from socketlab.show import findings as shown
from socketlab.show.terminal import Colour, Terminal, this_terminal
from socketlab.show.waiting import waiting

OnlyArgument = Annotated[
    list[str] | None, typer.Argument(help="Ids of claims, as U7. [default: all]", metavar="[ID...]")
]
SeedOption = Annotated[
    str, typer.Option("--seed", metavar="N", help="Repeats what is left to chance.", show_default=True)
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Write the document of the run to this file.")
]
# Hosts of their own: a lab that runs is not disturbed.
ProjectOption = Annotated[str, project_option("-lecture")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("claims")(claims)
    app.command("lecture")(lecture)


def claims() -> None:
    """List what the lecture says, claim by claim, and what shows each."""
    typer.echo(shown.catalogue(CLAIMS, this_terminal()), color=True)


def lecture(
    project: ProjectOption,
    only: OnlyArgument = None,
    seed: SeedOption = "1",
    engine: EngineOption = None,
    json: JsonOption = None,
) -> None:
    """Show the claims of the lecture one by one, on hosts of their own, with the evidence.

    Exit code 0: all that were tried are shown. 1: one is refuted. 4: one could not be measured.
    """
    files.expect_writable(json)
    chosen = registry.chosen(only or [])
    with made(project, engine, seed) as lab:
        run = show(lab, chosen, this_terminal())
    files.write(json, shown.as_json(run.document))
    raise typer.Exit(run.exit_code)


@dataclass(frozen=True)
class Run:
    """The claims that were tried, and the document that tells of them."""

    findings: Sequence[Finding]
    document: dict[str, Any]

    @property
    def exit_code(self) -> Exit:
        """A refuted claim weighs more than one that could not be measured."""
        outcomes = {finding.outcome for finding in self.findings}
        if Outcome.REFUTED in outcomes:
            return Exit.FAILED
        return Exit.UNMEASURED if Outcome.UNMEASURED in outcomes else Exit.OK


@contextmanager
def made(project: str, engine: str | None, seed: str) -> Iterator[Lab]:
    """Make the hosts, as somebody has typed it; they are gone in the end, whatever happens."""
    extras.expect("lecture", "scapy")
    wanted = one_of("engine", engine or "auto", Engine, [*Engine])
    number = seed_number(seed)
    with (
        terminated_like_interrupted(),
        turns.turn(project, turns.doing()),
        ExitStack() as todo,
    ):
        with waiting("making the hosts ..."):
            carrier = hosts.backend(project, Servers.IDLE)
            lab = todo.enter_context(temporary(carrier, wanted, number))
        try:
            yield lab
        finally:
            with waiting("removing the hosts ..."):
                todo.close()


def show(lab: Lab, chosen: Sequence[Claim], terminal: Terminal) -> Run:
    """Show claims, tell of each as soon as it is known, and of all in the end."""
    begun, at = time.monotonic(), datetime.now(UTC)
    findings: list[Finding] = []
    section = ""
    for number, claim in enumerate(chosen, start=1):
        with waiting(f"{claim.id}  {number} of {len(chosen)} ..."):
            (finding,) = registry.show(lab, [claim])
        if claim.section != section:
            section = claim.section
            typer.echo(f"\n{terminal.paint(section, Colour.STRONG)}\n", color=True)
        findings.append(finding)
        typer.echo(f"{shown.told(finding, terminal)}\n", color=True)
    took_s = time.monotonic() - begun
    typer.echo(shown.summary(findings, took_s, terminal), color=True)
    made = {
        "at": at.isoformat(timespec="seconds"),
        "socketlab": version("socketlab"),
        "took_s": round(took_s, 1),
        "seed": lab.seed,
    }
    return Run(findings, shown.document(findings, made, lab.machine, lab.network))
