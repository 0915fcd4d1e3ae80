"""Analyse: who has repaired what the network broke, by the counters of all three. No clock, no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass

from netem_impairment import Direction

from socketlab.analyse.figures import WAYS
from socketlab.analyse.messages import Story
from socketlab.observe.evidence import Evidence, client_host, host_difference, passed
from socketlab.observe.trace import Event


@dataclass(frozen=True)
class Network:
    """What the network did to the packets of one way, by its own count.

    Attributes:
        way: "going" to the server, or "coming back".
        came: packets that hosts gave to it; an engine that does not count its copies counts them here.
        bytes: all of them, with their headers and Ethernet's.
        dropped: lost there.
        doubled: copies made there; None: counted among those that came.
        reordered: went ahead of others; None: this engine does not count them.
    """

    way: str
    came: int
    bytes: int
    dropped: int
    doubled: int | None
    reordered: int | None

    @property
    def passed_on(self) -> int:
        """What the network gave to the other host."""
        return self.came + (self.doubled or 0) - self.dropped


@dataclass(frozen=True)
class System:
    """What the operating system of a host did about it, for all its TCP connections.

    Attributes:
        host: "client" or "server".
        received: segments that reached it.
        sent_again: segments.
        held_back: segments that came too early, and were kept until those before them had come.
        thrown_away: segments that came twice.
    """

    host: str
    received: int
    sent_again: int
    held_back: int
    thrown_away: int


@dataclass(frozen=True)
class Asking:
    """What a program did that asks again over UDP.

    Attributes:
        messages: how many there were.
        answered: how many of them were.
        sent: datagrams that the program sent.
        served: how often the server answered a message.
        served_again: how often it did so for one that it had answered before.
    """

    messages: int
    answered: int
    sent: int
    served: int
    served_again: int

    @property
    def sent_again(self) -> int:
        """Datagrams beyond the first of each message."""
        return self.sent - self.messages


def network(evidence: Evidence) -> list[Network]:
    """Return what the network did, of each way that was impaired."""
    found = []
    for direction in Direction:
        counted = passed(evidence, direction)
        if counted is not None:
            found.append(
                Network(
                    WAYS[direction],
                    counted.packets,
                    counted.bytes,
                    counted.dropped + (counted.over_limit or 0),
                    counted.duplicated,
                    counted.reordered,
                )
            )
    return found


def systems(evidence: Evidence) -> list[System]:
    """Return what both operating systems did; of one that nobody asked there is nothing."""
    hosts = {"client": client_host(evidence.client or ())}
    if evidence.before is not None and evidence.after is not None:
        hosts["server"] = evidence.before.host, evidence.after.host
    return [
        System(
            host,
            host_difference(before, after, "Tcp", "InSegs"),
            host_difference(before, after, "Tcp", "RetransSegs"),
            host_difference(before, after, "TcpExt", "TCPOFOQueue"),
            host_difference(before, after, "TcpExt", "TCPDSACKOldSent"),
        )
        for host, (before, after) in hosts.items()
        if after
    ]


def asking(story: Story, client: Sequence[Event]) -> Asking:
    """Return what came of asking again."""
    return Asking(
        len(story.messages),
        sum(bool(message.answers) for message in story.messages),
        sum(event.event == "sendto" and event.seq is not None for event in client),
        sum(len(message.replies) for message in story.messages),
        sum(max(0, len(message.replies) - 1) for message in story.messages),
    )
