"""Documents of a run, from anybody: read, drawn, and shown as a page."""

import json
from functools import cache
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

from campaigns.fuzz.target import Draws, Target, one_line, replaced
from socketlab.errors import ScenarioError
from socketlab.show.page import build, page_figures
from socketlab.show.page.document import Document, document, parsed
from socketlab.show.page.figure import made
from tests.unit import documents

COMPLETE = documents.complete()
# The claim that a figure belongs to, by the figure's name. Those that matplotlib plots take too long here.
PLOTTED = {"flow", "congestion", "mathis", "retry", "scale"}
OWNERS = {
    name: claim for claim in COMPLETE["claims"] for name in claim.get("figures", {}) if name not in PLOTTED
}
PLANS = {plan.name: plan for part in page_figures.PARTS for plan in part.plans}
DRAWN = sorted(OWNERS.keys() & PLANS.keys())

SMALLEST = {
    "version": 1,
    "kind": "lecture",
    "made": {"at": "x", "socketlab": "1", "took_s": 1},
    "machine": {"system": "l", "kernel": "6", "engine": "d", "cpus": 2},
    "claims": [{"id": "U3", "section": "UDP", "says": "s", "shown_by": "t", "outcome": "shown"}],
}


def read(data: bytes) -> None:
    try:
        document(parsed(data.decode("utf-8", "replace"), "a file"), "a file")
    except ScenarioError as refusal:
        one_line(refusal)


def _document(**claim: Any) -> Document | None:
    told = COMPLETE | {"claims": [claim], "sweep": None}
    try:
        return document(parsed(json.dumps(told), "a file"), "a file")
    except ScenarioError as refusal:
        one_line(refusal)
        return None


def drawn(data: bytes) -> None:
    """A figure's data: any JSON at all."""
    draws = Draws(data)
    name = DRAWN[draws.number(0, len(DRAWN) - 1)]
    try:
        told = parsed(draws.rest().decode("utf-8", "replace"), "a file")
    except ScenarioError:
        return
    run = _document(**OWNERS[name] | {"figures": {name: told}})
    if run is None:
        return
    figure = made(PLANS[name], run)
    assert figure.missing or figure.wide or figure.strips or figure.facts
    for picture in (figure.wide, figure.narrow):
        if picture:
            for element in ElementTree.fromstring(str(picture)).iter():  # noqa: S314 - ours, and that is tested
                harmless(element.tag.rpartition("}")[2], list(element.attrib))


TAGS = {"script", "iframe", "object", "embed", "form", "img", "base", "link", "foreignObject"}


def harmless(tag: str, attributes: list[str]) -> None:
    """Check that an element runs nothing and fetches nothing."""
    assert tag not in TAGS, f"an element {tag}"
    assert not any(name.lower().startswith("on") for name in attributes), f"an attribute of {tag} that runs"


class Elements(HTMLParser):
    """The elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.scripts += 1
        else:
            harmless(tag, [name for name, _value in attrs])


environment = cache(build._environment)  # the template is read and made once


def page(data: bytes) -> None:
    """Texts, wherever a claim has some."""
    texts = (data.decode("utf-8", "replace").split("\0") + [""] * 6)[:6]
    run = _document(
        id="U3", section=texts[0], says=texts[1], shown_by=texts[2], outcome="refuted", reason=texts[3],
        did=[texts[4]], checks=[{"statement": texts[5], "holds": False, "evidence": {texts[0]: texts[5]}}],
    )  # fmt: skip
    if run is None:
        return
    elements = Elements()
    with replaced(build, "_environment", environment):
        elements.feed(build.page(run, {"texts": texts}).html)
    assert elements.scripts == 2, "another script than the page's own and its data"


TARGETS = (
    Target(
        "document",
        "the document of a run, from a file",
        "a document, or ScenarioError in one line",
        read,
        (
            json.dumps(COMPLETE | {"claims": COMPLETE["claims"][:1], "sweep": None}).encode()[:4000],
            json.dumps(SMALLEST).encode(),
        ),
        300_000,
        4096,
    ),
    Target(
        "figure",
        "a figure's data in a document",
        "a picture in which nothing runs, or why there is none",
        drawn,
        tuple(
            seed
            for place, name in enumerate(DRAWN)
            if len(seed := bytes([place]) + json.dumps(OWNERS[name]["figures"][name]).encode()) <= 4096
        ),
        40_000,
        4096,
    ),
    Target(
        "page",
        "texts in a document, shown on the page",
        "whatever a text says, the page has its own script and its data, and no element that runs or fetches",
        page,
        (
            b"UDP\0says\0shown by\0reason\0did\0statement",
            b"</script><script>alert(1)</script>\0<img src=x onerror=y>",
            b'"onload="x\0\'><svg/onload=x>\0{{ 7 }}\0<!--\0]]>\0&lt;script&gt;',
        ),
        4_000,
        256,
    ),
)
