"""A short part of `make load`: some attacks, briefly, and what must hold on any machine."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from netem_impairment import leases

from campaigns.load import attacks
from campaigns.load.attacks import ATTACKS, Arena, Attack
from socketlab.hosts.operated import Program

SECONDS = 0.7
LONGER = {"slow-readers": 1.5}  # a byte a second
FEWER = {"connections": 1_000, "slow_readers": 20}
# How long an honest client waits says much of a machine on which other tests run; `make load` judges it.
OF_THE_MACHINE = "an honest client"


@pytest.fixture(scope="module")
def here() -> Iterator[Arena]:
    """The hosts."""
    with attacks.arena(leases.take()) as made:
        yield made


@pytest.fixture(scope="module")
def server(here: Arena) -> Iterator[Program]:
    """The concurrent server."""
    with attacks.serving(here) as running:
        yield running


def shorter(attack: Attack) -> Attack:
    fewer = [(kind, FEWER.get(kind, number)) for kind, number in attack.attackers]
    return replace(attack, attackers=fewer)


@pytest.mark.parametrize("key", ["flood", "connections", "slow-readers", "storm", "half-open"])
def test_server_holds(here: Arena, server: Program, key: str) -> None:
    seen, checks = attacks.carried_out(here, server, shorter(ATTACKS[key]), LONGER.get(key, SECONDS))
    broken = [check for check in checks if not check.holds and not check.statement.startswith(OF_THE_MACHINE)]
    assert broken == []
    for kind in set(attacks.KINDS) - {"udp"}:
        assert (seen.beside[kind]["answered"], seen.beside[kind]["wrong"]) == (seen.beside[kind]["asked"], 0)
