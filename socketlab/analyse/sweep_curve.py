"""Analyse: what became of a sweep. No clock, no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass

from socketlab.analyse.fates import Fate
from socketlab.analyse.result import Result, TcpResult
from socketlab.describe.scenario import Protocol
from socketlab.describe.sweep import Sweep


@dataclass(frozen=True)
class Round:
    """One experiment of a sweep.

    Attributes:
        protocol, loss_percent, number: which.
        result: what came of it; None: it broke.
        broken: how.
    """

    protocol: Protocol
    loss_percent: float
    number: int
    result: Result | None = None
    broken: str = ""


@dataclass(frozen=True)
class Side:
    """One protocol at one loss, a value a round; None: that round was not measured, or never came to it.

    Attributes:
        answered_share: from 0 to 1.
        goodput_bit_s: bits of the messages that were answered, each once, until the last answer.
        completion_s: from the first message until the last answer that came; of TCP only where all came.
        broken: what went wrong, a sentence for each round that was not measured.
    """

    answered_share: tuple[float | None, ...]
    goodput_bit_s: tuple[float | None, ...]
    completion_s: tuple[float | None, ...]
    broken: tuple[str, ...] = ()


@dataclass(frozen=True)
class Point:
    """Both protocols at one loss."""

    loss_percent: float
    udp: Side
    tcp: Side


@dataclass(frozen=True)
class Swept:
    """The figures of a sweep, as they are in the document of a run."""

    message_bytes: int
    messages: int
    rate: int
    delay_ms: float
    points: tuple[Point, ...]


def swept(sweep: Sweep, rounds: Sequence[Round]) -> Swept:
    """Return the figures of a sweep."""

    def side(loss: float, protocol: Protocol) -> Side:
        chosen = [each for each in rounds if each.loss_percent == loss and each.protocol is protocol]
        figures = [_figures(each.result) for each in chosen]
        return Side(
            tuple(share for share, _goodput, _completion in figures),
            tuple(goodput for _share, goodput, _completion in figures),
            tuple(completion for _share, _goodput, completion in figures),
            tuple(
                f"round {each.number} was not measured: {why}" for each in chosen if (why := _broken(each))
            ),
        )

    points = tuple(
        Point(loss, side(loss, Protocol.UDP), side(loss, Protocol.TCP)) for loss in sweep.losses_percent
    )
    return Swept(sweep.message_bytes, sweep.messages, sweep.rate, sweep.delay_ms, points)


def _broken(one: Round) -> str:
    if one.result is None or not one.result.exit_code:
        return one.broken
    faults = one.result.connection.faults if isinstance(one.result, TcpResult) else one.result.story.faults
    return "; ".join(faults) or "what became of some messages is not known"


def _figures(result: Result | None) -> tuple[float | None, float | None, float | None]:
    """Return (answered share, goodput in bit/s, completion in seconds)."""
    if result is None or result.exit_code:
        return None, None, None
    stream = result.experiment.stream
    if isinstance(result, TcpResult):
        answered, completion_ns = result.connection.count(Fate.ANSWERED), result.connection.completion
    else:
        answered = result.story.count(Fate.ANSWERED)
        completion_ns = max(
            (message.answers[0] for message in result.story.messages if message.answers), default=None
        )
    share = answered / stream.count
    if completion_ns is None:
        return share, 0.0 if not answered else None, None
    return share, answered * stream.size * 8 / (completion_ns / 1e9), completion_ns / 1e9
