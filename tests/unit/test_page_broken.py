"""Documents in which anything may stand anywhere: a figure is drawn, or says why not, and nothing breaks."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from socketlab.errors import ScenarioError
from socketlab.show.page import document, page_figures
from socketlab.show.page.figure import made
from tests.unit import documents

PLANS = {plan.name: plan for part in page_figures.PARTS for plan in part.plans}
OWNERS = {
    "topology": "A3", "sockets": "T6", "udp": "U7", "tcp": "T11", "segments": "T11", "restart": "Q3",
    "repair": "Q4",
    "flow": "T12", "congestion": "T13", "mathis": "T13", "retry": "Q1", "scale": "Q2",
}  # fmt: skip
PLOTTED = {"flow", "congestion", "mathis", "retry", "scale"}  # a tenth of a second each
STRANGE: list[Any] = [
    None, 0, -1, 2**63, 1e18, -1e18, 1e-300, "", "x", "\x00", "<b>", "$x$", "x" * 500, [], {}, [[]], [None],
    {"a": 1}, True, [1, 2, 3], "1",
]  # fmt: skip
Path = tuple[str | int, ...]


def paths(told: Any, path: Path = ()) -> Iterator[Path]:
    """Yield where values stand: of long lists the first ones, and the last."""
    if path:
        yield path
    items = list(told.items()) if isinstance(told, dict) else []
    if isinstance(told, list):
        items = list(enumerate(told))
        items = items if len(items) < 5 else [*items[:3], items[-1]]
    for key, value in items:
        yield from paths(value, (*path, key))


@pytest.mark.parametrize("name", OWNERS)
def test_strange_value_anywhere_breaks_nothing(name: str) -> None:
    chance = random.Random(name)  # noqa: S311 - the same each time
    complete = documents.complete()
    # The others have no part in this figure, and each trial copies and reads what there is.
    complete["claims"] = [claim for claim in complete["claims"] if claim["id"] == OWNERS[name]]
    del complete["sweep"]
    found = list(paths(complete["claims"][0]["figures"][name]))
    for _trial in range(4 if name in PLOTTED else 25):
        told = copy.deepcopy(complete)
        path, value = chance.choice(found), chance.choice(STRANGE)
        target = told["claims"][0]["figures"][name]
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value
        try:
            read = document.parsed(json.dumps(told), "x")
        except ScenarioError:
            continue  # a number that no run has
        figure = made(PLANS[name], document.document(read, "x"))
        assert figure.missing or figure.wide or figure.strips or figure.facts, (path, value)
