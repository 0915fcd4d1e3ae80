"""What the tests look through: tshark reads the captures, Chromium shows the report. The lab needs none."""

import shutil
from dataclasses import dataclass

from setup import apt, remedies
from setup.facts import Fact, State
from setup.machine import Machine
from setup.shell import SetupError

NAME = "test-tools"


@dataclass(frozen=True)
class Tool:
    """A program that tests use.

    Attributes:
        commands: what it is called, on one system or another; first Debian's name for its package, too.
        needs: packages that it does without, and shows nothing of use then.
    """

    commands: tuple[str, ...]
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What people call it."""
        return self.commands[0]


TOOLS = (
    Tool(("tshark",)),
    Tool(("chromium", "chromium-browser", "google-chrome"), needs=("fonts-dejavu-core",)),
)


def missing() -> list[Tool]:
    """Return the tools of which no command is there."""
    return [tool for tool in TOOLS if not any(map(shutil.which, tool.commands))]


def check(machine: Machine) -> Fact:
    """Say whether they are there."""
    lacking = [tool.name for tool in missing()]
    if not lacking:
        return Fact(NAME, State.OK, ", ".join(tool.name for tool in TOOLS), needed=False)
    found = f"no {' and no '.join(lacking)}: the tests that need one are skipped"
    if machine.administers_debian:
        return Fact(NAME, State.MISSING, found, "`make test` installs them", automatic=True, needed=False)
    return Fact(NAME, State.MISSING, found, remedies.install(machine, " ".join(lacking)), needed=False)


def ensure(machine: Machine) -> None:
    """See to it that they are there, as far as we may; without them tests are skipped, which they say.

    Ubuntu's package chromium only fetches a snap, for which a machine may have no service: what cannot be
    installed is told, and no reason to do without all other tests.
    """
    fact = check(machine)
    if fact.state is State.OK:
        return
    if not fact.automatic:
        print(f"{NAME}: {fact.found}\n  -> {fact.remedy}", flush=True)
        return
    for tool in missing():
        try:
            apt.install(machine, NAME, tool.name, *tool.needs)
        except SetupError as error:
            print(f"{NAME}: {error}", flush=True)
