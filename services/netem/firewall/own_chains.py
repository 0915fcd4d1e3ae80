"""Rules in chains of one's own: what of a table is ours, and the text that changes it in one step."""

from collections.abc import Collection, Sequence


def owned(saved: str, chains: Collection[str]) -> tuple[list[str], list[str]]:
    """Return our rules in what `iptables-save` printed, and those of our chains that are there.

    Args:
        saved: a table.
        chains: their names. Ours are the rules in them, and those that lead there.
    """
    rules, there = [], []
    for line in saved.splitlines():
        words = line.split()
        if line.startswith(":") and words[0][1:] in chains:
            there.append(words[0][1:])
        elif line.startswith("-A ") and (words[1] in chains or (len(words) > 2 and words[-1] in chains)):
            rules.append(line)
    return rules, there


def change(table: str, saved: str, rules: Sequence[str], chains: Collection[str]) -> str:
    """Return what `iptables-restore --noflush` must read, so that ours become these; empty: nothing.

    Args:
        table: its name.
        saved: what is in it.
        rules: those that are wanted, as `iptables-save` prints them.
        chains: the names of all that can be ours.
    """
    old_rules, old_chains = owned(saved, chains)
    needed = {rule.split()[1] for rule in rules} & set(chains)
    if not rules and not old_rules and not old_chains:
        return ""
    lines = [
        f"*{table}",
        *(f":{chain} - [0:0]" for chain in sorted(needed | set(old_chains))),
    ]  # new, or emptied
    lines += [rule.replace("-A", "-D", 1) for rule in old_rules if rule.split()[1] not in old_chains]
    # In front of what others have there; so the last comes first.
    jumps = [rule for rule in rules if rule.split()[1] not in needed]
    lines += [rule.replace("-A", "-I", 1) for rule in reversed(jumps)]
    lines += [rule for rule in rules if rule.split()[1] in needed]
    lines += [f"-X {chain}" for chain in sorted(set(old_chains) - needed)]
    return "\n".join([*lines, "COMMIT", ""])
