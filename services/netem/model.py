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

Source: netem_enqueue(), packet_time_ns(), tfifo_enqueue() and netem_dequeue() of the kernel's
net/sched/sch_netem.c, versions 6.6 to 6.18; loss_draws.py and delay_draws.py for the draws.
"""

import os
from collections import deque
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import Generic, TypeVar

import prng
from delay_draws import delays
from lab.failures import Failure
from loss_draws import losing
from netem_impairment import Counters, Spec
from netem_impairment.spec import OPTIONS

P = TypeVar("P")

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
        overtaking: a packet may be due before one that came earlier.
        changing: a packet may be copied, or have a bit turned over: it takes the packet itself for that.

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
        self.overtaking = bool(spec.gap or spec.jitter_ns)
        self.changing = bool(spec.duplicate or spec.corrupt)

        self._draw = prng.generator(self.seed)
        unseen = prng.generator(self.seed ^ START_STREAM)
        first = {name: unseen() for name in CORRELATED} | dict(start or {})
        self._draw_duplicate = prng.correlated(self._draw, spec.duplicate_correlation, first["duplicate"])
        self._draw_corrupt = prng.correlated(self._draw, spec.corrupt_correlation, first["corrupt"])
        self._draw_reorder = prng.correlated(self._draw, spec.reorder_correlation, first["reorder"])
        self._draw_delay = prng.correlated(self._draw, spec.delay_correlation, first["delay"])
        self._lost = losing(spec, self._draw, first["loss"])
        self._delay = delays(spec, self._draw_delay, table)

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
    for option in reversed(OPTIONS):
        if option.kernel_alone and option.render(spec):
            raise Failure(f"{option.word}: {option.kernel_alone}")
