"""What the tests look through: installed where we may, else named, and never a reason to stop."""

from pathlib import Path

import pytest

from setup import test_tools
from setup.facts import State
from tests.unit.test_setup_fakes import Commands, commands, debian, elsewhere

__all__ = ["commands"]  # the fixture


def test_tools_that_are_there_are_left_alone(commands: Commands, tmp_path: Path) -> None:
    for name in ("tshark", "google-chrome"):
        commands.add(name)
    machine = debian(tmp_path)
    test_tools.ensure(machine)
    assert (test_tools.check(machine).state, commands.calls) == (State.OK, [])


def test_tools_that_are_missing_are_installed_without_a_question(commands: Commands, tmp_path: Path) -> None:
    commands.add("chromium")
    commands.add("apt-get", {"": '[ "$DEBIAN_FRONTEND" = noninteractive ]'})
    test_tools.ensure(debian(tmp_path))
    [install] = commands.changes
    assert install.endswith("install --yes --no-install-recommends tshark")


def test_tool_that_cannot_be_installed_is_told_and_the_next_one_tried(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.add("apt-get", {"": 'case "$*" in *tshark) echo "E: no tshark" >&2; exit 100;; esac'})
    test_tools.ensure(debian(tmp_path))
    assert commands.changes[-1].endswith(" chromium fonts-dejavu-core")
    assert "E: no tshark" in capsys.readouterr().out


def test_tools_are_only_named_where_we_may_install_nothing(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test_tools.ensure(elsewhere(tmp_path, "Linux", ("fedora",)))
    assert commands.calls == []
    assert "no tshark and no chromium" in (said := capsys.readouterr().out)
    assert "-> sudo dnf install tshark chromium" in said
