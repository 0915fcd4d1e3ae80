"""Analyse: beside each figure that was asked for, the one that happened, and what chance allows."""

from collections.abc import Sequence
from dataclasses import dataclass

from netem_impairment import Counters, Direction, Impairment, Spec

from socketlab.analyse import asked
from socketlab.analyse.asked import Share
from socketlab.analyse.corruption import flips
from socketlab.analyse.crosscheck import Balance
from socketlab.analyse.delays import Quantiles, quantiles
from socketlab.analyse.fates import Fate
from socketlab.analyse.intervals import Interval, interval
from socketlab.analyse.messages import Story
from socketlab.describe.scenario import Experiment
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


def shares(
    experiment: Experiment, story: Story, evidence: Evidence, books: Sequence[Balance]
) -> list[Figure]:
    """Return each share, for each direction: those that were asked for, and losses in any case.

    On the way there each message is one trial. On the way back, each message that the server has answered
    exactly once: of several answers to copies nobody could say which was lost.
    """
    if story.faults:
        return []
    found = []
    engine = evidence.after.engine if evidence.after else ""
    for direction, way in WAYS.items():
        spec = experiment.impairment.of(direction)
        where = flips(experiment.stream.size, engine, direction)
        if direction is Direction.INGRESS:
            tried = [message for message in story.messages if message.sent is not None]
            arrived = [len(message.arrivals) for message in tried]
            if evidence.server is None:
                continue
        else:
            tried = [message for message in story.messages if len(message.replies) == 1]
            # An answer with other bytes is no answer, but it has arrived.
            arrived = [len(message.answers) + message.damaged for message in tried]
        share = asked.loss(spec, where) if spec else Share(0.0, 0.0)
        found.append(_figure("lost", way, share, arrived.count(0), len(tried)))
        if spec is None:
            continue
        if spec.duplicate:
            doubled = sum(copies > 1 for copies in arrived)
            found.append(_figure("doubled", way, asked.duplication(spec, where), doubled, len(tried)))
        if counted := passed(evidence, direction):
            found += _of_counters(spec, way, counted)
        if spec.corrupt:
            share = asked.death_by_corruption(spec, where)
            found += [
                _figure("lost by corruption", way, share, book.corrupted, book.tried)
                for book in books
                if book.way == way and book.agrees
            ]
    return found


def _of_counters(spec: Spec, way: str, counted: Counters) -> list[Figure]:
    """Return what only the impairment itself can say: afterwards a packet sent ahead looks like any other."""
    survived = counted.packets + (counted.duplicated or 0) - counted.dropped
    found = []
    if spec.reorder and counted.reordered is not None:
        # One that finds the queue full comes to this as little as one that is lost.
        waiting = survived - (counted.over_limit or 0)
        found.append(_figure("sent ahead", way, asked.sent_ahead(spec), counted.reordered, waiting))
    if spec.corrupt and counted.corrupted is not None:
        found.append(_figure("corrupted", way, asked.corruption(spec), counted.corrupted, survived))
    return found


def of_packets(impairment: Impairment, evidence: Evidence) -> list[Figure]:
    """Return the share of lost packets of each direction that is impaired, by the impairment's own count.

    Packets are all that TCP sends: segments, those sent again, and acknowledgements alone; and their copies.
    """
    figures = []
    for direction, way in WAYS.items():
        spec, counted = impairment.of(direction), passed(evidence, direction)
        if spec is not None and counted is not None:
            share = asked.packet_loss(spec, copies_counted=counted.duplicated is not None)
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
    """Return the one-way delays, of first copies and lone answers; none where the hosts share no clock."""
    if story.clocks:
        return []
    going = [
        message.arrivals[0] - message.sent if message.arrivals and message.sent is not None else None
        for message in story.messages
    ]
    back = [
        message.answers[0] - message.replies[0] if len(message.replies) == 1 and message.answers else None
        for message in story.messages
    ]
    found = []
    for direction, values in ((Direction.INGRESS, going), (Direction.EGRESS, back)):
        spec, happened = impairment.of(direction), quantiles(values)
        if happened:
            found.append(Delay(WAYS[direction], spec.delay_ns if spec else 0, happened))
    return found


def round_trips(story: Story) -> Quantiles | None:
    """Return the quantiles of the round trips of the messages that were answered."""
    return quantiles([message.round_trip for message in story.messages])


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
