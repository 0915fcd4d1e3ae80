"""What claims look for in a capture, and how packets are told as evidence."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from socketlab.hosts.lab import Lab
from socketlab.observe.packets import DOCKER_DNS, Packet


def names_of(lab: Lab) -> dict[str, str]:
    """Return what the hosts are called, by their addresses; Docker's name server is one for each of them."""
    hosts = (lab.server, lab.client, lab.other)
    return {host.address: host.name for host in hosts} | {DOCKER_DNS: "Docker's DNS"}


def host_of(end: str | None) -> str:
    """Return the IPv4 address of one end of a packet, without its port."""
    return (end or "").partition(":")[0]


def between(packets: Iterable[Packet], one: str, other: str) -> list[Packet]:
    """Return the packets that two addresses sent each other. ARP's are none: they are of the link below."""
    return [
        packet
        for packet in packets
        if packet.protocol != "arp" and {host_of(packet.source), host_of(packet.destination)} == {one, other}
    ]


def lookups(packets: Iterable[Packet], name: str) -> tuple[list[Packet], list[Packet]]:
    """Return the DNS queries for a name, and the answers to them."""
    asked = [packet for packet in packets if packet.dns and packet.dns.question == name]
    queries = [packet for packet in asked if packet.dns and not packet.dns.response]
    return queries, [packet for packet in asked if packet.dns and packet.dns.response]


def told(packet: Packet, names: Mapping[str, str]) -> str:
    """Return a packet as a line for people.

    Args:
        packet: as it was captured.
        names: of hosts, by their addresses; others are told by the address.
    """
    source, destination = (_named(end, names) for end in (packet.source, packet.destination))
    if packet.dns:
        answer = f", the answer: {', '.join(packet.dns.addresses) or packet.dns.code}"
        what = f"DNS, {packet.dns.question}?{answer if packet.dns.response else ''}"
    elif packet.icmp:
        what = f"ICMP, type {packet.icmp.type}, code {packet.icmp.code}"
        if packet.icmp.source:
            about = [_named(end, names) for end in (packet.icmp.source, packet.icmp.destination)]
            what += f", about {' to '.join(about)}"
    else:
        flags = f" {'+'.join(sorted(packet.flags, reverse=True))}" if packet.flags else ""
        what = f"{packet.protocol.upper()}{flags}, {len(packet.payload):,} bytes of data"
    return f"{source} to {destination}: {what}"


def all_told(packets: Sequence[Packet], names: Mapping[str, str]) -> str:
    """Return packets as lines for people; of equal ones that follow each other one, with their number."""
    lines = [(line, len(list(equal))) for line, equal in groupby(told(packet, names) for packet in packets)]
    return "\n".join(line + (f" ({times} times)" if times > 1 else "") for line, times in lines) or "none"


def _named(end: str | None, names: Mapping[str, str]) -> str:
    address, colon, port = (end or "nobody").partition(":")
    return names.get(address, address) + colon + port
