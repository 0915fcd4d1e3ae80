"""The command `report`: a run of the lecture, and a page of it."""

import re
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from socketlab import extras
from socketlab.analyse.sweep_curve import Swept, swept
from socketlab.checkout import OUTPUT
from socketlab.claims import registry
from socketlab.cli import lecture_commands
from socketlab.cli.shared_options import EngineOption
from socketlab.describe.scenario import Engine
from socketlab.describe.sweep import Sweep
from socketlab.errors import Exit, LabError
from socketlab.hosts.lab import Lab
from socketlab.run import experiments
from socketlab.run import rounds as sweeping
from socketlab.show import files
from socketlab.show import findings as shown
from socketlab.show.plain_data import as_data
from socketlab.show.terminal import this_terminal
from socketlab.show.waiting import counting, waiting

if TYPE_CHECKING:
    from socketlab.show.page.build import Page

RESULTS = OUTPUT / "results"
NEEDED = ("jinja2", "markupsafe", "matplotlib", "pydantic")  # the extra `report` of pyproject.toml

FromOption = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="Draw this run again, instead of making one."),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", help="The page. [default: results/report.html]"),
]


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("report")(report)


def report(
    project: lecture_commands.ProjectOption,
    run: FromOption = None,
    output: OutputOption = None,
    seed: lecture_commands.SeedOption = "1",
    engine: EngineOption = None,
) -> None:
    """Show the lecture's claims, measure UDP and TCP against loss, and make a page of it, with pictures.

    Beside the page `report.html` stand its document, `report.json`, and its pictures, in the folder `report`.
    Exit code 0: all is shown. 1: a claim is refuted. 4: something could not be measured; the page says what.
    """
    extras.expect("report", *NEEDED)
    # Here, not above: matplotlib takes half a second, which no other command needs.
    from socketlab.show.page import build, document  # noqa: PLC0415

    page = output or RESULTS / "report.html"
    if output is None:
        RESULTS.mkdir(exist_ok=True)
    files.expect_writable(page)
    if run is None:
        made, code = _made(project, engine, seed)
        # Read again as anybody would: a run that a page could not be drawn from later would be no document.
        text = shown.as_json(made)
        told = document.parsed(text, "this run")
        files.write(page.with_suffix(".json"), text)
    else:
        told, code = document.read(run), 0
    with waiting("drawing the page and its pictures ..."):
        drawn = build.page(document.document(told, str(run or "this run")), told)
        _written(page, drawn)
    typer.echo(
        f"{page}  {page.stat().st_size / 1024:,.0f} KiB, {len(drawn.pictures)} pictures in {_folder(page)}"
    )
    if drawn.broken:
        typer.echo(f"This run is not whole: the page says so, and names {len(drawn.broken)} of its parts.")
    raise typer.Exit(code)


def _made(project: str, engine: str | None, seed: str) -> tuple[dict[str, Any], int]:
    """Make a run: the claims, then the sweep. Return its document and what the command ends with."""
    with lecture_commands.made(project, engine, seed) as lab:
        run = lecture_commands.show(lab, registry.chosen([]), this_terminal())
        begun = time.monotonic()
        figures = _swept(lab, Engine(engine or "auto"))
        took_s = round(run.document["made"]["took_s"] + time.monotonic() - begun, 1)
    broken = [why for point in figures.points for side in (point.udp, point.tcp) for why in side.broken]
    if broken:
        typer.echo(f"{len(broken)} rounds of the sweep were not measured; the first: {broken[0]}", err=True)
    more = {"made": run.document["made"] | {"took_s": took_s}, "sweep": as_data(figures)}
    return run.document | more, run.exit_code or (Exit.UNMEASURED if broken else Exit.OK)


def _swept(lab: Lab, engine: Engine) -> Swept:
    sweep = replace(Sweep(), seed=lab.seed)
    doing = "experiments of UDP and TCP against loss ..."
    with waiting(doing):
        return swept(sweep, sweeping.run(partial(experiments.measured, lab), sweep, counting(doing), engine))


def _folder(page: Path) -> Path:
    """Return where the pictures of a page are."""
    return page.with_suffix("")


def _written(page: Path, drawn: "Page") -> None:
    """Write the page and its pictures, and take away those of an older page that this one does not have.

    Raises:
        LabError: the system refuses.
    """
    from socketlab.show.page import page_figures  # noqa: PLC0415 - as above

    names = "|".join(plan.name for part in page_figures.PARTS for plan in part.plans)
    ours = re.compile(rf"({names})(-\d+)?\.(svg|png)")
    folder = _folder(page)
    try:
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            if ours.fullmatch(file.name) and file.name not in drawn.pictures:
                file.unlink()
        for name, picture in drawn.pictures.items():
            (folder / name).write_bytes(picture())
        page.write_text(drawn.html, encoding="utf-8")
    except OSError as error:
        raise LabError(f"cannot write {page} and its pictures: {error.strerror}") from error
