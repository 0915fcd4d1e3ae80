"""Analyse: what became of each numbered datagram, by the journals of both hosts. No clock, no I/O."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from socketlab.analyse.clocks import not_shared
from socketlab.analyse.fates import Fate
from socketlab.analyse.reordering import extents
from socketlab.describe.scenario import Program, Stream
from socketlab.observe.evidence import Evidence, faults
from socketlab.observe.trace import Event


@dataclass(frozen=True)
class Message:
    """One numbered message, and what both hosts say of it. Times: nanoseconds since the first was sent.

    Where the hosts do not share a clock (`Story.clocks`), the server's times are since its first arrival, by
    its own.

    Attributes:
        number: from 1.
        fate: what became of it.
        sent: when the client sent it; None: it did not, or nobody knows.
        arrivals: when copies of it reached the server's program.
        replies: when the server sent answers to it.
        answers: when answers reached the client's program.
        late_going: its extent by RFC 4737, if it arrived at the server out of order.
        late_back: the same of its answer, at the client, among the answers.
        late: the first answer came after the time-out.
        damaged: an answer came whose bytes were not those of the message in upper case. It counts as none.
    """

    number: int
    fate: Fate
    sent: int | None = None
    arrivals: tuple[int, ...] = ()
    replies: tuple[int, ...] = ()
    answers: tuple[int, ...] = ()
    late_going: int | None = None
    late_back: int | None = None
    late: bool = False
    damaged: bool = False

    @property
    def duplicated(self) -> bool:
        """Whether more than one copy arrived at either end (RFC 5560)."""
        return len(self.arrivals) > 1 or len(self.answers) > max(1, len(self.replies))

    @property
    def round_trip(self) -> int | None:
        """From the call that sent it until its answer was there, in nanoseconds."""
        return self.answers[0] - self.sent if self.answers and self.sent is not None else None


@dataclass(frozen=True)
class Story:
    """All messages of a run, and what is wrong with the evidence for it.

    Attributes:
        messages: by their number.
        faults: why messages without an answer are unmeasured; none: the measurement holds.
        begun_ns: what the messages' times are counted from, by the monotonic clock.
        arrived: how many datagrams reached the server's program, copies included.
        replied: how many it sent.
        returned: how many reached the client's program.
        clocks: why times of the two hosts cannot be compared, so that no one-way delay is known; nothing: as
            far as is known, they can.
    """

    messages: tuple[Message, ...]
    faults: tuple[str, ...] = ()
    begun_ns: int = 0
    arrived: int = 0
    replied: int = 0
    returned: int = 0
    clocks: str = ""

    @property
    def sent(self) -> int:
        """How many messages left."""
        return sum(message.sent is not None for message in self.messages)

    def count(self, fate: Fate) -> int:
        """Return how many messages have this fate."""
        return sum(message.fate is fate for message in self.messages)


class _Journals:
    """Times of each message, as the journals have them."""

    def __init__(self, stream: Stream, evidence: Evidence) -> None:
        self.sent: dict[int, int] = {}
        self.arrivals: dict[int, list[int]] = defaultdict(list)
        self.replies: dict[int, list[int]] = defaultdict(list)
        self.answers: dict[int, list[int]] = defaultdict(list)
        self.damaged: set[int] = set()
        self.arrival_order: list[int] = []
        self.answer_order: list[int] = []
        self.ours: set[str] = set()  # addresses that the client sent from
        self.stream = stream
        for event in evidence.client or ():
            self._at_client(event)
        for event in evidence.server or ():
            if event.seq is not None and self._is_ours(event.peer or ""):
                self._at_server(event, event.seq)
        self.base_ns = self.server_base_ns = min(self.sent.values(), default=0)
        self.clocks = not_shared(evidence.client or (), evidence.server or (), self._ways())
        if self.clocks:
            self.server_base_ns = min((times[0] for times in self.arrivals.values()), default=0)

    def _ways(self) -> Iterator[tuple[int, int]]:
        """Yield when each message was sent and when it arrived first, on either way."""
        for number, sent in self.sent.items():
            if arrivals := self.arrivals.get(number):
                yield sent, arrivals[0]
        for number, replies in self.replies.items():
            if answers := self.answers.get(number):
                yield replies[0], answers[0]

    def _is_ours(self, peer: str) -> bool:
        # The lecture's client never asks for its own address: then the port says whose socket it is.
        return peer in self.ours or f"0.0.0.0:{peer.rpartition(':')[2]}" in self.ours

    def _at_client(self, event: Event) -> None:
        if event.event == "damaged":
            number = event.seq or 0
            if self.answers[number]:
                self.answers[number].pop()
                self.answer_order.pop()
            self.damaged.add(number)
            return
        if event.seq is None or not 1 <= event.seq <= self.stream.count:
            return
        if event.event == "sendto" and event.local:
            self.sent.setdefault(event.seq, event.time_ns)
            self.ours.add(event.local)
        elif event.event == "recvfrom":
            self.answers[event.seq].append(event.time_ns)
            self.answer_order.append(event.seq)

    def _at_server(self, event: Event, number: int) -> None:
        if event.event == "recvfrom":
            self.arrivals[number].append(event.time_ns)
            self.arrival_order.append(number)
        elif event.event == "sendto":
            self.replies[number].append(event.time_ns)

    def faults(self, *, server_speaks: bool) -> list[str]:
        """Return where the journals contradict each other."""
        if not server_speaks:
            return []
        found = []
        if missing := [
            number for number in self.answers if number not in self.arrivals and self.answers[number]
        ]:
            found.append(
                f"the server's journal lacks {len(missing)} messages that were answered "
                f"(the first: #{min(missing)})"
            )
        if strange := [number for number in self.arrivals if number not in self.sent]:
            found.append(
                f"the server's journal has messages that were never sent (the first: #{min(strange)})"
            )
        return found


def story(stream: Stream, evidence: Evidence) -> Story:
    """Return what became of each message of a stream of datagrams.

    A message is answered if the client's journal says so. One that is not was lost where the journals stop
    speaking of it, but only if nothing is wrong with the evidence: else it is unmeasured.
    """
    journals = _Journals(stream, evidence)
    wrong = faults(stream, evidence) + journals.faults(server_speaks=evidence.server is not None)
    going = extents(_first_of_each(journals.arrival_order))
    back = extents(_first_of_each(journals.answer_order))
    messages = []
    for number in range(1, stream.count + 1):
        message = _message(number, journals, evidence, measured=not wrong)
        round_trip = message.round_trip
        messages.append(
            replace(
                message,
                late_going=going.get(number),
                late_back=back.get(number),
                late=round_trip is not None and round_trip > stream.timeout_s * 1e9,
            )
        )
    return Story(
        tuple(messages),
        tuple(wrong),
        journals.base_ns,
        arrived=sum(map(len, journals.arrivals.values())),
        replied=sum(map(len, journals.replies.values())),
        returned=sum(map(len, journals.answers.values())) + len(journals.damaged),
        clocks=journals.clocks,
    )


def _message(number: int, journals: _Journals, evidence: Evidence, *, measured: bool) -> Message:
    def since(times: Sequence[int], base_ns: int) -> tuple[int, ...]:
        return tuple(time - base_ns for time in times)

    message = Message(
        number,
        Fate.UNMEASURED,
        sent=journals.sent[number] - journals.base_ns if number in journals.sent else None,
        arrivals=since(journals.arrivals.get(number, ()), journals.server_base_ns),
        replies=since(journals.replies.get(number, ()), journals.server_base_ns),
        answers=since(journals.answers.get(number, ()), journals.base_ns),
        damaged=number in journals.damaged,
    )
    return replace(message, fate=_fate(message, evidence, measured=measured))


def _fate(message: Message, evidence: Evidence, *, measured: bool) -> Fate:
    if message.answers:
        return Fate.ANSWERED
    if message.damaged:
        return Fate.UNANSWERED
    if not measured or message.sent is None:
        return Fate.UNMEASURED
    if evidence.server is None:
        return Fate.LOST
    if not message.arrivals:
        return Fate.LOST_GOING
    # It arrived, and no answer was sent: that was the server, not the network. (Its send buffer was full.)
    return Fate.LOST_COMING_BACK if message.replies else Fate.UNANSWERED


def _first_of_each(numbers: Sequence[int]) -> list[int]:
    return list(dict.fromkeys(numbers))


def copies(story: Story) -> Counter[str]:
    """Return how many more copies than one arrived, at the server and at the client."""
    counted: Counter[str] = Counter()
    for message in story.messages:
        counted["going"] += max(0, len(message.arrivals) - 1)
        counted["coming back"] += max(0, len(message.answers) - max(1, len(message.replies)))
    return counted


def rate_reached(stream: Stream, story: Story) -> float | None:
    """Return how many messages really left in a second; None: fewer than two did."""
    times = [message.sent for message in story.messages if message.sent is not None]
    if stream.program is Program.LECTURE or len(times) < 2 or times[-1] == times[0]:
        return None
    return (len(times) - 1) / ((times[-1] - times[0]) / 1e9)
