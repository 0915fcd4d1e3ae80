"""Documents that a page is made from: read, or refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from socketlab.errors import ScenarioError
from socketlab.show.page import document
from tests.unit import documents
from tests.unit.documents import Json


def refused(file: Path) -> str:
    with pytest.raises(ScenarioError) as error:
        document.document(document.read(file), file.name)
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 400
    return text


def test_document_of_a_run_is_read(tmp_path: Path) -> None:
    file = tmp_path / "lecture.json"
    file.write_text(json.dumps(documents.complete()), encoding="utf-8")
    run = document.document(document.read(file), file.name)
    assert (len(run.claims), run.count("shown"), run.made.seed) == (40, 40, 1)


def test_fields_of_a_later_version_are_let_be() -> None:
    told = documents.complete() | {"weather": "rain"}
    told["made"]["by"] = "somebody"
    assert document.document(told, "x").made.socketlab == "0.1.0"


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "expected JSON", id="empty"),
        pytest.param(b"\x89PNG\r\n", "expected JSON in UTF-8", id="a picture"),
        pytest.param(b"{", "expected JSON", id="cut off"),
        pytest.param(DEEP.encode(), "expected JSON", id="nested too deeply"),
        pytest.param(b'{"version": NaN}', "NaN is no number in JSON", id="NaN"),
        pytest.param(b'{"version": 1e999}', "larger than any number", id="infinity"),
        pytest.param(b'{"version": ' + b"9" * 5000 + b"}", "larger than any number", id="a huge number"),
        pytest.param(b"[]", "the run of a lecture", id="a list"),
        pytest.param(b'{"version": 1, "results": []}', "the run of a lecture", id="an experiment's"),
    ],
)
def test_what_is_no_document_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content)
    assert words in refused(file)


def test_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.json")
    assert "directory" in refused(tmp_path)
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(document.LARGEST + 1)
    assert "at most 24 MiB" in refused(large)


def changed(change: Callable[[Json], Any]) -> Json:
    told = documents.complete()
    change(told)
    return told


@pytest.mark.parametrize(
    ("told", "words"),
    [
        pytest.param(
            {"kind": "lecture", "version": 2}, "expected version 1 of the document, got 2", id="version"
        ),
        pytest.param({"kind": "lecture", "version": True}, "got True", id="version is no number"),
        pytest.param(
            {"kind": "lecture", "version": 1}, "made: Field required (and 2 more)", id="parts missing"
        ),
        pytest.param(changed(lambda d: d["machine"].update(cpus=-1)), "machine.cpus", id="negative"),
        pytest.param(
            changed(lambda d: d["claims"][2].update(outcome="perhaps")),
            "claims.2.outcome",
            id="fourth outcome",
        ),
        pytest.param(changed(lambda d: d["claims"][2].update(id='"><b>')), "claims.2.id", id="id"),
        pytest.param(
            changed(lambda d: d["claims"][2].update(id="S1")),
            "expected each claim once, got S1 twice",
            id="twice",
        ),
        pytest.param(changed(lambda d: d.update(problems="none")), "problems", id="no list"),
    ],
)
def test_what_is_no_run_of_a_lecture_is_refused(tmp_path: Path, told: Json, words: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps(told), encoding="utf-8")
    assert words in refused(file)


def test_refusal_shows_nothing_that_could_move_the_cursor(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps({"kind": "lecture", "version": "\x1b[2J\n" * 50}), encoding="utf-8")
    text = refused(file)
    assert text.isprintable()
