"""Which function shows which claim; and showing them."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import import_module

from socketlab import hints
from socketlab.claims.notebook import BROKEN, Finding, Notebook, finding
from socketlab.describe.claims import BY_ID, CLAIMS, Claim
from socketlab.errors import LabError, ScenarioError
from socketlab.hosts.lab import Lab
from socketlab.observe.words import on_one_line

Showing = Callable[[Lab, Notebook], None]

# Modules of this package.
SECTIONS = (
    "sockets", "services_compared", "application", "udp", "tcp", "reliability", "flow", "congestion", "loose",
    "scale", "repair",
)  # fmt: skip
_showings: dict[str, Showing] = {}


def shows(claim: str) -> Callable[[Showing], Showing]:
    """Put a function on the list: it shows the claim with this id."""

    def register(showing: Showing) -> Showing:
        if claim not in BY_ID or claim in _showings:
            raise ValueError(f"expected the id of a claim that nothing shows yet, got {claim!r}")
        _showings[claim] = showing
        return showing

    return register


def showings() -> dict[str, Showing]:
    """Return what shows each claim, in the order of the lecture."""
    for section in SECTIONS:
        import_module(f"socketlab.claims.{section}")
    return {claim.id: _showings[claim.id] for claim in CLAIMS if claim.id in _showings}


def module_of(claim: str) -> str:
    """Return the name of the module that shows a claim."""
    return showings()[claim].__module__.rpartition(".")[2]


def chosen(ids: Iterable[str]) -> list[Claim]:
    """Return the claims with these ids, in the order of the lecture; without ids all of them.

    Raises:
        ScenarioError: there is no claim with that id.
    """
    wanted = {one.upper() for one in ids}
    if unknown := sorted(wanted - BY_ID.keys()):
        got = on_one_line(", ".join(unknown))
        raise ScenarioError(f"expected ids of claims, as U7 or T4, got {got}: see {hints.command('claims')}")
    return [claim for claim in CLAIMS if not wanted or claim.id in wanted]


def show(lab: Lab, claims: Iterable[Claim]) -> Iterator[Finding]:
    """Show claims one after the other, each on hosts on which nothing is left of the one before."""
    known = showings()
    for claim in claims:
        note, begun, reason = Notebook(), time.monotonic(), ""
        try:
            known[claim.id](lab, note)
        except BROKEN as error:
            reason = str(error)
        finally:
            with suppress(LabError):  # a host is gone: the next claim will say so itself
                lab.reset()
        yield finding(claim, note, begun, reason)
