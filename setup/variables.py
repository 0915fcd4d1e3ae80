"""Which variables each target of the Makefile takes; any other on make's command line is refused.

make itself ignores a variable that nothing reads: `make lossy-udp LOS=30` would run with the default loss.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

MAKES_OWN = frozenset({"PYTHON", "SHELL", "MAKEFLAGS"})  # every target takes these
READS = re.compile(r"\$\((?:call \w+,|value )([A-Z]+)\b")
USES = re.compile(r"\$\(([A-Z]+)\)")
ASSIGNMENT = re.compile(r"([A-Z]+) = (.*)")
RULE = re.compile(r"([a-z][a-z-]*):(?!=)(?!.* := )(.*)")  # and no target's own variable


def taken(makefile: str) -> dict[str, frozenset[str]]:
    """Return the variables that each target takes: those that its recipe or prerequisites read.

    Args:
        makefile: the text of our Makefile. It reads a variable by `$(value NAME)` or `$(call option,NAME,…)`,
            in a recipe or in a variable of its own that the recipe uses.
    """
    bodies: dict[str, str] = {}  # of rules and of the Makefile's own variables
    rule = ""
    for line in makefile.replace("\\\n", " ").splitlines():
        if line.startswith("\t"):
            bodies[rule] += line
        elif assigned := ASSIGNMENT.match(line):
            bodies[assigned[1]] = assigned[2]
        elif ruled := RULE.match(line):
            rule = ruled[1]
            bodies[rule] = ruled[2].partition("##")[0]

    def read_by(name: str) -> frozenset[str]:
        body = bodies[name]
        used = {
            *USES.findall(body),
            *(re.findall(r"[\w-]+", body.partition("\t")[0]) if name.islower() else ()),
        }
        return frozenset(READS.findall(body)).union(
            *(read_by(each) for each in used & bodies.keys() - {name})
        )

    return {name: read_by(name) for name in bodies if name.islower()}


def refusal(takes: Mapping[str, frozenset[str]], targets: Sequence[str], given: Sequence[str]) -> str:
    """Return one line about the first variable that none of the targets takes; nothing: make can go on."""
    if not set(targets) <= takes.keys():
        return ""  # make itself says that there is no such target
    ours = frozenset().union(MAKES_OWN, *(takes.get(target, frozenset()) for target in targets))
    for name in given:
        if name not in ours:
            called = " ".join(["make", *targets])
            return f"{called} takes no {name}{_remedy(takes, ours, name)}"
    return ""


def _remedy(takes: Mapping[str, frozenset[str]], ours: frozenset[str], name: str) -> str:
    for known in (ours, frozenset().union(*takes.values())):
        if nearest := get_close_matches(name.upper(), sorted(known), n=1):
            if nearest[0] in ours:
                return f": did you mean {nearest[0]}?"
            of = sorted(target for target, variables in takes.items() if nearest[0] in variables)
            return f": {nearest[0]} belongs to make {', '.join(of)}"
    return f": it takes {', '.join(sorted(ours - MAKES_OWN)) or 'none'}"
