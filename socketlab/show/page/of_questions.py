"""Figures of the lecture's open questions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from socketlab.show.page import plots
from socketlab.show.page.document import Document
from socketlab.show.page.document_types import Retry, Scale
from socketlab.show.page.figure import Figure, NotMeasured, Plan, plotted, shaped_figure, told
from socketlab.show.page.tables import Table, beside, flat, number, table, worded


def retry(plan: Plan, document: Document) -> Figure:
    """UDP with retries beside TCP."""
    data: Retry = shaped_figure(Retry, document, plan.claims, "retry")
    sides = {"UDP with retries": data.udp.model_dump(), "TCP": data.tcp.model_dump()}
    return plan.figure(
        done=[f"{data.messages:,} messages through a network that loses {number(data.loss_percent)} %"],
        **plotted(plan.name, plots.retry(data)),
        facts=[beside("Answers, and what they cost", sides)],
    )


def scale(plan: Plan, document: Document) -> Figure:
    """Number of clients against answer time."""
    data: Scale = shaped_figure(Scale, document, plan.claims, "scale")
    if not any(point.median_ms is not None for point in data.points):
        raise NotMeasured("no client was answered in time")
    rows = [
        [
            service,
            point.server,
            point.clients,
            point.answers,
            point.median_ms,
            point.p95_ms,
            point.answers_per_s,
        ]
        for service, points in (("TCP", data.points), ("UDP", data.udp_points))
        for point in points
    ]
    head = ["", "server", "clients", "answers", "median (ms)", "95 % within (ms)", "answers a second"]
    thinks = (
        []
        if data.think_ms is None
        else [f"all clients come at once; over TCP each thinks for {number(data.think_ms)} ms in its middle"]
    )
    return plan.figure(
        done=thinks,
        **plotted(plan.name, plots.scale(data)),
        tables=[table("Every point", head, rows)],
    )


def compared(name: str) -> Callable[[Plan, Document], Figure]:
    """Return what makes a figure of tables: things side by side, or facts below each other."""

    def make(plan: Plan, document: Document) -> Figure:
        data = told(document, plan.claims, name)
        if not isinstance(data, dict) or not data:
            raise NotMeasured(
                f"the figures of {plan.claims[0]} are not as they should be: {name}: expected names"
            )
        return plan.figure(facts=tables_of(data, plan.title))

    return make


NAMES = {"udp": "UDP", "tcp": "TCP"}
MOST_COLUMNS = 4


def tables_of(data: Mapping[str, Any], title: str) -> list[Table]:
    """Return data of any shape as tables.

    Lists of records are a table each, a row a record. A few things with the same fields stand side by side.
    All else is names and values below each other.
    """
    listed = {key: value for key, value in data.items() if _are_records(value)}
    rest = {NAMES.get(key, key): value for key, value in data.items() if key not in listed}
    tables = [_of_records(key, value) for key, value in listed.items()]
    if not rest:
        return tables
    if all(isinstance(value, dict) for value in rest.values()) and len(rest) <= MOST_COLUMNS:
        return [beside(title, rest), *tables]
    return [table(title, ["", "value"], [list(pair) for pair in flat(rest)]), *tables]


def _are_records(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def _of_records(name: str, records: Sequence[Mapping[str, Any]]) -> Table:
    fields = list(dict.fromkeys(field for record in records for field in record))
    rows = [[record.get(field) for field in fields] for record in records]
    return table(worded(name), [worded(field) for field in fields], rows)
