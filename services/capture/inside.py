"""What a host's programs send and receive, behind an impairment of its network: by the kernel's packet log.

    python3 inside.py hold     has the packets logged until its standard input ends; says "ready"
    python3 inside.py check    whether they still are: exit code 0, or 1 and the reason

tcpdump at an interface sees what comes in before anything is lost there, and what goes out after it. Here it
is the other way round, with either engine of the impairment:

    egress    program ──► raw OUTPUT: logged ──► the impairment (a queue, or the interface's qdisc) ──► eth0
    ingress   eth0 ──► the impairment (an ifb, or raw PREROUTING's queue) ──► mangle INPUT: logged ──► program

So a packet that is lost on its way in is at eth0 and not here; one that is lost on its way out is here and
not at eth0. `tcpdump -i nflog:12003` reads the log. It takes NET_ADMIN to set such rules, and to read it.

The rules stand in chains of our own. Whoever comes after one that was killed finds and replaces them; without
a reader they do nothing. A second `hold` beside the first is refused: the first of both to end would take the
rules from the other. The impairment's own rules are never touched.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence

from firewall import iptables, own_chains
from firewall.iptables import VARIANTS
from firewall.marks import EGRESS_CHAIN, LOGGED, PROBE, SENT, marked
from lab.failures import Exit, Failure, run
from lab.guard import Guard, Taken

GROUP = 12_003
DEVICE = f"nflog:{GROUP}"  # as tcpdump names the log
# Threshold: each packet is handed over at once; else the kernel collects them, for up to a second.
LOG = f"-j NFLOG --nflog-group {GROUP} --nflog-threshold 1"
TABLES = {
    "raw": (
        "-A OUTPUT -o eth0 -j capture-sent",
        f"-A OUTPUT -o lo {marked(LOGGED)} -j capture-sent",
        f"-A capture-sent {marked(SENT)} -j RETURN",
        f"-A capture-sent {marked(PROBE)} -j RETURN",
        f"-A capture-sent {LOG}",
        "-A capture-sent -o lo -j DROP",
    ),
    "mangle": (
        "-A INPUT -i eth0 -j capture-received",
        # A copy of a packet on its way in, which the impairment cannot make arrive from outside.
        f"-A INPUT -i lo {marked(SENT)} -j capture-received",
        f"-A capture-received {LOG}",
    ),
}
CHAINS = ("capture-sent", "capture-received")
ENDING_S = 1.5  # one that ends takes its rules back within a second


def ours(saved: str) -> list[str]:
    """Return those rules of a table that are ours: in our chains, and those that lead there."""
    return own_chains.owned(saved, CHAINS)[0]


def set_rules(variant: str, tables: Mapping[str, tuple[str, ...]]) -> None:
    """Make our rules those that are given; what an earlier one has left is gone then.

    Raises:
        Failure: the system refuses.
    """
    for table, wanted in tables.items():
        iptables.restore(variant, own_chains.change(table, iptables.save(variant, table), wanted, CHAINS))


def problem(saved: str, wanted: Sequence[str]) -> str | None:
    """Return what is wrong with a table, None where all packets are logged."""
    if ours(saved) != list(wanted):
        return "its rules were changed by another program"
    leading = [rule.split()[-1] for rule in saved.splitlines() if rule.startswith("-A OUTPUT ")]
    if EGRESS_CHAIN in leading and leading.index(EGRESS_CHAIN) < leading.index(CHAINS[0]):
        return "the impairment was set after it had begun, and takes packets first: begin it afterwards"
    return None


def working() -> str:
    """Return the variant of the commands that works here, after setting the rules by it.

    Raises:
        Failure: none does; the message says why.
    """
    reasons = []
    for variant in VARIANTS:
        if shutil.which(f"iptables-{variant}-save") is None:
            continue
        try:
            set_rules(variant, TABLES)
        except Failure as failure:
            reasons.append(str(failure))
            set_rules_as_far_as_possible(variant)
        else:
            return variant
    raise Failure(f"cannot log packets here (NFLOG): {'; '.join(reasons) or 'iptables is not installed'}")


def set_rules_as_far_as_possible(variant: str) -> None:
    """Take back what was set of the rules."""
    for table in TABLES:
        try:
            set_rules(variant, {table: ()})
        except Failure:
            continue


def hold() -> int:
    """Have the packets logged until standard input ends."""
    try:
        guard = Guard("capture-inside", ENDING_S)
    except Taken as taken:
        raise Failure(
            "another program logs the packets of this network already, expected none: end that capture first"
        ) from taken
    with guard:
        variant = working()
        try:
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            sys.stdin.read()
        finally:
            set_rules(variant, dict.fromkeys(TABLES, ()))
    return Exit.OK


def check() -> int:
    """Say whether the packets are logged."""
    found = []
    for variant in VARIANTS:
        tables = {table: iptables.save(variant, table) for table in TABLES}
        if any(map(ours, tables.values())):
            found = [problem(saved, TABLES[table]) for table, saved in tables.items()]
            break
    if not found:
        raise Failure("its rules are gone")
    for complaint in found:
        if complaint:
            raise Failure(complaint)
    return Exit.OK


def main() -> int:
    """Do what the command line says."""
    command = {"hold": hold, "check": check}.get(sys.argv[1] if len(sys.argv) == 2 else "")
    if command is None:
        raise Failure("expected hold or check")
    return command()


if __name__ == "__main__":
    run(main)
