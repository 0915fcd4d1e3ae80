"""A world in which some of the lecture's claims are wrong: a broken program, or another network.

Each names the claims that it turns red. That shows of a claim that it can fail, and of what it depends.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType

from netem_impairment import Direction, Directions, Impairment, Spec, parse

from socketlab.hosts.lab import Lab

PROGRAMS = Path(__file__).parent / "mutations" / "programs"


@dataclass(frozen=True)
class Mutation:
    """One broken world.

    Attributes:
        name: what is broken, in a few words.
        turns_red: the ids of the claims that are refuted in it; all others of its section stay shown.
        programs: files in mutations/programs that run in the place of the lab's own, by these' names.
        network: a context that breaks the network of a lab, and mends it again.
        hosts: returns a lab with other hosts, or the same ones otherwise.
        spared: claims of the section that are not tried in it, for they take long or need what is broken,
            each with the reason.
    """

    name: str
    turns_red: frozenset[str]
    programs: Mapping[str, str] = field(default_factory=dict)
    network: Callable[[Lab], AbstractContextManager[None]] = lambda _stage: nullcontext()
    hosts: Callable[[Lab], Lab] = lambda lab: lab
    spared: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def applied(self, lab: Lab) -> Iterator[Lab]:
        """Yield the lab as it is in this world."""
        programs = {
            name: ("python3", "-c", (PROGRAMS / file).read_text(encoding="utf-8"))
            for name, file in self.programs.items()
        }
        with self.network(lab):
            yield self.hosts(replace(lab, programs=programs))


@contextmanager
def rules(lab: Lab, *commands: str) -> Iterator[None]:
    """Have firewall rules in the server's network ("iptables -t nat -A ..."); removed at the end."""
    done: list[str] = []
    try:
        for command in commands:
            lab.in_network(*command.split())
            done.append(command)
        yield
    finally:
        for command in reversed(done):
            lab.in_network(*command.replace(" -A ", " -D ").replace(" -I ", " -D ").split())


def called_by_address(lab: Lab) -> Lab:
    """Return a lab whose server is called by its address, for it has no name."""
    nameless = copy(lab.server)
    nameless.name = nameless.address
    return replace(lab, server=nameless)


class LosingNothing(Lab):
    """A lab whose sidecar says that it does what it was asked for, and loses, reorders, doubles nothing."""

    _asked: Mapping[Direction, Spec] = MappingProxyType({})

    def ask_sidecar(self, command: str, **words: str) -> str:
        """Ask for less, and say that it is what was asked for."""
        if command == "set":
            spec = parse(words["spec"])
            asked = Impairment(spec, Directions(words["directions"]))
            self._asked = {way: one for way in Direction if (one := asked.of(way))}
            words["spec"] = str(replace(spec, loss=None, reorder=0, gap=0, duplicate=0))
        answer = super().ask_sidecar(command, **words)
        if command != "stats":
            return answer
        said = json.loads(answer)
        for way, one in self._asked.items():
            said["directions"][way]["spec"] = str(one)
        return json.dumps(said)


class LettingPass(Lab):
    """A lab whose sidecar says that it impairs, while datagrams go past it; its own probes do not."""

    # In front of the rules that send packets to the sidecar.
    PAST = (
        "PREROUTING -i eth0 -p udp --dport 12001 -j ACCEPT",
        "OUTPUT -o eth0 -p udp --sport 12001 -j ACCEPT",
    )

    def ask_sidecar(self, command: str, **words: str) -> str:
        """Lead datagrams past the sidecar as long as it impairs."""
        if command == "clear":
            self._past("-D")
        answer = super().ask_sidecar(command, **words)
        if command == "set":
            self._past("-I")
        return answer

    def _past(self, how: str) -> None:
        for rule in self.PAST:
            self.in_network("iptables", "-t", "raw", how, *rule.split())


def on(kind: type[Lab]) -> Callable[[Lab], Lab]:
    """Return what makes a lab one of another kind, with the same hosts."""
    return lambda lab: kind(**{each.name: getattr(lab, each.name) for each in fields(lab)})
