"""Open questions: is reliable transfer always needed, and who repairs what the network breaks?"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from netem_impairment import Impairment, parse

from socketlab.analyse import repair_costs
from socketlab.analyse.fates import Fate
from socketlab.analyse.repair_costs import Asking, Network, System
from socketlab.analyse.result import Result, TcpResult, UdpResult, result
from socketlab.claims.notebook import Notebook
from socketlab.claims.registry import shows
from socketlab.describe.scenario import Experiment, Protocol, Stream
from socketlab.errors import TraceError
from socketlab.hosts.lab import Lab
from socketlab.observe.evidence import Evidence
from socketlab.run import experiments

COUNT, SIZE, RATE = 200, 64, 400
LOSS_PERCENT = 10
# A try fails when either way loses: 19 %. That 12 in a row fail, for any message, happens once in 10^6 runs.
TRIES = 12


@dataclass(frozen=True)
class Run:
    """One stream, and what everybody says of it."""

    evidence: Evidence
    result: Result

    @property
    def network(self) -> list[Network]:
        """What the network did, both ways."""
        return repair_costs.network(self.evidence)

    @property
    def systems(self) -> list[System]:
        """What the operating systems did."""
        return repair_costs.systems(self.evidence)

    @property
    def asking(self) -> Asking:
        """What the program did that asks again."""
        return repair_costs.asking(self.datagrams.story, self.evidence.client or ())

    @property
    def datagrams(self) -> UdpResult:
        """The result over UDP.

        Raises:
            TraceError: the measurement broke.
        """
        if not isinstance(self.result, UdpResult) or self.result.exit_code:
            raise TraceError(f"UDP was not measured: {self.faults}")
        return self.result

    @property
    def stream(self) -> TcpResult:
        """The result over TCP; likewise."""
        if not isinstance(self.result, TcpResult) or self.result.connection.bytes is None:
            raise TraceError(f"TCP was not measured: {self.faults}")
        return self.result

    @property
    def faults(self) -> str:
        """What went wrong, in a line."""
        told = self.result.story if isinstance(self.result, UdpResult) else self.result.connection
        return "; ".join(told.faults) or "the client has left no journal"

    @property
    def dropped(self) -> int:
        """How many packets the network has lost."""
        return sum(way.dropped for way in self.network)


def run(lab: Lab, note: Notebook, protocol: Protocol, *, disorder: str = "", tries: int = 1) -> Run:
    """Send the messages through the bad network."""
    spec = parse(f"delay 10ms loss {LOSS_PERCENT}% {disorder} limit 10000 seed {lab.network_seed}")
    experiment = Experiment(Stream(protocol, COUNT, SIZE, RATE, tries=tries), Impairment(spec))
    how = f", each up to {tries} times, until it is answered" if tries > 1 else ""
    note.do(
        f"{COUNT} messages of {SIZE} bytes, {RATE} a second, over {protocol.upper()}{how}; through: {spec}"
    )
    seen = experiments.run(lab, experiment)
    return Run(seen, result(experiment, seen))


@shows("Q1")
def asking_again_is_enough(lab: Lab, note: Notebook) -> None:
    """A program that asks again gets every answer over UDP, and does the server's work twice for some.

    Of some 180 messages that reach the server 10 % of the answers are lost, so it serves some again: that it
    does not, happens once in 10^8 runs.
    """
    udp = run(lab, note, Protocol.UDP, tries=TRIES)
    tcp = run(lab, note, Protocol.TCP)
    asked, connection = udp.asking, tcp.stream.connection
    costs = {"udp": cost(udp), "tcp": cost(tcp)}
    costs["udp"]["duplicates_served"] = asked.served_again
    note.figure("retry", {"loss_percent": LOSS_PERCENT, "messages": COUNT, **costs})
    note.check(
        "the network lost packets of both",
        udp.dropped > 0 and tcp.dropped > 0,
        {"dropped, its own count, of UDP": udp.dropped, "of TCP": tcp.dropped},
    )
    note.check(
        "over UDP every message was answered in the end, for the program asked again",
        asked.answered == COUNT and asked.sent_again > 0,
        {
            "answered": f"{asked.answered} of {COUNT}",
            "datagrams that the program sent": asked.sent,
            "of these again": asked.sent_again,
        },
    )
    note.check(
        "for some the server did the work twice: harmless for upper case, not for a bank transfer",
        asked.served_again > 0,
        {
            "answers that the server sent": asked.served,
            "to messages that it had answered before": asked.served_again,
        },
    )
    note.check(
        "over TCP every message was answered, too, and the server read each byte once",
        connection.count(Fate.ANSWERED) == COUNT and bool(connection.bytes and connection.bytes.equal),
        {"answered": f"{connection.count(Fate.ANSWERED)} of {COUNT}"},
    )
    note.check(
        "neither is free: datagrams were sent again by the program, segments by the operating systems",
        asked.sent_again > 0 and sum(system.sent_again for system in tcp.systems) > 0,
        {f"{name.upper()} took": price(paid) for name, paid in costs.items()},
    )
    note.answer("; ".join(f"{name.upper()}: {price(paid)}" for name, paid in costs.items()))


def price(paid: Mapping[str, Any]) -> str:
    """Return a cost for people."""
    times = f"{paid['median_ms']:.0f} ms (median), at most {paid['slowest_ms']:.0f} ms"
    return f"{paid['sent']:,} packets of {paid['bytes']:,} bytes in all; an answer {times}"


def cost(of: Run) -> dict[str, Any]:
    """Return what a run took: packets and bytes of both ways, with all headers, and the times of answers."""
    if isinstance(of.result, UdpResult):
        trips = [message.round_trip for message in of.datagrams.story.messages]
    else:
        trips = [line.round_trip for line in of.stream.connection.lines]
    known_ms = [trip / 1e6 for trip in trips if trip is not None]
    return {
        "answered": len(known_ms),
        "sent": sum(way.came for way in of.network),
        "bytes": sum(way.bytes for way in of.network),
        "median_ms": median(known_ms) if known_ms else None,
        "slowest_ms": max(known_ms, default=None),
    }


@shows("Q4")
def hosts_repair(lab: Lab, note: Notebook) -> None:
    """The network loses, reorders and doubles, and repairs nothing: the hosts do, or nobody.

    Of 200 datagrams or more 10 % are lost each way, and 2 % doubled: that none is lost, happens once in 10^18
    runs.
    """
    disorder = "reorder 25% duplicate 2%"
    udp = run(lab, note, Protocol.UDP, disorder=disorder)
    tcp = run(lab, note, Protocol.TCP, disorder=disorder)
    asking = run(lab, note, Protocol.UDP, disorder=disorder, tries=TRIES)
    runs = {"UDP": udp, "TCP": tcp, "UDP, asking again": asking}
    note.figure("repair", repair_data(runs))
    for name, one in runs.items():
        note.check(
            f"{name}: the network lost packets",
            one.dropped > 0,
            {
                f"{way.way}": f"{way.came} came"
                f"{f', {way.doubled} were doubled' if way.doubled is not None else ' (with copies)'}, "
                f"{way.dropped} were dropped, {way.passed_on} passed on"
                for way in one.network
            },
        )
    plain_udp(note, udp)
    of_tcp(note, tcp)
    asked = asking.asking
    note.check(
        "UDP, asking again: the program repaired it, and every message was answered",
        asked.answered == COUNT and asked.sent_again > 0,
        {
            "datagrams that the program sent again": asked.sent_again,
            "answered": f"{asked.answered} of {COUNT}",
        },
    )
    note.answer(
        "the network never; over UDP nobody; over TCP the operating systems, "
        f"{sum(system.sent_again for system in tcp.systems)} times; over UDP with a program that asks again "
        f"that program, {asked.sent_again} times"
    )


def plain_udp(note: Notebook, udp: Run) -> None:
    """Check that over UDP nobody repairs, and that the network made nothing but copies."""
    story = udp.datagrams.story
    note.check(
        "UDP: what reached the hosts is what the network was given, less what it lost, and its copies",
        bool(udp.datagrams.balances) and all(book.agrees for book in udp.datagrams.balances),
        {
            f"{book.way}: sent - lost + copies = received": f"{book.left} - {book.dropped} + {book.copies} = "
            f"{book.arrived}"
            for book in udp.datagrams.balances
        },
    )
    note.check(
        "UDP: nobody repaired a loss: each was sent once, and what was lost stayed without an answer",
        story.count(Fate.ANSWERED) < COUNT and udp.asking.sent == COUNT,
        {
            "messages": COUNT,
            "datagrams that the client sent": udp.asking.sent,
            "answered": story.count(Fate.ANSWERED),
        },
    )


def of_tcp(note: Notebook, tcp: Run) -> None:
    """Check that over TCP the operating systems repair, and that the network added nothing."""
    arrived = tcp.stream.connection.bytes
    by_host = {system.host: system for system in tcp.systems}
    going = tcp.network[0]
    note.check(
        "TCP: all is repaired",
        bool(arrived and arrived.equal),
        {"bytes that came": f"{arrived.came:,} of {arrived.expected:,}" if arrived else "unknown"},
    )
    note.check(
        "TCP: the operating systems did it, at both ends",
        by_host.keys() == {"client", "server"}
        and all(system.sent_again > 0 for system in by_host.values())
        and any(system.held_back > 0 for system in by_host.values()),
        {
            f"the {host}'s system": f"sent {system.sent_again} segments again, kept {system.held_back} "
            f"that came too early, threw {system.thrown_away} away that came twice"
            for host, system in by_host.items()
        },
    )
    received = by_host["server"].received if "server" in by_host else None
    note.check(
        "TCP: the network sent nothing of its own: no more reached the server than was passed on",
        received is not None and received <= going.passed_on,
        {"passed on by the network": going.passed_on, "segments that the server's system received": received},
    )


def repair_data(runs: Mapping[str, Run]) -> dict[str, Any]:
    """Return who did what, as data: rows of a table."""
    return {
        "network": [
            {"service": name} | asdict(way) | {"passed_on": way.passed_on}
            for name, one in runs.items()
            for way in one.network
        ],
        "systems": [{"service": "TCP"} | asdict(system) for system in runs["TCP"].systems],
        "programs": [
            {"service": name, "sent_again": one.asking.sent_again, "unanswered": COUNT - one.asking.answered}
            for name, one in runs.items()
            if isinstance(one.result, UdpResult)
        ],
    }
