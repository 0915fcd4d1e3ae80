"""A real browser: headless Chromium, operated by Playwright. Nothing is served: a page is a file."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from socketlab.show.page import build, document
from tests.unit import documents
from tests.unit.documents import Json

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
# It is to ask nobody for anything: not its maker either.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
WIDE, NARROW = 1280, 390
HEIGHT = 900


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: make test gets it, or says how")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield running
        running.close()


@dataclass(frozen=True)
class Report:
    """A page on the disk, and the document that it was made from."""

    told: Json
    file: Path
    broken: int

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return self.file.as_uri()

    def claim(self, name: str) -> Json:
        """Return what the document says of a claim."""
        return next(dict(claim) for claim in self.told["claims"] if claim["id"] == name)


Made = Callable[[str, Json], Report]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """What makes a page of a document."""
    folder = tmp_path_factory.mktemp("pages")

    def make(name: str, told: Json) -> Report:
        told = document.parsed(json.dumps(told), name)
        drawn = build.page(document.document(told, name), told)
        file = folder / f"{name}.html"
        file.write_text(drawn.html, encoding="utf-8")
        return Report(told, file, len(drawn.broken))

    return make


@pytest.fixture(scope="session")
def complete(made: Made) -> Report:
    """A run in which all was shown."""
    return made("complete", documents.complete())


@pytest.fixture(scope="session")
def hostile(made: Made) -> Report:
    """A run whose every text attacks."""
    return made("hostile", documents.hostile())


@pytest.fixture(scope="session")
def broken(made: Made) -> Report:
    """A run of which a claim is refuted, another could not be measured, and the sweep is missing."""
    told = documents.complete()
    for claim in told["claims"]:
        claim["figures"] = {}
    failing = {"statement": "the door is shut", "holds": False, "evidence": {"errno": 13}}
    told["claims"][0] |= {"outcome": "refuted", "checks": [failing]}
    told["claims"][1] |= {"outcome": "unmeasured", "reason": "no time"}
    told["problems"] = ["the engine went away"]
    del told["sweep"]
    return made("broken", told)


@dataclass
class Seen:
    """What a page says beside what it shows."""

    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


Opened = Callable[..., tuple[Page, Seen]]
Look = Callable[..., Page]


def window(browser: Browser, width: int, scheme: str, *, scripts: bool = True) -> BrowserContext:
    """Return a window of a reader: how wide, light or dark, with or without scripts."""
    return browser.new_context(
        viewport={"width": width, "height": HEIGHT},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=scripts,
    )


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    """What opens a page in a window of its own; all of them are closed in the end."""
    contexts: list[BrowserContext] = []

    def load(
        report: Report, width: int = WIDE, scheme: str = "light", *, scripts: bool = True
    ) -> tuple[Page, Seen]:
        contexts.append(window(browser, width, scheme, scripts=scripts))
        page, seen = contexts[-1].new_page(), Seen()
        page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.on("request", lambda request: seen.requests.append(request.url))
        page.goto(report.address)
        return page, seen

    yield load
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def look(browser: Browser, complete: Report) -> Iterator[Look]:
    """What opens the page of the complete run, for those who only look: one window of each kind."""
    pages: dict[tuple[int, str], Page] = {}

    def load(width: int = WIDE, scheme: str = "light") -> Page:
        if (width, scheme) not in pages:
            pages[width, scheme] = window(browser, width, scheme).new_page()
            pages[width, scheme].goto(complete.address)
        return pages[width, scheme]

    yield load
    for page in pages.values():
        page.context.close()
