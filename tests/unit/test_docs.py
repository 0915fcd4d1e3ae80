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


def test_readme_lists_the_commands_as_make_does() -> None:
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    commands = [line.strip() for line in listed.stdout.splitlines() if line.strip()]
    assert len(commands) > 15
    assert [line for line in commands if line not in text(ROOT / "README.md")] == []


@EACH
def test_make_targets_that_a_document_names_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text(ROOT / "Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", text(document), re.MULTILINE))
    assert named - targets == set()


@EACH
def test_links_of_a_document_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", text(document))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_walk_through_names_every_claim_and_no_other() -> None:
    named = set(re.findall(r"\b[SAUTNQ]\d+\b", text(ROOT / "docs" / "lecture.md")))
    assert named == {claim.id for claim in CLAIMS}


def test_architecture_quotes_the_complaint_as_the_server_sends_it() -> None:
    assert f"`{TOO_LARGE.decode()}`" in text(ROOT / "docs" / "architecture.md")
