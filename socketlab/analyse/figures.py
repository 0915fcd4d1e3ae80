"""Analyse: beside each figure that was asked for, the one that happened, and what chance allows."""

from collections.abc import Sequence
from dataclasses import dataclass

from impairment import Direction, Impairment

from socketlab.analyse import asked
from socketlab.analyse.asked import Share
from socketlab.analyse.delays import Quantiles, quantiles
from socketlab.analyse.fates import Fate
from socketlab.analyse.intervals import Interval, interval
from socketlab.analyse.messages import Story
from socketlab.observe.evidence import Evidence, passed

WAYS = {Direction.INGRESS: "going", Direction.EGRESS: "coming back"}


@dataclass(frozen=True)
class Figure:
    """A share that was asked for, and what happened.

    Attributes:
        what: "lost", "doubled", ...
        way: "going" to the server, or "coming back".
        asked: as the spec names it, from 0 to 1; None: it names no single number.
        expected: what that comes to for this figure, in the long run.
        happened: how often it did.
        of: of how many.
        interval: which chances explain that, with 99.9 % confidence.
        independent: whether the interval can be taken at its word: trials do not depend on each other.
    """

    what: str
    way: str
    asked: float | None
    expected: float
    happened: int
    of: int
    interval: Interval
    independent: bool = True

    @property
    def share(self) -> float | None:
        """What happened, as a share; None: there was no trial."""
        return self.happened / self.of if self.of else None

    @property
    def explained(self) -> bool:
        """Whether what was asked for explains what happened; always so where no verdict is possible."""
        return not self.independent or not self.of or self.expected in self.interval


@dataclass(frozen=True)
class Delay:
    """A delay that was asked for, and those that happened, in nanoseconds."""

    way: str
    asked: int
    happened: Quantiles


def shares(impairment: Impairment, story: Story, evidence: Evidence) -> list[Figure]:
    """Return each share, for each direction: those that were asked for, and losses in any case.

    On the way there each message is one trial. On the way back, each message that the server has answered
    exactly once: of several answers to copies nobody could say which was lost.
    """
    if story.faults:
        return []
    figures = []
    for direction, way in WAYS.items():
        spec = impairment.of(direction)
        counted = passed(evidence, direction)
        if direction is Direction.INGRESS:
            tried = [message for message in story.messages if message.sent is not None]
            arrived = [len(message.arrivals) for message in tried]
            if evidence.server is None:
                continue
        else:
            tried = [message for message in story.messages if len(message.replies) == 1]
            arrived = [len(message.answers) for message in tried]
        share = asked.loss(spec) if spec else Share(0.0, 0.0)
        figures.append(_figure("lost", way, share, arrived.count(0), len(tried)))
        if spec is None:
            continue
        if spec.duplicate:
            doubled = sum(copies > 1 for copies in arrived)
            figures.append(_figure("doubled", way, asked.duplication(spec), doubled, len(tried)))
        if counted is None:
            continue
        # Only the impairment itself can say this: afterwards a packet that was sent ahead looks like any
        # other.
        survived = counted.packets + (counted.duplicated or 0) - counted.dropped
        if spec.reorder and counted.reordered is not None:
            figures.append(_figure("sent ahead", way, asked.sent_ahead(spec), counted.reordered, survived))
        if spec.corrupt and counted.corrupted is not None:
            figures.append(_figure("corrupted", way, asked.corruption(spec), counted.corrupted, survived))
    return figures


def of_packets(impairment: Impairment, evidence: Evidence) -> list[Figure]:
    """Return the share of lost packets of each direction that is impaired, by the impairment's own count.

    Packets are all that TCP sends: segments, those sent again, and acknowledgements alone.
    """
    figures = []
    for direction, way in WAYS.items():
        spec, counted = impairment.of(direction), passed(evidence, direction)
        if spec is not None and counted is not None:
            share = asked.drop(spec)
            tried = counted.packets + (counted.duplicated or 0)
            figures.append(_figure("packets lost", way, share, counted.dropped, tried))
    return figures


def _figure(what: str, way: str, share: Share, happened: int, of: int) -> Figure:
    return Figure(
        what,
        way,
        share.asked,
        share.expected,
        happened,
        of,
        interval(happened, of) if of else Interval(0.0, 1.0),
        share.independent,
    )


def delays(impairment: Impairment, story: Story) -> list[Delay]:
    """Return the one-way delays, by the clock that both hosts share: of first copies, and lone answers."""
    going = [
        message.arrivals[0] - message.sent
        for message in story.messages
        if message.arrivals and message.sent is not None
    ]
    back = [
        message.answers[0] - message.replies[0]
        for message in story.messages
        if len(message.replies) == 1 and message.answers
    ]
    found = []
    for direction, values in ((Direction.INGRESS, going), (Direction.EGRESS, back)):
        spec, happened = impairment.of(direction), quantiles(values)
        if happened:
            found.append(Delay(WAYS[direction], spec.delay_ns if spec else 0, happened))
    return found


def round_trips(story: Story) -> Quantiles | None:
    """Return the quantiles of the round trips of the messages that were answered."""
    return quantiles([trip for message in story.messages if (trip := message.round_trip) is not None])


def out_of_order(extents: Sequence[int | None]) -> tuple[int, int]:
    """Return how many were out of order, and the largest extent."""
    late = [extent for extent in extents if extent is not None]
    return len(late), max(late, default=0)


def lost(story: Story) -> dict[Fate, int]:
    """Return how many messages were lost, by where."""
    return {
        fate: number
        for fate in (Fate.LOST_GOING, Fate.LOST_COMING_BACK, Fate.LOST)
        if (number := story.count(fate))
    }
