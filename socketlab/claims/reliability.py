"""TCP, continued: reliable and in order, over a network that is neither."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from netem_impairment import Direction, Impairment, Traffic, parse

from socketlab.analyse.journeys import Journey, Outcome, journeys
from socketlab.analyse.result import TcpResult, result
from socketlab.claims.notebook import Notebook
from socketlab.claims.registry import shows
from socketlab.describe.scenario import Experiment, Protocol, Stream
from socketlab.errors import TraceError
from socketlab.hosts.lab import Lab
from socketlab.observe.evidence import Evidence, passed
from socketlab.run import experiments

LINES = Stream(Protocol.TCP, count=200, size=500, rate=400)


@shows("T11")
def bytes_come_whole_and_in_order(lab: Lab, note: Notebook) -> None:
    """Over a network that loses and reorders, every byte comes, in its place.

    Of some 400 packets or more 5 % are lost and a quarter goes ahead of others: that none is lost happens
    once in 10^9 runs.
    """
    spec = parse(f"delay 10ms loss 5% reorder 25% duplicate 1% limit 10000 seed {lab.network_seed}")
    experiment = Experiment(LINES, Impairment(spec, traffic=Traffic("tcp")))
    note.do(
        f"{LINES.count} numbered lines of {LINES.size} bytes, over one connection, through a network that "
        f"does this to packets both ways: {spec}"
    )
    travelled: list[Journey] = []
    seen = experiments.run(lab, experiment, watching=watched(lab, travelled))
    found = result(experiment, seen)
    if not isinstance(found, TcpResult) or found.connection.bytes is None:
        raise TraceError(
            f"nobody compared the bytes: {'; '.join(seen.broken) or 'the client has no journal'}"
        )
    note.figure("tcp", found)
    lost, arrived = dropped(seen), found.connection.bytes
    again = {
        "by the client's system": found.connection.retransmitted_by_client,
        "by the server's system": found.connection.retransmitted_by_server,
    }
    note.check(
        "the network lost packets of this connection",
        sum(lost.values()) > 0,
        {f"dropped {way} (its own count)": count for way, count in lost.items()},
    )
    note.check(
        "every byte came all the same, each in its place",
        arrived.equal and arrived.came == arrived.expected,
        {
            "bytes": f"{arrived.came:,} of {arrived.expected:,}",
            "SHA-256 expected": arrived.sha256_expected,
            "SHA-256 of what came": arrived.sha256_came,
        },
    )
    note.check(
        "for the operating systems sent segments again",
        sum(count or 0 for count in again.values()) > 0,
        {f"segments sent again {who}": count for who, count in again.items()},
    )
    if travelled:
        if all(journey.timed for journey in travelled):
            note.figure("segments", segments(lab, travelled))
        gone = [journey for journey in travelled if journey.outcome is Outcome.LOST]
        note.check(
            "on the wire: segments left one host and did not arrive at the other, and were sent again",
            bool(gone) and any(journey.again for journey in travelled),
            {
                "packets that left": sum(journey.left_ns is not None for journey in travelled),
                "did not arrive": len(gone),
                "carried again what was sent before": sum(journey.again for journey in travelled),
                "were overtaken": sum(journey.overtaken for journey in travelled),
            },
        )


@contextmanager
def watched(lab: Lab, travelled: list[Journey]) -> Iterator[None]:
    """Capture at both ends, where packets can be captured; at the end the journeys are in the list."""
    if lab.taps is None:
        yield
        return
    with lab.capture(lab.client) as at_client, lab.capture(lab.server, inside=True) as at_server:
        yield
        ends = (lab.client.address, lab.server.address)
        seen = journeys(at_client.near_packets(), at_server.near_packets(), ends)
        travelled += [journey for journey in seen if journey.packet.protocol == "tcp"]


def dropped(seen: Evidence) -> dict[str, int]:
    """Return how many packets the network has lost, by its own count, each way."""
    ways = {"on the way there": Direction.INGRESS, "on the way back": Direction.EGRESS}
    return {way: counted.dropped for way, one in ways.items() if (counted := passed(seen, one))}


def segments(lab: Lab, travelled: Sequence[Journey]) -> list[dict[str, Any]]:
    """Return journeys as data. Sequence numbers count from each side's first."""
    first: dict[str, int] = {}
    for journey in travelled:
        first.setdefault(journey.sender, journey.packet.sequence or 0)
    return [
        {
            "from": "client" if journey.sender == lab.client.address else "server",
            "left_ns": journey.left_ns,
            "arrived_ns": journey.arrived_ns,
            "sequence": ((journey.packet.sequence or 0) - first[journey.sender]) % (1 << 32),
            "bytes": len(journey.packet.payload),
            "flags": " ".join(sorted(journey.packet.flags)),
            "again": journey.again,
        }
        for journey in travelled
    ]
