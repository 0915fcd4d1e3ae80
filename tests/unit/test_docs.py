"""The documents say what is: their commands, links and quotations are looked up in the project."""

import re
import subprocess
from pathlib import Path

import pytest
from uppercase import TOO_LARGE

from socketlab.checkout import ROOT
from socketlab.describe.claims import CLAIMS

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "services/netem").glob("*.md")),
    *sorted((ROOT / "services/netem/docs").glob("*.md")),
]
EACH = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def text(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def anchors(document: Path) -> set[str]:
    """Return the places in a document that a link can lead to: its headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", text(document), re.MULTILINE)
    return {"#" + re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def tracked() -> list[str]:
    """Return the files of the checkout that are not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def folders() -> set[str]:
    """Return the top-level folders, and below socketlab/ and services/ each one with Python in it."""
    files = [Path(name) for name in tracked() if "/" in name]
    return {f"{file.parts[0]}/" for file in files} | {
        f"{file.parent.as_posix()}/"
        for file in files
        if file.suffix == ".py" and file.parts[0] in {"socketlab", "services"} and "tests" not in file.parts
    }


def test_commands_are_listed_as_make_does() -> None:
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    commands = [line.strip() for line in listed.stdout.splitlines() if line.strip()]
    assert len(commands) > 15
    assert [line for line in commands if line not in text(ROOT / "docs" / "commands.md")] == []


def test_architecture_has_a_line_for_every_folder_and_no_other() -> None:
    lines = re.findall(r"^\| `([^`]+/)` \| \S", text(ROOT / "docs" / "architecture.md"), re.MULTILINE)
    assert sorted(lines) == sorted(folders())


def test_readme_leads_to_every_page() -> None:
    linked = {ROOT / name for name in re.findall(r"\]\(([^)#]+\.md)\)", text(ROOT / "README.md"))}
    assert set(DOCUMENTS) - linked == {ROOT / "README.md"}


@pytest.mark.parametrize(("page", "words"), [("README.md", 1200), ("docs/reliability.md", 1500)])
def test_page_stays_short(page: str, words: int) -> None:
    assert len(text(ROOT / page).split()) <= words


@EACH
def test_make_targets_that_a_document_names_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text(ROOT / "Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", text(document), re.MULTILINE))
    assert named - targets == set()


@EACH
def test_links_of_a_document_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)", text(document))
    files = [(document.parent / link if link else document, anchor) for link, anchor in links]
    assert [file for file, _anchor in files if not file.exists()] == []
    assert [(file, anchor) for file, anchor in files if anchor and anchor not in anchors(file)] == []


def test_walk_through_names_every_claim_and_no_other() -> None:
    named = set(re.findall(r"\b[SAUTNQ]\d+\b", text(ROOT / "docs" / "lecture.md")))
    assert named == {claim.id for claim in CLAIMS}


def test_complaint_is_quoted_as_the_server_sends_it() -> None:
    assert f"`{TOO_LARGE.decode()}`" in text(ROOT / "docs" / "programs.md")
