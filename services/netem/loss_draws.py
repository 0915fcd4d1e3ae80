"""Which packets are lost: the kernel's three models, draw by draw.

Source: loss_event(), loss_4state() and loss_gilb_ell() of the kernel's net/sched/sch_netem.c.
"""

from collections.abc import Callable
from dataclasses import astuple

import prng
from netem_impairment import GilbertElliott, RandomLoss, Spec, StateLoss
from prng import Draw


def losing(spec: Spec, draw: Draw, first: int) -> Callable[[], bool] | None:
    """Return what says of each packet whether it is lost; None: none is.

    Args:
        spec: what is asked for.
        draw: the independent numbers.
        first: the draw before the first, of correlated ones.
    """
    match spec.loss:
        case RandomLoss(probability, correlation):
            correlated = prng.correlated(draw, correlation, first)
            return lambda: probability >= correlated()
        case StateLoss():
            return _state_loss(spec.loss, draw)
        case GilbertElliott():
            return _gilbert_elliott(spec.loss, draw)
        case None:
            return None


def _state_loss(loss: StateLoss, draw: Draw) -> Callable[[], bool]:
    """Return the four-state chain: 1 and 2 let packets pass (in a gap, in a burst), 3 and 4 lose them."""
    p13, p31, p32, p23, p14 = astuple(loss)
    # The kernel adds in 32 bits.
    p13_or_14, p31_or_32 = (p13 + p14) & prng.U32, (p31 + p32) & prng.U32
    state = 1

    def lost() -> bool:
        nonlocal state
        drawn = draw()
        if state == 1:
            if drawn < p14:
                state = 4
            elif drawn < p13_or_14:
                state = 3
        elif state == 2:
            if drawn < p23:
                state = 3
        elif state == 3:
            if drawn < p32:
                state = 2
            elif drawn < p31_or_32:
                state = 1
        else:
            state = 1
        return state > 2

    return lost


def _gilbert_elliott(loss: GilbertElliott, draw: Draw) -> Callable[[], bool]:
    bad = False

    def lost() -> bool:
        nonlocal bad
        if bad:
            if draw() < loss.r:
                bad = False
            return draw() > loss.h  # by the state before
        if draw() < loss.p:
            bad = True
        return draw() < loss.k1

    return lost
