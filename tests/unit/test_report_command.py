"""The command `report`: what it refuses before it begins, what it writes, and what it ends with."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from socketlab import cli
from socketlab.analyse.result import Result
from socketlab.cli import lecture_commands, report_commands
from socketlab.cli.lecture_commands import Run as LectureRun
from socketlab.describe.scenario import Experiment
from socketlab.errors import EngineError, Exit
from socketlab.run import experiments
from socketlab.show.page import build
from socketlab.show.page.build import Page, Problem
from tests.unit import documents

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command; return its exit code and what it wrote."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        monkeypatch.setattr(sys, "argv", ["socketlab", "report", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A run that was written down."""
    file = tmp_path / "lecture.json"
    file.write_text(json.dumps(documents.small()), encoding="utf-8")
    return file


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What pages were drawn of; nothing is really drawn."""
    pages: list[dict[str, Any]] = []

    def page(_run: object, told: dict[str, Any]) -> Page:
        pages.append(told)
        broken = [Problem("S1", "refuted")] if told["problems"] else []
        return Page("<!doctype html>", {"flow.svg": lambda: b"<svg/>"}, broken)

    monkeypatch.setattr(build, "page", page)
    return pages


def test_run_that_was_written_down_is_drawn_again(run: Run, document: Path, tmp_path: Path) -> None:
    page = tmp_path / "x.html"
    code, out, err = run("--from", str(document), "--output", str(page))
    assert (code, err.removeprefix("drawing the page and its pictures ...\n")) == (
        0,
        "",
    )  # where that is slow
    assert out.startswith(f"{page}  ")
    assert "pictures in" in out
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert {file.suffix for file in (tmp_path / "x").iterdir()} == {".svg", ".png"}
    assert not (tmp_path / "x.json").exists()  # it is there already, under its own name


def test_pictures_of_an_older_page_go_and_what_is_not_ours_stays(
    run: Run, document: Path, tmp_path: Path, drawn: list[dict[str, Any]]
) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    for name in ("udp-9.svg", "sweep.png", "holiday.png", "flow.svg"):
        (folder / name).write_bytes(b"old")
    assert run("--from", str(document), "--output", str(tmp_path / "x.html"))[0] == 0
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        "holiday.png": b"old",
        "flow.svg": b"<svg/>",
    }
    assert len(drawn) == 1


def test_page_of_a_broken_run_is_told(run: Run, tmp_path: Path, drawn: list[dict[str, Any]]) -> None:
    file = tmp_path / "lecture.json"
    file.write_text(json.dumps(documents.complete() | {"problems": ["it broke"]}), encoding="utf-8")
    code, out, _err = run("--from", str(file), "--output", str(tmp_path / "x.html"))
    assert code == 0
    assert "This run is not whole: the page says so, and names 1 of its parts." in out
    assert len(drawn) == 1


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        pytest.param("{", 2, "expected JSON", id="no JSON"),
        pytest.param('{"version": 2, "kind": "lecture"}', 2, "expected version 1", id="version"),
        pytest.param('{"version": 1, "results": []}', 2, "the run of a lecture", id="another document"),
    ],
)
def test_what_is_no_run_is_one_line_and_nothing_is_written(
    run: Run, tmp_path: Path, content: str, code: int, words: str
) -> None:
    file = tmp_path / "x.json"
    file.write_text(content, encoding="utf-8")
    ended, out, err = run("--from", str(file), "--output", str(tmp_path / "page.html"))
    assert (ended, out, err.count("\n")) == (code, "", 1)
    assert words in err
    assert [each.name for each in tmp_path.iterdir()] == ["x.json"]


def test_page_that_could_not_be_written_is_refused_before_the_run(run: Run, tmp_path: Path) -> None:
    code, _out, err = run("--output", str(tmp_path / "none" / "x.html"))
    assert code == 2
    assert "there is no folder" in err


def test_packages_that_are_missing_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_commands, "NEEDED", ("json", "no_such_package"))
    code, _out, err = run()
    assert code == 1
    assert "no_such_package not found: install them by `python3 -m setup ensure report`" in err


def lecture(
    monkeypatch: pytest.MonkeyPatch, experiment: Callable[[Experiment], Result], exit_code: int
) -> None:
    """Let the lecture be a made-up one."""

    @contextmanager
    def made(_project: str, _engine: str | None, seed: str) -> Iterator[object]:
        yield SimpleNamespace(seed=int(seed))

    def show(*_: object) -> object:
        told = documents.complete()
        del told["sweep"]
        return SimpleNamespace(document=told, exit_code=exit_code)

    monkeypatch.setattr(lecture_commands, "made", made)
    monkeypatch.setattr(experiments, "measured", lambda _lab, asked: experiment(asked))
    monkeypatch.setattr(lecture_commands, "show", show)


def gone(_asked: Experiment) -> Result:
    raise EngineError("the engine went away")


def test_sweep_that_broke_is_told_and_in_the_document(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, drawn: list[dict[str, Any]]
) -> None:
    lecture(monkeypatch, gone, 0)
    code, _out, err = run("--output", str(tmp_path / "x.html"), "--seed", "5")
    assert code == 4
    assert "30 rounds of the sweep were not measured; the first: round 1" in err
    (told,) = drawn
    assert told == json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert told["made"]["took_s"] >= documents.complete()["made"]["took_s"]  # the sweep is part of the run
    assert "the engine went away" in told["sweep"]["points"][0]["udp"]["broken"][0]


def test_refuted_claim_decides_the_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, drawn: list[dict[str, Any]]
) -> None:
    lecture(monkeypatch, gone, Exit.FAILED)
    assert run("--output", str(tmp_path / "x.html"))[0] == 1
    assert len(drawn) == 1


def test_run_of_the_lecture_has_what_the_report_needs_of_it() -> None:
    assert {"document", "exit_code"} <= set(dir(LectureRun)) | set(LectureRun.__dataclass_fields__)
