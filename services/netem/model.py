"""The impairment of one direction: what the kernel's netem does to a packet, in its order and by its draws.

A packet that comes is, in this order:

    1. doubled      (duplicate): the copy goes first through all that follows, but is not doubled again
    2. lost         (loss: random, state, gemodel); of a doubled packet that is lost the copy remains
    3. corrupted    (corrupt): which bit is the engine's affair, for the kernel does not draw it by the seed
    4. refused      where `limit` packets wait already
    5. sent ahead   of all that wait (reorder, gap), or else
    6. delayed      (delay, jitter, distribution; rate: behind the last one that waits)

Each step draws a number only if it is asked for. So the draws, and with them the fates, follow from the seed
and the number of the packet alone; only the queue (4) and the rate (6) depend on the clock, which is an
argument.

What the kernel draws by no seed, and we do by ours: the number before the first of each correlated sequence.

Source: netem_enqueue(), loss_event(), tabledist(), packet_time_ns(), tfifo_enqueue() and netem_dequeue() of
the kernel's net/sched/sch_netem.c, versions 6.6 to 6.18.
"""

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from heapq import heappop, heappush
from typing import Generic, TypeVar

import prng
from lab.failures import Failure
from netem_impairment import Counters, GilbertElliott, RandomLoss, Spec, StateLoss
from prng import Draw

P = TypeVar("P")

TABLE_SCALE = 8192  # NETEM_DIST_SCALE: the unit of a distribution's table is the jitter / 8192
NS_PER_S = 10**9
CORRELATED = ("delay", "loss", "duplicate", "reorder", "corrupt")
START_STREAM = 0x6C617374  # tells the seeds of the first numbers from those of the draws


class Model(Generic[P]):
    """Decides what becomes of each packet, and holds those that wait.

    Args:
        spec: what to do.
        table: the numbers of spec.distribution, if it has one.
        start: for CORRELATED options, the draw before the first; those left out follow from the seed.

    Attributes:
        seed: of all draws: the spec's, or one that the system chose.
        immediate: nothing ever waits; what is not lost is due at once.

    Raises:
        Failure: the spec asks for what cannot be done here exactly; the message says what and why.
    """

    def __init__(
        self, spec: Spec, table: Sequence[int] | None = None, start: Mapping[str, int] | None = None
    ) -> None:
        refuse(spec)
        if spec.distribution and not table:
            raise Failure(f"distribution {spec.distribution}: expected its table, got none")
        self.spec = spec
        self.seed = spec.seed if spec.seed is not None else int.from_bytes(os.urandom(8))
        self.immediate = not (spec.delay_ns or spec.jitter_ns or spec.rate)

        self._draw = prng.generator(self.seed)
        unseen = prng.generator(self.seed ^ START_STREAM)
        first = {name: unseen() for name in CORRELATED} | dict(start or {})
        self._draw_duplicate = prng.correlated(self._draw, spec.duplicate_correlation, first["duplicate"])
        self._draw_corrupt = prng.correlated(self._draw, spec.corrupt_correlation, first["corrupt"])
        self._draw_reorder = prng.correlated(self._draw, spec.reorder_correlation, first["reorder"])
        self._draw_delay = prng.correlated(self._draw, spec.delay_correlation, first["delay"])
        self._lost = _loss(spec, self._draw, first["loss"])
        self._delay = _delay(spec, self._draw_delay, table)

        self._since_ahead = 0  # the kernel's `counter`: delayed since the last that was sent ahead
        # The kernel's two queues. Most packets come in the order in which they are due: a line is enough for
        # them. Only one that is due before the last in the line goes to the sorted queue.
        self._line: deque[tuple[int, P, bool]] = deque()
        self._sorted: list[tuple[int, int, P, bool]] = []
        self._ahead: list[tuple[P, bool]] = []
        self._order = 0  # of equal times, the first that came is the first to go

        self._packets = self._bytes = self._dropped = self._over_limit = 0
        self._duplicated = self._corrupted = self._reordered = 0

    def __len__(self) -> int:
        """Return how many packets wait."""
        return len(self._line) + len(self._sorted) + len(self._ahead)

    def enqueue(self, now_ns: int, length: int, packet: P) -> int:
        """Take a packet that comes; return how many copies of it wait now: 0 if it is lost.

        Args:
            now_ns: the time, of a clock that is never set back.
            length: in bytes, with 14 of Ethernet, as a qdisc counts.
            packet: what `dequeue` is to return.
        """
        self._packets += 1
        self._bytes += length
        return self._enqueue(now_ns, length, packet, self.spec.duplicate)

    def _enqueue(self, now_ns: int, length: int, packet: P, duplicate: int) -> int:
        spec = self.spec
        doubled = bool(duplicate) and duplicate >= self._draw_duplicate()
        if doubled:
            self._duplicated += 1
        if self._lost is not None and self._lost():
            self._dropped += 1
            if not doubled:
                return 0
            doubled = False
        corrupted = bool(spec.corrupt) and spec.corrupt >= self._draw_corrupt()
        if corrupted:
            self._corrupted += 1
        if len(self._line) + len(self._sorted) + len(self._ahead) >= spec.limit:
            self._over_limit += 1 + doubled
            return 0
        copies = 1
        if doubled:
            # Before the packet itself, and with draws of its own: it may be lost, or delayed otherwise.
            copies += self._enqueue(now_ns, length, packet, 0)
        if spec.gap and self._since_ahead >= spec.gap - 1 and spec.reorder >= self._draw_reorder():
            self._since_ahead = 0
            self._reordered += 1
            self._ahead.append((packet, corrupted))
            return copies
        self._since_ahead += 1
        self._insert(self._departure(now_ns, length), packet, corrupted)
        return copies

    def _departure(self, now_ns: int, length: int) -> int:
        delay_ns = self._delay()
        if self.spec.rate:
            last_ns = self._last_ns()
            if last_ns is not None:
                # Behind the last that waits. The time until then is part of the delay, not added to it.
                delay_ns = max(0, delay_ns - (last_ns - now_ns))
                now_ns = last_ns
            delay_ns += self._transmission_ns(length)
        return now_ns + delay_ns

    def _last_ns(self) -> int | None:
        line = self._line[-1][0] if self._line else None
        if not self._sorted:
            return line
        latest = max(self._sorted)[0]
        return latest if line is None else max(latest, line)

    def _transmission_ns(self, length: int) -> int:
        spec = self.spec
        length += spec.packet_overhead
        if spec.cell_size:
            length = -(-length // spec.cell_size) * (spec.cell_size + spec.cell_overhead)
        return length * NS_PER_S // spec.rate

    def _insert(self, departure_ns: int, packet: P, corrupted: bool) -> None:
        if not self._line or departure_ns >= self._line[-1][0]:
            self._line.append((departure_ns, packet, corrupted))
        else:
            self._order += 1
            heappush(self._sorted, (departure_ns, self._order, packet, corrupted))

    @property
    def next_ns(self) -> int | None:
        """When the next packet is due; None: none waits. Times that have passed are due at once."""
        if self._ahead:
            return 0
        if not self._sorted:
            return self._line[0][0] if self._line else None
        return self._sorted[0][0] if not self._line else min(self._sorted[0][0], self._line[0][0])

    def dequeue(self, now_ns: int) -> tuple[P, bool] | None:
        """Return the next packet that is due, if one is, and whether a bit of it is to be turned over."""
        if self._ahead:
            return self._ahead.pop()  # to the head of the queue: of several, the last is the first
        if self._sorted and (not self._line or self._sorted[0][0] < self._line[0][0]):
            if self._sorted[0][0] > now_ns:
                return None
            _due_ns, _order, packet, corrupted = heappop(self._sorted)
            return packet, corrupted
        if self._line and self._line[0][0] <= now_ns:
            _due_ns, packet, corrupted = self._line.popleft()
            return packet, corrupted
        return None

    def take_over(self, other: "Model[P]") -> None:
        """Take the packets that wait in another model, each with the time at which it is due there.

        This model must not hold any yet: it follows the other one.
        """
        self._line, self._sorted, self._ahead = other._line, other._sorted, other._ahead
        self._order = other._order
        other._line, other._sorted, other._ahead = deque(), [], []

    def counters(self) -> Counters:
        """Return what has been counted."""
        return Counters(
            packets=self._packets,
            bytes=self._bytes,
            dropped=self._dropped,
            over_limit=self._over_limit,
            duplicated=self._duplicated,
            corrupted=self._corrupted,
            reordered=self._reordered,
            queued=len(self),
        )


def refuse(spec: Spec) -> None:
    """Refuse what the model cannot do exactly.

    Raises:
        Failure: it asks for such a thing.
    """
    if spec.slot is not None:
        # get_slot_next() draws when a packet leaves, by get_random_u32() or in between the packets' own
        # draws: when that happens no seed decides.
        raise Failure(
            "slot: not in the user-space engine, for the kernel's draws for it follow no seed: "
            "use the kernel's engine, or leave it out"
        )
    if spec.ecn:
        raise Failure("ecn: not in the user-space engine: use the kernel's, or leave it out")


def _loss(spec: Spec, draw: Draw, first: int) -> Callable[[], bool] | None:
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
    p13, p31, p32, p23, p14 = (getattr(loss, field.name) for field in fields(loss))
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


def _delay(spec: Spec, draw: Draw, table: Sequence[int] | None) -> Callable[[], int]:
    """Return the delays, in nanoseconds; with a large jitter one may be negative: then it is due at once."""
    mean, jitter = spec.delay_ns, spec.jitter_ns
    if not jitter:
        return lambda: mean
    if not spec.distribution or table is None:
        return lambda: draw() % (2 * jitter) + mean - jitter

    size = len(table)
    whole, rest = divmod(jitter, TABLE_SCALE)
    half = TABLE_SCALE // 2

    def delay() -> int:
        deviation = table[draw() % size]
        product = rest * deviation
        # Rounded, halves away from zero: C divides towards zero.
        rounded = (product + half) // TABLE_SCALE if product >= 0 else -((half - product) // TABLE_SCALE)
        return rounded + whole * deviation + mean

    return delay
