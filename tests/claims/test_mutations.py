"""Each claim can fail: in a world that is broken for it, it is refuted, and no other of its section."""

from importlib import import_module

import pytest

from socketlab.claims import registry
from socketlab.claims.notebook import Outcome
from socketlab.describe.claims import BY_ID
from socketlab.hosts.lab import Lab
from tests.claims.mutation import Mutation
from tests.claims.told import told

MUTATIONS: list[tuple[str, Mutation]] = [
    (section, mutation)
    for section in registry.SECTIONS
    for mutation in import_module(f"tests.claims.mutations.{section}").MUTATIONS
]


@pytest.mark.parametrize(
    ("section", "mutation"),
    [pytest.param(section, mutation, id=mutation.name) for section, mutation in MUTATIONS],
)
def test_mutation_turns_exactly_its_claims_red(lab: Lab, section: str, mutation: Mutation) -> None:
    tried = [
        BY_ID[claim]
        for claim in registry.showings()
        if claim in mutation.turns_red
        or (registry.module_of(claim) == section and claim not in mutation.spared)
    ]
    with mutation.applied(lab) as broken:
        findings = list(registry.show(broken, tried))
    for finding in findings:
        expected = Outcome.REFUTED if finding.claim.id in mutation.turns_red else Outcome.SHOWN
        assert finding.outcome is expected, told(finding)


def test_each_claim_has_a_mutation() -> None:
    tried = {claim for _section, mutation in MUTATIONS for claim in mutation.turns_red}
    assert set(registry.showings()) - tried == set()
