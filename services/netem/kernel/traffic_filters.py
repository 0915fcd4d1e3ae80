"""Which packets the filters lead to an impairment, and which they leave alone."""

from collections.abc import Iterable, Iterator

from netem_impairment import Traffic
from netem_impairment.request import DNS_PORT, ICMPV6_OF_THE_LINK, IGMP

from .flower import IPV4, IPV6, Match

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58


def excluded(traffic: Traffic) -> Iterator[Match]:
    """Yield what is left alone: the network's own affairs, and DNS where it is not asked for by its port."""
    yield Match(IPV4, IGMP)
    for number in ICMPV6_OF_THE_LINK:
        yield Match(IPV6, ICMPV6, icmpv6_type=number)
    if traffic.spares_dns:
        yield from _ports((UDP, TCP), DNS_PORT)


def impaired(traffic: Traffic) -> Iterator[Match]:
    """Yield what is impaired, but for the exceptions."""
    if traffic.port is not None:
        protocols = {"udp": (UDP,), "tcp": (TCP,)}.get(traffic.protocol or "", (UDP, TCP))
        yield from _ports(protocols, traffic.port)
        return
    numbers = {"udp": (UDP, UDP), "tcp": (TCP, TCP), "icmp": (ICMP, ICMPV6)}
    in_ipv4, in_ipv6 = numbers.get(traffic.protocol or "", (None, None))
    yield Match(IPV4, in_ipv4)
    yield Match(IPV6, in_ipv6)


def _ports(protocols: Iterable[int], port: int) -> Iterator[Match]:
    for ether_type in (IPV4, IPV6):
        for protocol in protocols:
            yield Match(ether_type, protocol, source_port=port)
            yield Match(ether_type, protocol, destination_port=port)
