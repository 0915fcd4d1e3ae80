"""Each claim of the lecture holds on the real hosts."""

import pytest

from socketlab.claims import registry
from socketlab.claims.notebook import Outcome
from socketlab.describe.claims import BY_ID
from socketlab.hosts.lab import Lab
from tests.claims.told import told


@pytest.mark.parametrize("claim", registry.showings())
def test_claim(lab: Lab, claim: str) -> None:
    (finding,) = registry.show(lab, [BY_ID[claim]])
    assert finding.outcome is Outcome.SHOWN, told(finding)
    assert bool(finding.answer) == bool(finding.claim.question), told(finding)
