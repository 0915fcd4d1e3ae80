"""The table `raw`: by which command it can be changed here, and how it is left as it was found."""

import shutil
import socket
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import host_interfaces
import netlink
from firewall import iptables
from firewall.iptables import VARIANTS
from firewall.marks import PROBE, marked
from lab.failures import Failure
from netem_impairment import attributes
from netem_impairment.request import DNS_PORT

from .queue_rules import FAMILIES, NAMES, PROBE_CHAIN, TABLE, Family, change, is_bare, ours


def save(variant: str, family: Family) -> str:
    """Return what the table contains."""
    return iptables.save(variant, TABLE, family.command)


def restore(variant: str, family: Family, text: str) -> None:
    """Change the table; all of it or nothing."""
    iptables.restore(variant, text, family.command)


def usable(interface: str) -> tuple[str, list[Family]]:
    """Return the variant of the commands that works here, and the families it works for.

    IPv6 may be missing where the interface has no such address.

    Raises:
        Failure: none does; the message says why.
    """
    reasons = []
    for variant in VARIANTS:
        by_family = [_try(variant, family) for family in FAMILIES]
        if by_family[0] is None and (by_family[1] is None or not host_interfaces.ipv6_scopes(interface)):
            return variant, [
                family for family, reason in zip(FAMILIES, by_family, strict=True) if reason is None
            ]
        reasons.append(by_family[0] or by_family[1] or "")
    raise Failure("; ".join(reasons))


def _try(variant: str, family: Family) -> str | None:
    """Put the kinds of rules that we need into a chain that nothing leads to; return why that fails."""
    rules = [
        f"-A {PROBE_CHAIN} -p udp -m udp --dport {DNS_PORT} -j RETURN",
        f"-A {PROBE_CHAIN} {marked(PROBE)} -j NFQUEUE --queue-num 0 --queue-bypass",
    ]
    try:
        restore(variant, family, "\n".join([f"*{TABLE}", f":{PROBE_CHAIN} - [0:0]", *rules, "COMMIT", ""]))
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
            if _is_there(variant, family) and _sweep(variant, family, NAMES):
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
    if shutil.which(iptables.save_command(variant, TABLE, family.command)[0]) is None:
        return False
    if variant == "nft":
        return True
    name = "ip_tables_names" if family.number == socket.AF_INET else "ip6_tables_names"
    try:
        return TABLE in Path("/proc/net", name).read_text(encoding="ascii").split()
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
    table = netlink.message(delete_table, if_unused, about_family + attributes.text(table_name, TABLE))
    chains = (attributes.text(chain_table, TABLE) + attributes.text(chain_name, hook) for hook in hooks)
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
