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

import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import netlink
from lab.failures import Failure
from netem_impairment import Direction, Directions, Traffic, attributes
from netem_impairment.request import DNS_PORT, ICMPV6_OF_THE_LINK, IGMP

QUEUES = {Direction.EGRESS: 12_000, Direction.INGRESS: 12_001}
CHAINS = {Direction.EGRESS: "netem-egress", Direction.INGRESS: "netem-ingress"}
PROBE_CHAIN = "netem-probe"
HOOKS = {Direction.EGRESS: ("OUTPUT", "-o"), Direction.INGRESS: ("PREROUTING", "-i")}

# Marks of packets that we send: they are not impaired again; they are to come to the queue and no further.
SENT, PROBE = 0x6E650001, 0x6E650002

VARIANTS = ("nft", "legacy")  # where both are there, the one that today's systems use
# On a read-only root the older commands find no place for their lock, and nobody there to keep out by it.
SYSTEM = {"LC_ALL": "C"} | ({} if os.access("/run", os.W_OK) else {"XTABLES_LOCKFILE": os.devnull})


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
            rules.append(f"-A {hook} -i lo -m mark --mark {PROBE:#x} -j {chain}")
        queue = f"-j NFQUEUE --queue-num {QUEUES[direction]} --queue-bypass"
        to_chain = [f"-m mark --mark {SENT:#x} -j RETURN", f"-m mark --mark {PROBE:#x} {queue}"]
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
    names = {*CHAINS.values(), PROBE_CHAIN}
    rules, chains = [], []
    for line in saved.splitlines():
        words = line.split()
        if line.startswith(":") and words[0][1:] in names:
            chains.append(words[0][1:])
        elif line.startswith("-A ") and (words[1] in names or (len(words) > 2 and words[-1] in names)):
            rules.append(_normal(line))
    return rules, chains


def _normal(rule: str) -> str:
    """Return a rule with protocols as we write them: not every system knows the same names."""
    for printed, name in (("igmp", IGMP), ("icmpv6", "ipv6-icmp"), ("58", "ipv6-icmp"), ("1", "icmp"),
                          ("17", "udp"), ("6", "tcp")):  # fmt: skip
        rule = rule.replace(f" -p {printed} ", f" -p {name} ")
    return rule


def change(saved: str, rules: Sequence[str]) -> str:
    """Return what `iptables-restore --noflush` must read, so that ours become these; empty: nothing."""
    old_rules, old_chains = ours(saved)
    chains = {rule.split()[1] for rule in rules} - {hook for hook, _way in HOOKS.values()}
    if not rules and not old_rules and not old_chains:
        return ""
    lines = ["*raw", *(f":{chain} - [0:0]" for chain in sorted(chains | set(old_chains)))]  # new, or emptied
    lines += [rule.replace("-A", "-D", 1) for rule in old_rules if rule.split()[1] not in old_chains]
    # In front of what others have there; so the last comes first.
    jumps = [rule for rule in rules if rule.split()[1] not in chains]
    lines += [rule.replace("-A", "-I", 1) for rule in reversed(jumps)]
    lines += [rule for rule in rules if rule.split()[1] in chains]
    lines += [f"-X {chain}" for chain in sorted(set(old_chains) - chains)]
    return "\n".join([*lines, "COMMIT", ""])


def is_bare(saved: str) -> bool:
    """Tell whether a table does nothing: no rule, no chain of anybody's, every packet accepted."""
    lines = [line for line in saved.splitlines() if line[:1] in {":", "-"}]
    return all(line.startswith(":") and line.split()[1] == "ACCEPT" for line in lines)


class Rules:
    """Our rules in one network namespace.

    Args:
        interface: whose packets are impaired.

    Raises:
        Failure: no command is there that can do it; the message says which were tried and what they said.
    """

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self.variant, self._families = usable(interface)

    def install(self, directions: Directions, traffic: Traffic) -> None:
        """Make the rules of the kernel those that are wanted, whatever ours were.

        Raises:
            Failure: the system refuses. Then nothing is changed.
        """
        self._complain_of_ipv6()
        done: list[tuple[Family, str]] = []
        for family in self._families:
            saved = self._saved(family)
            rules = wanted(family, self.interface, directions, traffic)
            try:
                restore(self.variant, family, change(saved, rules))
            except Failure:
                for other, before in done:
                    restore(self.variant, other, change(self._saved(other), ours(before)[0]))
                raise
            done.append((family, saved))

    def check(self, directions: Directions, traffic: Traffic) -> "Check":
        """Begin to read the rules back.

        Raises:
            Failure: there are packets by now that no rule of ours could match.
        """
        self._complain_of_ipv6()
        return Check(
            {
                family: (
                    _command(self.variant, family, "save"),
                    wanted(family, self.interface, directions, traffic),
                )
                for family in self._families
            }
        )

    def _saved(self, family: Family) -> str:
        return save(self.variant, family)

    def _complain_of_ipv6(self) -> None:
        if len(self._families) < len(FAMILIES) and _has_ipv6(self.interface):
            raise Failure(
                f"{self.interface} has an IPv6 address, and ip6tables does not work here: its packets would "
                "not be impaired; remove the address, or use a kernel with ip6tables"
            )


class Check:
    """Rules that are being read back: the commands run by themselves, while other things are done.

    Args:
        expected: for each family the command that prints the rules, and what must be among them.
    """

    def __init__(self, expected: dict[Family, tuple[str, list[str]]]) -> None:
        self._running = [
            (
                family,
                rules,
                subprocess.Popen(
                    [command, "-t", "raw"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=os.environ | SYSTEM,
                ),
            )
            for family, (command, rules) in expected.items()
        ]

    def running(self) -> list[int]:
        """Return the descriptors of the commands that have not ended: one that can be read has.

        What they print is less than a pipe takes, so they never wait for us to read it.
        """
        return [
            process.stdout.fileno()
            for _family, _rules, process in self._running
            if process.stdout is not None and process.poll() is None
        ]

    def close(self) -> None:
        """End the commands."""
        for _family, _rules, process in self._running:
            process.kill()
            process.communicate()
        self._running.clear()

    def finish(self) -> None:
        """Wait for the commands to end, and compare.

        Raises:
            Failure: the rules are not what they must be.
        """
        came = [(family, rules, process.communicate()[0]) for family, rules, process in self._running]
        self._running.clear()
        for family, rules, output in came:
            # Without those of `netem probe`, which may be at work beside us: nothing leads to them.
            found = [
                rule for rule in ours(output.decode(errors="replace"))[0] if PROBE_CHAIN not in rule.split()
            ]
            if sorted(found) != sorted(rules) or _in_chains(found) != _in_chains(rules):
                missing = [rule for rule in rules if rule not in found]
                what = f"expected {missing[0]!r}, it is not there" if missing else "others were added"
                raise Failure(
                    f"the rules of {family.command} (table raw) were changed by another program: {what}; "
                    "set the impairment again"
                )


def _in_chains(rules: Iterable[str]) -> list[str]:
    """Return the rules in our own chains: there the order counts; of those that lead there it does not."""
    return [rule for rule in rules if rule.split()[1] in CHAINS.values()]


def usable(interface: str) -> tuple[str, list[Family]]:
    """Return the variant of the commands that works here, and the families it works for.

    IPv6 may be missing where the interface has no such address.

    Raises:
        Failure: none does; the message says why.
    """
    reasons = []
    for variant in VARIANTS:
        by_family = [_try(variant, family) for family in FAMILIES]
        if by_family[0] is None and (by_family[1] is None or not _has_ipv6(interface)):
            return variant, [
                family for family, reason in zip(FAMILIES, by_family, strict=True) if reason is None
            ]
        reasons.append(by_family[0] or by_family[1] or "")
    raise Failure("; ".join(reasons))


def _try(variant: str, family: Family) -> str | None:
    """Put the kinds of rules that we need into a chain that nothing leads to; return why that fails."""
    rules = [
        f"-A {PROBE_CHAIN} -p udp -m udp --dport {DNS_PORT} -j RETURN",
        f"-A {PROBE_CHAIN} -m mark --mark {PROBE:#x} -j NFQUEUE --queue-num 0 --queue-bypass",
    ]
    try:
        restore(variant, family, "\n".join(["*raw", f":{PROBE_CHAIN} - [0:0]", *rules, "COMMIT", ""]))
        if _sweep(variant, family, {PROBE_CHAIN}) and variant == "nft":
            tidy([family])
    except Failure as failure:
        return str(failure)
    return None


def sweep() -> list[Family]:
    """Remove what is ours, by whichever variant it was made.

    Returns:
        For `tidy`: the families whose table of nf_tables may do nothing any more.

    Raises:
        Failure: the system refuses.
    """
    changed = []
    for variant in VARIANTS:
        for family in FAMILIES:
            if _is_there(variant, family) and _sweep(variant, family, {*CHAINS.values(), PROBE_CHAIN}):
                changed += [family] if variant == "nft" else []
    return changed


def _sweep(variant: str, family: Family, chains: set[str]) -> bool:
    """Remove some of our chains and what leads to them; tell whether there was any."""
    saved = save(variant, family)
    rules, found = ours(saved)
    if not chains & set(found):
        return False
    kept = [rule for rule in rules if not chains & {rule.split()[1], rule.split()[-1]}]
    restore(variant, family, change(saved, kept))
    return True


def tidy(families: Iterable[Family]) -> None:
    """Delete the tables `raw` of nf_tables that do nothing.

    With a table the kernel drops the packets that are in a queue by its rules: they must be gone.
    """
    for family in families:
        saved = save("nft", family)
        if is_bare(saved):
            _delete_table(family, [line.split()[0][1:] for line in saved.splitlines() if line[:1] == ":"])


def _is_there(variant: str, family: Family) -> bool:
    """Tell whether there is such a command, and a table of its kind that could have something of ours.

    To look into a legacy table would make one, and other programs would be told to mind it for ever.
    """
    if shutil.which(_command(variant, family, "save")) is None:
        return False
    if variant == "nft":
        return True
    name = "ip_tables_names" if family.number == socket.AF_INET else "ip6_tables_names"
    try:
        return "raw" in Path("/proc/net", name).read_text(encoding="ascii").split()
    except OSError:
        return False


def _delete_table(family: Family, hooks: Sequence[str]) -> None:
    """Delete the table `raw` of nf_tables, which does nothing any more; the commands cannot."""
    begin, end, subsystem = 0x10, 0x11, 10  # NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES
    delete_table, delete_chain = subsystem << 8 | 2, subsystem << 8 | 5
    table_name, chain_table, chain_name = 1, 1, 3
    if_unused = netlink.REQUEST | 0x100  # NLM_F_NONREC
    about_nothing = struct.pack("!BBH", socket.AF_UNSPEC, 0, subsystem)
    about_family = struct.pack("!BBH", family.number, 0, 0)
    table = netlink.message(delete_table, if_unused, about_family + attributes.text(table_name, "raw"))
    chains = (attributes.text(chain_table, "raw") + attributes.text(chain_name, hook) for hook in hooks)
    with netlink.Netlink(netlink.NETFILTER) as netfilter:
        # Each a transaction of its own: the commands list hooks that are not there. What somebody has begun
        # to use stays.
        for request in (
            *(netlink.message(delete_chain, if_unused, about_family + one) for one in chains),
            table,
        ):
            netfilter.socket.send(
                netlink.message(begin, netlink.REQUEST, about_nothing)
                + request
                + netlink.message(end, netlink.REQUEST, about_nothing)
            )


def _has_ipv6(interface: str) -> bool:
    """Tell whether an interface has an IPv6 address, be it of the link alone."""
    try:
        table = Path("/proc/net/if_inet6").read_text(encoding="ascii")
    except OSError:
        return False  # the kernel has no IPv6
    return any(line.split()[-1] == interface for line in table.splitlines())


def _command(variant: str, family: Family, what: str) -> str:
    return f"{family.command}-{variant}-{what}"


def save(variant: str, family: Family) -> str:
    """Return what the table `raw` contains."""
    return _run([_command(variant, family, "save"), "-t", "raw"], "")


def restore(variant: str, family: Family, text: str) -> None:
    """Change the table `raw`; all of it or nothing."""
    if text:
        # Another program that changes the firewall just now is waited for.
        _run([_command(variant, family, "restore"), "--noflush", "--wait=2"], text)


def _run(command: list[str], text: str) -> str:
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=os.environ | SYSTEM,
        )
    except FileNotFoundError as error:
        raise Failure(f"{command[0]} is not installed (package iptables)") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line and not line.startswith("#")]
        reason = lines[0] if lines else f"exit code {done.returncode}"
        raise Failure(f"{command[0]}: {reason}")
    return done.stdout
