"""A fault, as data: what is done to a lab under traffic, and what may come of it."""

import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass

from campaigns.faults.outcome import Seen
from campaigns.faults.scene import LASTS_S, Scene, expect_code

MEASURED, DISTURBED = 0, 4  # exit codes of an experiment
BOTH = ("udp", "tcp")


@dataclass(frozen=True)
class Fault:
    """One row of the matrix.

    Attributes:
        name: of the row.
        group: what it is done to.
        does: what is done, for people.
        run: does it, and returns what was seen. Raises Broken or Unmeasurable.
        protocols: over which it is tried.
        representative: over which of them `make test` tries it, too.
    """

    name: str
    group: str
    does: str
    run: Callable[[Scene], Seen]
    protocols: tuple[str, ...] = BOTH
    representative: tuple[str, ...] = ()


def in_traffic(
    inject: Callable[[Scene], AbstractContextManager[object]],
    codes: Collection[int] = (DISTURBED,),
    *,
    heals: bool = True,
    recovers: bool = True,
) -> Callable[[Scene], Seen]:
    """Return what disturbs an experiment.

    Args:
        inject: the fault is there in the body of its `with`.
        codes: with which exit code the experiment may end.
        heals: the fault is over after LASTS_S, while messages are sent; else it stays until the end.
        recovers: the next experiment is tried, too.
    """

    def run(scene: Scene) -> Seen:
        with scene.traffic() as running:
            with inject(scene):
                if heals:
                    time.sleep(LASTS_S)  # so long the fault lasts: it is no waiting for anything
                else:
                    seen = running.end()
            if heals:
                seen = running.end()
        if recovers:
            scene.recover(seen)
        expect_code(seen, codes)
        return seen

    return run
