"""A world in which some of the lecture's claims are wrong: a broken program, or another network.

Each names the claims that it turns red. That shows of a claim that it can fail, and of what it depends.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path

from socketlab.run.stage import Stage

PROGRAMS = Path(__file__).parent / "mutations" / "programs"


@dataclass(frozen=True)
class Mutation:
    """One broken world.

    Attributes:
        name: what is broken, in a few words.
        turns_red: the ids of the claims that are refuted in it; all others of its section stay shown.
        programs: files in mutations/programs that run in the place of the lab's own, by these' names; "netem"
            is the sidecar's command.
        network: a context that breaks the network of a stage, and mends it again.
        hosts: returns a stage with other hosts, or the same ones otherwise.
        spared: claims of the section that are not tried in it, for they take long or need what is broken,
            each with the reason.
    """

    name: str
    turns_red: frozenset[str]
    programs: Mapping[str, str] = field(default_factory=dict)
    network: Callable[[Stage], AbstractContextManager[None]] = lambda _stage: nullcontext()
    hosts: Callable[[Stage], Stage] = lambda stage: stage
    spared: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def applied(self, stage: Stage) -> Iterator[Stage]:
        """Yield the stage as it is in this world."""
        programs = {
            name: ("python3", "-c", (PROGRAMS / file).read_text(encoding="utf-8"))
            for name, file in self.programs.items()
        }
        with self.network(stage):
            netem = programs.pop("netem", stage.netem)
            yield self.hosts(replace(stage, programs=programs, netem=netem))


@contextmanager
def rules(stage: Stage, *commands: str) -> Iterator[None]:
    """Have firewall rules in the server's network ("iptables -t nat -A ..."); removed at the end."""
    done: list[str] = []
    try:
        for command in commands:
            stage.in_network(*command.split())
            done.append(command)
        yield
    finally:
        for command in reversed(done):
            stage.in_network(*command.replace(" -A ", " -D ").replace(" -I ", " -D ").split())


def called_by_address(stage: Stage) -> Stage:
    """Return a stage whose server is called by its address, for it has no name."""
    nameless = copy(stage.server)
    nameless.name = nameless.address
    return replace(stage, server=nameless)
