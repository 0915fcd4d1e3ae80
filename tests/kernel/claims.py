"""The claims of the lecture for which a network is impaired, by the kernel's own netem."""

from collections.abc import Callable, Iterator
from functools import partial

from socketlab.claims import registry
from socketlab.claims.notebook import Finding
from socketlab.describe.claims import BY_ID
from socketlab.hosts.lab import Lab
from tests.kernel.stage import lab
from tests.kernel.wire import command

CLAIMS = ("S2", "U7", "U8", "T11", "T12", "T13", "Q1", "Q4")  # in the order of the lecture


def showings() -> Iterator[tuple[str, Callable[[], Finding]]]:
    """Yield what shows each claim, on hosts that all of them share."""
    command("modprobe", "tcp_bbr")
    with lab() as here:
        for claim in CLAIMS:
            yield claim, partial(shown, here, claim)


def shown(here: Lab, claim: str) -> Finding:
    """Show one."""
    (finding,) = registry.show(here, [BY_ID[claim]])
    return finding
