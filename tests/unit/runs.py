"""Made-up runs of experiments: what the journals and the sidecar say of messages whose story is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from netem_impairment import Counters, Direction, Impairment, parse

from socketlab.describe.scenario import Experiment, Protocol, Stream
from socketlab.observe.evidence import Evidence, Sidecar
from socketlab.observe.trace import Event

MS = 10**6
CLIENT, SERVER = "10.0.0.3:40000", "10.0.0.2:12000"
START_NS = 5_000 * MS


@dataclass(frozen=True)
class Sent:
    """One message of a made-up run; times in milliseconds since the start. No time: it did not happen."""

    at: float
    arrives: tuple[float, ...] = ()
    answered: tuple[float, ...] = ()
    replies: tuple[float, ...] | None = None  # as it arrives, unless said


def ns(ms: float) -> int:
    return START_NS + round(ms * MS)


def udp(event: str, number: int, ms: float, *, local: str, peer: str) -> Event:
    program = "stream" if local == CLIENT else "server"
    return Event(ns(ms), program, event, "udp", local, peer, 64, number)


def fact(event: str, ms: float, **facts: object) -> Event:
    number = facts.pop("seq", None)
    assert number is None or isinstance(number, int)
    return Event(ns(ms), "stream", event, seq=number, facts=facts)


def by_time(events: Sequence[Event]) -> tuple[Event, ...]:
    return tuple(sorted(events, key=lambda event: event.time_ns))


HOST = {
    "Ip": {"InHdrErrors": 0},
    "Udp": {"InDatagrams": 9, "InErrors": 3, "RcvbufErrors": 2, "InCsumErrors": 1},
    "Tcp": {"RetransSegs": 5},
    "TcpExt": {"TCPTimeouts": 1},
}


def sidecar(spec: str = "seed 1", **counters: Counters) -> Sidecar:
    """A look at the sidecar; counters by direction."""
    asked = Impairment(parse(spec))
    specs = {direction: str(asked.of(direction)) for direction in Direction}
    counted = {direction: counters.get(direction, Counters()) for direction in Direction}
    return Sidecar("userspace", "made up", 3, 17, specs, counted, HOST)


@dataclass(frozen=True)
class Run:
    """A made-up run over UDP."""

    messages: Mapping[int, Sent]
    spec: str = "seed 1"
    count: int = 0
    more: tuple[Event, ...] = ()  # of the client
    evidence: dict[str, object] = field(default_factory=dict)

    @property
    def stream(self) -> Stream:
        """What was to be sent."""
        return Stream(Protocol.UDP, count=self.count or max(self.messages), timeout_s=0.1)

    @property
    def experiment(self) -> Experiment:
        """The stream, through its impairment."""
        return Experiment(self.stream, Impairment(parse(self.spec)))

    def client(self) -> tuple[Event, ...]:
        """The client's journal, from start to end."""
        events = [fact("start", -1, counters=HOST), fact("end", 10_000, counters=HOST), *self.more]
        for number, message in self.messages.items():
            events.append(udp("sendto", number, message.at, local=CLIENT, peer=SERVER))
            events += [udp("recvfrom", number, ms, local=CLIENT, peer=SERVER) for ms in message.answered]
        return by_time(events)

    def server(self) -> tuple[Event, ...]:
        """The server's journal."""
        events = [udp("recvfrom", 1, 0.001, local=SERVER, peer="10.0.0.9:1")]  # somebody else's
        for number, message in self.messages.items():
            replies = message.arrives if message.replies is None else message.replies
            events += [udp("recvfrom", number, ms, local=SERVER, peer=CLIENT) for ms in message.arrives]
            events += [udp("sendto", number, ms, local=SERVER, peer=CLIENT) for ms in replies]
        return by_time(events)

    def counters(self) -> dict[str, Counters]:
        """What an engine would have counted."""
        both = []
        ways = [[(1, len(each.arrives)) for each in self.messages.values()],
                [(len(each.arrives if each.replies is None else each.replies), len(each.answered))
                 for each in self.messages.values()]]  # fmt: skip
        for way in ways:
            dropped = sum(max(0, left - came) for left, came in way)
            copies = sum(max(0, came - left) for left, came in way)
            both.append(
                Counters(packets=sum(left for left, _came in way), dropped=dropped, duplicated=copies)
            )
        return {"ingress": both[0], "egress": both[1]}

    def seen(self, **changes: object) -> Evidence:
        """All evidence of the run, with changes to it."""
        whole = Evidence(
            self.client(),
            self.server(),
            sidecar(self.spec),
            sidecar(self.spec, **self.counters()),
        )
        return replace(whole, **changes)  # type: ignore[arg-type]  # fields by name


# Five messages: answered, lost going, lost coming back, overtaken by the fifth, answered.
FIVE = Run(
    {
        1: Sent(0, (25,), (50,)),
        2: Sent(10),
        3: Sent(20, (45,)),
        4: Sent(30, (55,), (81,)),
        5: Sent(40, (41,), (66,)),
    },
    spec="delay 25ms loss 10% reorder 25% seed 1",
)
