"""docs/reliability.md is made of parts, and a campaign brings its own (docs/architecture.md)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from campaigns import reliability
from campaigns.reliability import Part

LINES = "<!-- rain: what follows is written by `make rain RECORD=1` -->\n<!-- rain: up to here -->"


def section(recorded: Mapping[str, Any]) -> str:
    """Return the text of a part."""
    if recorded["version"] != 1:
        raise ValueError("run make rain RECORD=1")
    return f"It rained {recorded['times']} times."


def test_campaign_is_added_by_its_section(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(reliability, "DOCS", tmp_path)
    rain = Part("rain", section)
    page = tmp_path / "page.md"
    page.write_text(f"Before.\n\n{LINES}\n\nAfter.\n", encoding="utf-8")
    rain.figures.parent.mkdir()
    for times in (3, 4):  # once more replaces it
        rain.figures.write_text(json.dumps({"version": 1, "times": times}), encoding="utf-8")
        rain.write(page)
        begin, end = LINES.splitlines()
        text = f"It rained {times} times."
        assert page.read_text(encoding="utf-8") == f"Before.\n\n{begin}\n\n{text}\n\n{end}\n\nAfter.\n"
    rain.figures.write_text(json.dumps({"version": 2}), encoding="utf-8")
    with pytest.raises(ValueError, match="make rain RECORD=1"):
        rain.write(page)
