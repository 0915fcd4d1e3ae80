"""What is done with the lab itself: its experiments, and the lecture's claims about bad networks."""

from collections.abc import Callable, Iterator
from functools import partial

from socketlab.claims.notebook import Finding, Outcome
from socketlab.show.findings import of_finding
from tests.kernel import claims, flips, sidecar
from tests.kernel.rows import Named, Row, checks


def cases() -> Iterator[Named]:
    """Yield the checks, then the claims."""
    yield from checks("frames", flips.CHECKS)
    yield from checks("sidecar", sidecar.CHECKS)
    for name, action in claims.showings():
        yield f"claims: {name}", partial(claimed, action)


def claimed(action: Callable[[], Finding]) -> Row:
    """Show a claim."""
    found = action()
    failed = [check.statement for check in found.checks if not check.holds]
    said = f"{found.outcome}, {len(found.checks)} checks" + "".join(f"; NOT {one}" for one in failed)
    said += f"; {found.reason}" if found.reason else ""
    return Row("", found.outcome is Outcome.SHOWN, said, claim=of_finding(found))
