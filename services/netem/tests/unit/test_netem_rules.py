"""The text of our rules, and of the change from what was there."""

from pathlib import Path

import pytest
from lab.failures import Failure
from netem_impairment import Directions, Traffic, parse_traffic
from userspace.queue_rules import FAMILIES, change, is_bare, ours, wanted
from userspace.rules import Check

IPV4, IPV6 = FAMILIES
SENT, PROBE = "-m mark --mark 0x6e650001", "-m mark --mark 0x6e650002"
OUT, IN = "-j NFQUEUE --queue-num 12000 --queue-bypass", "-j NFQUEUE --queue-num 12001 --queue-bypass"

BARE = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
FOREIGN = BARE.replace("COMMIT", ":other - [0:0]\n-A OUTPUT -o eth0 -j other\n-A other -j ACCEPT\nCOMMIT")


def saved(rules: list[str], before: str = BARE) -> str:
    """Return what iptables-save prints of a table with these rules of ours."""
    chains = sorted({rule.split()[1] for rule in rules} - {"OUTPUT", "PREROUTING"})
    lines = [f":{chain} - [0:0]" for chain in chains] + rules
    return before.replace("COMMIT", "\n".join([*lines, "COMMIT"]))


def test_wanted_is_our_chains_and_the_way_there() -> None:
    assert wanted(IPV4, "eth1", Directions.BOTH, parse_traffic("udp:12000")) == [
        "-A OUTPUT -o eth1 -j netem-egress",
        f"-A netem-egress {SENT} -j RETURN",
        f"-A netem-egress {PROBE} {OUT}",
        "-A netem-egress -p 2 -j RETURN",
        f"-A netem-egress -p udp -m udp --sport 12000 {OUT}",
        f"-A netem-egress -p udp -m udp --dport 12000 {OUT}",
        "-A PREROUTING -i eth1 -j netem-ingress",
        f"-A PREROUTING -i lo {PROBE} -j netem-ingress",
        f"-A netem-ingress {SENT} -j RETURN",
        f"-A netem-ingress {PROBE} {IN}",
        "-A netem-ingress -p 2 -j RETURN",
        f"-A netem-ingress -p udp -m udp --sport 12000 {IN}",
        f"-A netem-ingress -p udp -m udp --dport 12000 {IN}",
    ]


@pytest.mark.parametrize("traffic", ["all", "udp", "tcp"])
def test_dns_is_excepted(traffic: str) -> None:
    rules = wanted(IPV4, "eth0", Directions.EGRESS, parse_traffic(traffic))
    for protocol in ("udp", "tcp"):
        for end in ("sport", "dport"):
            assert f"-A netem-egress -p {protocol} -m {protocol} --{end} 53 -j RETURN" in rules
    assert rules[-1] == f"-A netem-egress {'' if traffic == 'all' else f'-p {traffic} '}{OUT}"


def test_dns_is_impaired_where_it_is_asked_for_by_its_port() -> None:
    rules = wanted(IPV4, "eth0", Directions.EGRESS, parse_traffic("udp:53"))
    assert not [rule for rule in rules if rule.endswith("53 -j RETURN")]
    assert f"-A netem-egress -p udp -m udp --dport 53 {OUT}" in rules


def test_what_makes_an_ipv6_network_is_excepted_whatever_is_impaired() -> None:
    for traffic in ("all", "icmp", "tcp:80"):
        rules = wanted(IPV6, "eth0", Directions.EGRESS, parse_traffic(traffic))
        for kind in (133, 134, 135, 136, 143):
            assert f"-A netem-egress -p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j RETURN" in rules
    assert f"-A netem-egress -p ipv6-icmp {OUT}" in wanted(
        IPV6, "eth0", Directions.EGRESS, parse_traffic("icmp")
    )


def test_one_direction_has_no_rules_of_the_other() -> None:
    rules = wanted(IPV4, "eth0", Directions.INGRESS, Traffic())
    assert not [rule for rule in rules if "egress" in rule or "OUTPUT" in rule]


def test_ours_are_found_among_those_of_others() -> None:
    rules = wanted(IPV4, "eth0", Directions.BOTH, Traffic())
    found, chains = ours(saved(rules, FOREIGN))
    assert (found, chains) == (rules, ["netem-egress", "netem-ingress"])
    assert ours(FOREIGN) == ([], [])


def test_ours_are_known_by_every_name_of_a_protocol() -> None:
    printed = "-A netem-egress -p igmp -j RETURN\n-A netem-egress -p icmpv6 -j RETURN\n"
    assert ours(printed)[0] == ["-A netem-egress -p 2 -j RETURN", "-A netem-egress -p ipv6-icmp -j RETURN"]


def test_change_from_nothing_to_nothing_is_nothing() -> None:
    assert change(FOREIGN, []) == change("", []) == ""


def test_change_puts_the_way_to_our_chains_in_front_and_fills_them() -> None:
    rules = wanted(IPV4, "eth0", Directions.EGRESS, parse_traffic("icmp"))
    assert change(FOREIGN, rules).splitlines() == [
        "*raw",
        ":netem-egress - [0:0]",
        "-I OUTPUT -o eth0 -j netem-egress",
        f"-A netem-egress {SENT} -j RETURN",
        f"-A netem-egress {PROBE} {OUT}",
        "-A netem-egress -p 2 -j RETURN",
        f"-A netem-egress -p icmp {OUT}",
        "COMMIT",
    ]


def test_change_removes_what_a_predecessor_left_of_another_interface_and_direction() -> None:
    left = wanted(IPV4, "eth9", Directions.BOTH, Traffic())
    rules = wanted(IPV4, "eth0", Directions.EGRESS, parse_traffic("icmp"))
    lines = change(saved(left, FOREIGN), rules).splitlines()
    # Declared chains are emptied first.
    assert lines[:6] == [
        "*raw",
        ":netem-egress - [0:0]",
        ":netem-ingress - [0:0]",
        "-D OUTPUT -o eth9 -j netem-egress",
        "-D PREROUTING -i eth9 -j netem-ingress",
        f"-D PREROUTING -i lo {PROBE} -j netem-ingress",
    ]
    assert lines[-2:] == ["-X netem-ingress", "COMMIT"]
    assert not [line for line in lines if "other" in line]


def test_change_to_nothing_removes_rules_and_chains() -> None:
    lines = change(saved(wanted(IPV4, "eth0", Directions.EGRESS, Traffic())), []).splitlines()
    assert lines == [
        "*raw",
        ":netem-egress - [0:0]",
        "-D OUTPUT -o eth0 -j netem-egress",
        "-X netem-egress",
        "COMMIT",
    ]


@pytest.mark.parametrize(
    ("table", "bare"),
    [
        ("", True),
        (BARE, True),
        (FOREIGN, False),
        (BARE.replace("OUTPUT ACCEPT", "OUTPUT DROP"), False),
        (BARE.replace("COMMIT", ":empty - [0:0]\nCOMMIT"), False),
    ],
)
def test_a_table_is_bare_when_it_does_nothing(table: str, bare: bool) -> None:
    assert is_bare(table) is bare


def read_back(tmp_path: Path, printed: str, rules: list[str]) -> None:
    """Check rules against what a command prints."""
    command = tmp_path / "save"
    command.write_text(f"#!/bin/sh\ncat << 'END'\n{printed}\nEND\n")
    command.chmod(0o700)
    Check({IPV4: ([str(command)], rules)}).finish()


def test_rules_of_a_probe_beside_are_no_change_of_ours(tmp_path: Path) -> None:
    rules = wanted(IPV4, "eth0", Directions.BOTH, Traffic())
    probing = "-A netem-probe -p udp -m udp --dport 53 -j RETURN"
    read_back(tmp_path, saved([*rules, probing]), rules)
    with pytest.raises(Failure, match="others were added"):
        read_back(tmp_path, saved([*rules, "-A netem-egress -j RETURN"]), rules)
