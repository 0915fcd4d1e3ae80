"""The firewall rules that send packets to our queues.

They stand in the table `raw`, in front of all that tracks, translates or filters: in chains of our own, to
which lines in the kernel's OUTPUT and PREROUTING lead. A table is changed as a whole, from one packet to the
next (`iptables-restore --noflush`), so no packet is lost or unimpaired while it changes, and whatever a
predecessor left behind is found and replaced by name.

    raw OUTPUT      -o eth0 ──────────► netem-egress ──► queue 12000
    raw PREROUTING  -i eth0 ──────────► netem-ingress ─► queue 12001
                    -i lo, a probe ───►

Without a program that has opened the queue, packets go on as if the rule were not there (`--queue-bypass`).
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from firewall import own_chains
from firewall.marks import EGRESS_CHAIN, INGRESS_CHAIN, PROBE, SENT, marked
from netem_impairment import Direction, Directions, Traffic
from netem_impairment.request import DNS_PORT, ICMPV6_OF_THE_LINK, IGMP

QUEUES = {Direction.EGRESS: 12_000, Direction.INGRESS: 12_001}
CHAINS = {Direction.EGRESS: EGRESS_CHAIN, Direction.INGRESS: INGRESS_CHAIN}
PROBE_CHAIN = "netem-probe"
NAMES = {*CHAINS.values(), PROBE_CHAIN}  # of all chains that can be ours
HOOKS = {Direction.EGRESS: ("OUTPUT", "-o"), Direction.INGRESS: ("PREROUTING", "-i")}
TABLE = "raw"


@dataclass(frozen=True)
class Family:
    """IPv4 or IPv6: the name of its command, and its number."""

    command: str
    number: int


FAMILIES = (Family("iptables", socket.AF_INET), Family("ip6tables", socket.AF_INET6))


def wanted(family: Family, interface: str, directions: Directions, traffic: Traffic) -> list[str]:
    """Return our rules for a family, as `iptables-save` prints them."""
    rules = []
    for direction, chain in CHAINS.items():
        if not directions.include(direction):
            continue
        hook, way = HOOKS[direction]
        rules.append(f"-A {hook} {way} {interface} -j {chain}")
        if direction is Direction.INGRESS:
            # We cannot make a packet arrive from outside, but one that is marked can take the same way.
            rules.append(f"-A {hook} -i lo {marked(PROBE)} -j {chain}")
        queue = f"-j NFQUEUE --queue-num {QUEUES[direction]} --queue-bypass"
        to_chain = [f"{marked(SENT)} -j RETURN", f"{marked(PROBE)} {queue}"]
        to_chain += [f"{match} -j RETURN" for match in _exceptions(family, traffic)]
        to_chain += [f"{match} {queue}".lstrip() for match in _matches(family, traffic)]
        rules += [f"-A {chain} {rule}" for rule in to_chain]
    return rules


def _port(protocol: str, port: int) -> list[str]:
    return [f"-p {protocol} -m {protocol} --{end} {port}" for end in ("sport", "dport")]


def _exceptions(family: Family, traffic: Traffic) -> list[str]:
    """Return what is left alone: the network's own affairs, and DNS where it is not asked for by its port."""
    if family.number == socket.AF_INET6:
        own = [f"-p ipv6-icmp -m icmp6 --icmpv6-type {number}" for number in ICMPV6_OF_THE_LINK]
    else:
        own = [f"-p {IGMP}"]
    if not traffic.spares_dns:
        return own
    return own + [match for protocol in ("udp", "tcp") for match in _port(protocol, DNS_PORT)]


def _matches(family: Family, traffic: Traffic) -> list[str]:
    """Return what matches the traffic; an empty match is every packet."""
    protocol: str | None = traffic.protocol
    if protocol == "icmp" and family.number == socket.AF_INET6:
        protocol = "ipv6-icmp"
    if traffic.port is None:
        return [f"-p {protocol}"] if protocol else [""]
    protocols = [protocol] if protocol else ["udp", "tcp"]
    return [match for name in protocols for match in _port(name, traffic.port)]


def ours(saved: str) -> tuple[list[str], list[str]]:
    """Return our rules in what `iptables-save` printed, and our chains."""
    rules, there = own_chains.owned(saved, NAMES)
    return [_normal(rule) for rule in rules], there


def _normal(rule: str) -> str:
    """Return a rule with protocols as we write them: not every system knows the same names."""
    for printed, name in (("igmp", IGMP), ("icmpv6", "ipv6-icmp"), ("58", "ipv6-icmp"), ("1", "icmp"),
                          ("17", "udp"), ("6", "tcp")):  # fmt: skip
        rule = rule.replace(f" -p {printed} ", f" -p {name} ")
    return rule


def change(saved: str, rules: Sequence[str]) -> str:
    """Return what `iptables-restore --noflush` must read, so that ours become these; empty: nothing."""
    return own_chains.change(TABLE, saved, rules, NAMES)


def is_bare(saved: str) -> bool:
    """Tell whether a table does nothing: no rule, no chain of anybody's, every packet accepted."""
    lines = [line for line in saved.splitlines() if line[:1] in {":", "-"}]
    return all(line.startswith(":") and line.split()[1] == "ACCEPT" for line in lines)
