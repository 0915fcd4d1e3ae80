"""Compares what the kernel's netem did, packet by packet, with what the model does.

The fates (lost, doubled, corrupted, sent ahead) follow from the seed alone: they are either equal or not.

Times follow from the instant at which netem looked at the clock, which is known to lie between two others. So
the model runs twice, with the one and with the other, and gives the interval in which each packet was due.
Two packets whose intervals do not meet can arrive in one order only; of others, nobody can tell. No packet
can arrive before the beginning of its interval.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from model import Model
from prng import U32

from tests.kernel.wire import Arrival, Run, Sent

LATE_NS = 1_000_000  # more than any timer is late in the median: then the model's times are too early
AHEAD_NS = 5_000_000  # what was sent ahead is there within this time; the others are delayed by more


@dataclass(frozen=True)
class Due:
    """A copy of a packet that the model lets pass.

    Attributes:
        number: of the packet.
        corrupted: a bit of it is turned over.
        place_ns: by which those that wait are sorted; 0: sent ahead of all.
        time_ns: when it can leave: not before it came, also with a negative delay.
    """

    number: int
    corrupted: bool
    place_ns: int
    time_ns: int

    @property
    def ahead(self) -> bool:
        """Tell whether it is sent ahead of all that wait."""
        return self.place_ns == 0


@dataclass(frozen=True)
class Comparison:
    """What was found in one run.

    Attributes:
        packets: how many were sent.
        differing: numbers of packets with another fate.
        fates: how many packets had which fate, in words.
        ordered: neighbours in the order of arrival whose order the model decides.
        undecidable: neighbours due within the same grain.
        misordered: packets that came after one that was due after them.
        early: packets that came before they were due.
        grain_ns: of the instants at which netem decided: the median, and the largest.
        late_ns: how long after they were due packets came: the median, and the largest.
        counted: packets sent ahead: by the kernel's counter, by the model.
    """

    packets: int
    differing: list[int]
    fates: dict[str, int]
    ordered: int
    undecidable: int
    misordered: list[int]
    early: list[int]
    grain_ns: tuple[int, int]
    late_ns: tuple[int, int]
    counted: tuple[int, int]

    @property
    def agrees(self) -> bool:
        """Tell whether the kernel and the model did the same."""
        differ = self.differing or self.misordered or self.early or self.late_ns[0] > LATE_NS
        return not differ and self.counted[0] == self.counted[1]


def dues(model: Model[int], length: int, times: Sequence[int]) -> list[Due]:
    """Return what the model lets pass of packets that come at these times, in its order."""
    passed: list[Due] = []

    def let_pass(until_ns: int | None) -> None:
        while (next_ns := model.next_ns) is not None and (until_ns is None or next_ns <= until_ns):
            packet = model.dequeue(next_ns)
            if packet is None:
                raise AssertionError("the model has a packet that is due, and does not give it")
            number, corrupted = packet
            passed.append(Due(number, corrupted, next_ns, max(next_ns, times[number])))

    for number, time_ns in enumerate(times):
        let_pass(time_ns)
        model.enqueue(time_ns, length, number)
    let_pass(None)
    return passed


def place(due: Due) -> tuple[int, bool, int]:
    """Return by what copies are told apart."""
    return due.number, due.corrupted, due.time_ns


def fates(copies: Iterable[Due | Arrival]) -> dict[int, tuple[int, int]]:
    """Return how many copies of each number there are, unharmed and corrupted."""
    counts: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for copy in copies:
        unharmed, corrupted = counts[copy.number]
        counts[copy.number] = (unharmed + (not copy.corrupted), corrupted + copy.corrupted)
    return counts


def in_words(fate: tuple[int, int]) -> str:
    """Return a packet's fate in words."""
    unharmed, corrupted = fate
    words = {0: "lost", 1: "passed", 2: "doubled"}[unharmed + corrupted]
    return f"{words}, corrupted" if corrupted else words


def compare(run: Run, first: Model[int], second: Model[int], *, warm_up: int = 0) -> Comparison:
    """Compare a run with the model.

    Args:
        run: what the kernel did.
        first: the model of the run's spec, fresh.
        second: another.
        warm_up: so many packets' times are not compared: what was drawn before the first still counts there.
    """
    low = dues(first, run.length, [sent.earliest_ns for sent in run.sent])
    high = dues(second, run.length, [sent.latest_ns for sent in run.sent])
    asked, seen = fates(low), fates(run.arrivals)
    differing = [number for number in range(len(run.sent)) if asked[number] != seen[number]]

    # The copies of a packet cannot be told apart: the first to be due is the first to come.
    intervals: dict[tuple[int, bool], list[tuple[Due, int]]] = {}
    for one, other in zip(sorted(low, key=place), sorted(high, key=place), strict=True):
        intervals.setdefault((one.number, one.corrupted), []).append((one, other.time_ns))
    ordered = undecidable = 0
    misordered, early, late = [], [], []
    latest_low = previous_high = 0
    for arrival in run.arrivals:
        copies = intervals.get((arrival.number, arrival.corrupted))
        if arrival.number < warm_up or not copies:
            continue  # where the model let none pass, the fate differs, which is said above
        due, high_ns = copies.pop(0)
        low_ns = due.time_ns
        if arrival.time_ns < low_ns:
            early.append(arrival.number)
        late.append(max(0, arrival.time_ns - high_ns))
        if high_ns < latest_low:
            misordered.append(arrival.number)
        if low_ns > previous_high:
            ordered += 1
        else:
            undecidable += 1
        # By its place, not its time: what is sent ahead, or had a negative delay, also overtakes those that
        # are due already, but whose timer has not gone off yet.
        latest_low, previous_high = max(latest_low, due.place_ns), high_ns
    widths = [sent.latest_ns - sent.earliest_ns for sent in run.sent]
    return Comparison(
        packets=len(run.sent),
        differing=differing,
        fates=dict(Counter(in_words(seen[number]) for number in range(len(run.sent)))),
        counted=(run.statistics.requeues, sum(due.ahead for due in low)),
        ordered=ordered,
        undecidable=undecidable,
        misordered=misordered,
        early=early,
        grain_ns=(int(median(widths)), max(widths)),
        late_ns=(int(median(late)), max(late)) if late else (0, 0),
    )


def start(run: Run, name: str, model: Callable[[Mapping[str, int]], Model[int]]) -> tuple[int, int] | None:
    """Return the draws before the first with which the model does all that the kernel did, or None.

    With correlation each draw depends on the one before, and what was before the first no seed decides
    (init_crandom() asks get_random_u32()). The larger it is, the larger are all draws after it, or equal: so
    those that fit are an interval, and a draw that is too large or too small says on which side it is.

    Args:
        run: what the kernel did; each fate is decided by one draw of the correlated sequence.
        name: of the sequence.
        model: makes a fresh model from the draws before the first.
    """
    seen = fates(run.arrivals)
    times = [sent.earliest_ns for sent in run.sent]
    ahead = name == "reorder"

    def side(value: int, count: int) -> int:
        """Return -1 where the first difference needs smaller draws, 1 where it needs larger ones, else 0."""
        low = dues(model({name: value}), run.length, times[:count])
        if ahead:
            return ahead_side(run.sent[:count], run.arrivals, low)
        asked = fates(low)
        for number in range(count):
            if asked[number] != seen[number]:
                # Too small a draw makes it happen: lost, doubled, corrupted.
                happened = (
                    asked[number] > seen[number] if name == "duplicate" else asked[number] < seen[number]
                )
                return 1 if happened else -1
        return 0

    # What was before the first counts for correlation^n: in the beginning, or not at all.
    beginning = len(times) // 20
    low, high = 0, U32
    while low <= high:
        middle = (low + high) // 2
        found = side(middle, beginning)
        if found == 0:
            ends = [edge(lambda value: side(value, beginning), outside, middle) for outside in (low, high)]
            return (ends[0], ends[1]) if not any(side(end, len(times)) for end in ends) else None
        low, high = (middle + 1, high) if found > 0 else (low, middle - 1)
    return None


def edge(side: Callable[[int], int], outside: int, inside: int) -> int:
    """Return the last value on the way from one inside to one perhaps outside that is still inside."""
    while abs(outside - inside) > 1:
        middle = (outside + inside) // 2
        inside, outside = (middle, outside) if side(middle) == 0 else (inside, middle)
    return outside if side(outside) == 0 else inside


def ahead_side(sent: Sequence[Sent], arrivals: Iterable[Arrival], low: Sequence[Due]) -> int:
    """Return the side of the first packet that one sent ahead and the other did not."""
    sent_ahead = {due.number for due in low if due.ahead}
    waited = {due.number: due.time_ns for due in low if not due.ahead}
    came = {arrival.number: arrival.time_ns for arrival in arrivals}
    for number, one in enumerate(sent):
        if number in waited and came[number] < waited[number]:
            return -1  # the kernel sent it ahead: a smaller draw
        if number in sent_ahead and came[number] > one.latest_ns + AHEAD_NS:
            return 1
    return 0
