"""Each claim of the lecture holds on the real hosts."""

import pytest

from socketlab.claims import registry
from socketlab.claims.notebook import Outcome
from socketlab.describe.claims import BY_ID
from socketlab.hosts.stage import Stage
from tests.claims.told import told


@pytest.mark.parametrize("claim", registry.showings())
def test_claim(stage: Stage, claim: str) -> None:
    (finding,) = registry.show(stage, [BY_ID[claim]])
    assert finding.outcome is Outcome.SHOWN, told(finding)
    assert bool(finding.answer) == bool(finding.claim.question), told(finding)
