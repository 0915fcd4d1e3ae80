"""The audit: holes, none, or not known; a service that knows nothing is no proof of anything."""

import json
from collections.abc import Iterator

import pytest

from setup import audit, venv
from setup.machine import Machine
from setup.shell import Outcome, SetupError

FINE = {"name": "one", "version": "1.0", "vulns": []}
BAD = {"name": "two", "version": "2.0", "vulns": [{"id": "PYSEC-1"}, {"id": "GHSA-2"}]}
SKIPPED = {"name": "three", "skip_reason": "not found on PyPI: three (3.0)"}


def said(*packages: object) -> Outcome:
    # As it really exits when all is skipped, too: with success.
    return Outcome(1 if BAD in packages else 0, json.dumps({"dependencies": packages, "fixes": []}))


UNREACHABLE = Outcome(1, err="Traceback ...\nConnectionError: Failed to resolve the service's name")


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> list[Outcome]:
    """What the services say, in turn."""
    answers: list[Outcome] = []

    def run(*_command: object, timeout_s: float) -> Outcome:
        assert timeout_s
        return answers.pop(0)

    monkeypatch.setattr(audit, "run", run)
    monkeypatch.setattr(venv, "ensure", lambda *_: None)
    return answers


@pytest.mark.parametrize(
    ("answers", "code", "words"),
    [
        pytest.param([said(FINE, FINE)], 0, "1 packages, none with a known hole", id="fine"),
        pytest.param([said(FINE, BAD)], 1, "two 2.0 has known holes: PYSEC-1, GHSA-2", id="hole"),
        pytest.param([said(SKIPPED, BAD)], 1, "two 2.0 has known holes", id="hole-among-unknown"),
        pytest.param([said(SKIPPED), said(FINE)], 0, "none with a known hole", id="second-knows"),
        pytest.param([said(SKIPPED), said(BAD)], 1, "two 2.0 has known holes", id="second-finds"),
        pytest.param([said(SKIPPED), UNREACHABLE], 4, "not found on PyPI: three", id="nobody-knows"),
        pytest.param([said(FINE, SKIPPED), UNREACHABLE], 4, "(and 0 more; 1 have no", id="one-unknown"),
        pytest.param([UNREACHABLE, UNREACHABLE], 4, "Failed to resolve the service's name", id="unreachable"),
        pytest.param([said(), said()], 4, "it looked at no package", id="nothing-looked-at"),
        pytest.param([Outcome(None, err="late"), Outcome(0)], 4, "it said nothing", id="too-late"),
    ],
)
def test_outcome_is_one_of_three(
    services: list[Outcome], answers: list[Outcome], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    services += answers
    assert audit.audit(Machine("Linux")) == code
    printed = capsys.readouterr().out
    assert words in printed
    assert ("not audited, which says nothing" in printed) == (code == 4)
    assert not services


def test_tool_that_cannot_be_installed_is_no_audit(
    services: list[Outcome], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ensure(*_: object) -> Iterator[None]:
        raise SetupError("venv: no package index")

    monkeypatch.setattr(venv, "ensure", ensure)
    assert audit.audit(Machine("Linux")) == 4
    assert "not audited" in capsys.readouterr().out
    assert not services
