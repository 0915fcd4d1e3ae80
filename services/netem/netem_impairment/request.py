"""What to impair: the spec, in which direction, and which traffic."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, get_args

from .seeds import spread
from .spec import Spec
from .units import SpecError

Protocol = Literal["udp", "tcp", "icmp"]
LAST_PORT = 65_535

# What both engines leave alone, for without it there is no network that could be bad.
DNS_PORT = 53
IGMP = 2  # the protocol's number: membership of multicast groups
ICMPV6_OF_THE_LINK = (*range(130, 138), 143)  # types: membership, routers, neighbours


class Direction(StrEnum):
    """Of a packet, as seen by the host whose network the sidecar shares."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Directions(StrEnum):
    """The directions that are impaired."""

    INGRESS = "ingress"
    EGRESS = "egress"
    BOTH = "both"

    def include(self, direction: Direction) -> bool:
        """Tell whether packets in this direction are impaired."""
        return self is Directions.BOTH or self.value == direction.value


def parse_directions(text: str) -> Directions:
    """Convert text to directions: "ingress", "egress", "both".

    Raises:
        SpecError: it is something else.
    """
    try:
        return Directions(text)
    except ValueError as error:
        raise SpecError(f"direction {text!r}: expected {', '.join(Directions)}") from error


@dataclass(frozen=True)
class Traffic:
    """Which packets are impaired. No field set: all but DNS.

    ARP, neighbour discovery and the loopback interface are never touched: the network is to be bad, not
    absent.

    Attributes:
        protocol: this one alone.
        port: of UDP or TCP, at either end.
    """

    protocol: Protocol | None = None
    port: int | None = None

    @property
    def spares_dns(self) -> bool:
        """Whether DNS has to be left out: where a port is asked for, it is that one or none of it."""
        return self.port is None and self.protocol != "icmp"

    def __str__(self) -> str:
        """Return it as `parse_traffic` reads it."""
        if self.protocol is None and self.port is None:
            return "all"
        return (self.protocol or "") + (f":{self.port}" if self.port is not None else "")


def parse_traffic(text: str) -> Traffic:
    """Convert text to traffic: "all", "udp", "tcp", "icmp", "udp:12000", ":12000" (UDP and TCP).

    Raises:
        SpecError: it is something else.
    """
    if text in {"", "all"}:
        return Traffic()
    protocol, colon, port = text.partition(":")
    known = {name: name for name in get_args(Protocol)}
    portless = not colon and protocol in known
    digits = port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= LAST_PORT
    if portless or (digits and protocol in {"", "udp", "tcp"}):
        return Traffic(known.get(protocol), int(port) if colon else None)
    raise SpecError(
        f"traffic {text!r}: expected all, udp, tcp, icmp, or a port from 1 to {LAST_PORT} as in 'udp:12000'"
        " or ':12000'"
    )


@dataclass(frozen=True)
class Impairment:
    """What a sidecar is asked for."""

    spec: Spec
    directions: Directions = Directions.BOTH
    traffic: Traffic = field(default_factory=Traffic)

    def of(self, direction: Direction) -> Spec | None:
        """Return what is done to packets in one direction; None: nothing.

        The spec's seed is that of ingress, or of egress alone. Of both directions, egress has the one that
        follows from it: with the same draws the same numbers would be lost on the way there and back.
        """
        if not self.directions.include(direction):
            return None
        if (
            self.directions is Directions.BOTH
            and direction is Direction.EGRESS
            and self.spec.seed is not None
        ):
            return replace(self.spec, seed=spread(self.spec.seed, direction))
        return self.spec


def seeded(spec: Spec, number: int, directions: Directions) -> Spec:
    """Return a spec with the seed that follows from a number that a person has chosen.

    Each direction has a seed of its own, the same whether the other one is impaired, too, or not.
    """
    ingress = spread(number, Direction.INGRESS)
    seed = spread(ingress, Direction.EGRESS) if directions is Directions.EGRESS else ingress
    return replace(spec, seed=seed)
