"""Words of somebody else's tell the terminal nothing."""

import unicodedata
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketlab import cli
from socketlab.errors import EngineError
from socketlab.hosts.backend import LogLine
from socketlab.hosts.docker.compose_project import MADE_BY_COMPOSE, ComposeProject
from socketlab.observe.words import on_one_line, printable

HOSTILE = "\x1b]0;owned\x07\x9b31m\u202e"
SHOWN = r"\x1b]0;owned\x07\x9b31m\u202e"


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    shown = printable(text)
    assert {unicodedata.category(one) for one in shown.replace("\n", "")}.isdisjoint({"Cc", "Cf", "Cs"})
    assert shown.count("\n") == text.count("\n")
    assert on_one_line(text) == shown.replace("\n", r"\n")


def test_words_are_left_as_they_are() -> None:
    assert printable("naïve straße, ΕΛΛΆΔΑ\n") == "naïve straße, ΕΛΛΆΔΑ\n"
    assert printable(HOSTILE) == SHOWN


def test_log_of_a_malicious_host_tells_the_terminal_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    logged = f"2026-01-01T00:00:00.000000000Z {HOSTILE}\n".encode()
    container = SimpleNamespace(labels={MADE_BY_COMPOSE: "1"}, logs=lambda **_: logged)
    lab = object.__new__(ComposeProject)
    monkeypatch.setattr(lab, "containers", lambda _service: [container])
    assert lab.log("server") == [LogLine("00:00:00.000000", "server-1", SHOWN)]


def test_error_that_quotes_a_malicious_host_tells_the_terminal_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def app() -> None:
        raise EngineError(f"the host said {HOSTILE}")

    monkeypatch.setattr(cli, "app", app)
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == f"socketlab: the host said {SHOWN}\n"
