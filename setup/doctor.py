"""What this machine can do, and how to mend what it cannot. Changes nothing."""

import platform
import sys
from collections.abc import Callable, Iterator

from setup import base_image, checks, compose, engine, test_tools, venv
from setup.facts import Fact, State
from setup.machine import Machine


def facts(machine: Machine) -> Iterator[Fact]:
    """Yield everything worth knowing, what others depend on first."""
    yield checks.system(machine)
    yield Fact("Python", State.OK, f"{platform.python_version()}, {sys.executable}")
    yield checks.tool(machine, "make")
    yield checks.tool(machine, "git")
    yield checks.terminal()
    the_engine = engine.check(machine)
    yield the_engine
    yield from checks.rights()
    if the_engine.state is State.OK:
        yield from checks.resources(machine)
    yield guarded(compose.NAME, lambda: compose.check(machine))
    if the_engine.state is State.OK:
        registry = checks.registry()
        yield registry
        pulls = registry.state is not State.MISSING
        yield guarded(base_image.NAME, lambda: base_image.check(machine, registry=pulls))
    else:
        yield Fact(base_image.NAME, State.UNKNOWN, "to be asked when the engine answers", needed=False)
    if the_engine.state is State.OK:
        yield checks.impairment()
    yield guarded(venv.NAME, lambda: venv.check(machine))
    yield checks.c_compiler(machine)
    yield test_tools.check(machine)


def guarded(name: str, check: Callable[[], Fact]) -> Fact:
    """Return what a check finds; a file that it may not read leaves the fact unknown."""
    try:
        return check()
    except OSError as error:
        return Fact(name, State.UNKNOWN, str(error))


def mark(fact: Fact) -> str:
    """Return the word that stands before a fact."""
    if fact.state is not State.MISSING:
        return fact.state.value
    if not fact.needed:
        return "absent"
    return "to do" if fact.automatic else "MISSING"


def table(known: list[Fact]) -> str:
    """Return the facts as lines, each remedy below its fact."""
    width = max(len(fact.name) for fact in known)
    lines = []
    for fact in known:
        lines.append(f"{mark(fact):8}{fact.name:{width}}  {fact.found}")
        if fact.remedy and fact.state is not State.OK:
            lines.append(f"{'':8}{'':{width}}  -> {fact.remedy}")
    return "\n".join(lines)


def verdict(known: list[Fact]) -> tuple[int, str]:
    """Return the exit code and the last line of the report."""
    lacking = [fact for fact in known if fact.needed and fact.state is not State.OK]
    stopping = [fact.name for fact in lacking if not fact.automatic]
    if stopping:
        return 1, f"Socket Lab cannot run here before this is mended: {', '.join(stopping)}."
    if lacking:
        names = ", ".join(fact.name for fact in lacking)
        return 0, f"Socket Lab can run here; `make up` first provides: {names}."
    return 0, "Socket Lab can run here."


def report(machine: Machine) -> int:
    """Print the report and return the exit code: 0 when the lab can run here."""
    known = list(facts(machine))
    code, last_line = verdict(known)
    print(table(known), last_line, sep="\n\n")
    return code
