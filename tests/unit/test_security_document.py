"""SECURITY.md names tests: they exist, and none is named that looks at nothing."""

import re
from pathlib import Path

from socketlab.checkout import ROOT

DOCUMENT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_tests_that_it_names_exist() -> None:
    files = (
        file for where in ("tests", "services/netem/tests") for file in (ROOT / where).rglob("test_*.py")
    )
    there = set(re.findall(r"^def (test_\w+)\(", "\n".join(map(_text, files)), re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", DOCUMENT))
    assert named - there == set()
    assert len(named) > 40


def test_every_attack_has_a_defence_and_a_test() -> None:
    rows = [line.strip("|").split(" | ") for line in DOCUMENT.splitlines() if line.startswith("| to ")]
    assert len(rows) > 20
    for attack, defence, *shown_by in rows:
        assert len(shown_by) == 1, attack
        assert defence.strip()
        assert re.search(r"`test_\w+`", shown_by[0]), attack


def test_tests_from_inside_are_all_named() -> None:
    # One that looks from inside and is named nowhere defends nothing that anybody knows of. Those that show
    # the opposite, on a host without the defence, need no naming.
    opposites = re.compile(r"where_nothing_forbids|without_a_limit|hosts_reach_each_other|_instrument_")
    files = (ROOT / "tests" / "security").glob("test_*.py")
    there = re.findall(r"^def (test_\w+)\(", "\n".join(map(_text, files)), re.MULTILINE)
    assert [name for name in there if name not in DOCUMENT and not opposites.search(name)] == []


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")
