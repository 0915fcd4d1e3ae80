"""Our rules, set and read back."""

import os
import subprocess
from collections.abc import Iterable

import host_interfaces
from firewall import iptables
from lab.failures import Failure
from netem_impairment import Directions, Traffic

from .queue_rules import CHAINS, FAMILIES, PROBE_CHAIN, TABLE, Family, change, ours, wanted
from .raw_table import restore, save, usable


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
            saved = save(self.variant, family)
            rules = wanted(family, self.interface, directions, traffic)
            try:
                restore(self.variant, family, change(saved, rules))
            except Failure:
                for other, before in done:
                    restore(self.variant, other, change(save(self.variant, other), ours(before)[0]))
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
                    iptables.save_command(self.variant, TABLE, family.command),
                    wanted(family, self.interface, directions, traffic),
                )
                for family in self._families
            }
        )

    def _complain_of_ipv6(self) -> None:
        if len(self._families) < len(FAMILIES) and host_interfaces.ipv6_scopes(self.interface):
            raise Failure(
                f"{self.interface} has an IPv6 address, and ip6tables does not work here: its packets would "
                "not be impaired; remove the address, or use a kernel with ip6tables"
            )


class Check:
    """Rules that are being read back: the commands run by themselves, while other things are done.

    Args:
        expected: for each family the command that prints the rules, and what must be among them.
    """

    def __init__(self, expected: dict[Family, tuple[list[str], list[str]]]) -> None:
        self._running = [
            (
                family,
                rules,
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=os.environ | iptables.SYSTEM,
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
