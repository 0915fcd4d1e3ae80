"""One table of exit codes for all commands: docs/commands.md has it, and the code says the same."""

import re

import pytest
from lab import failures

from campaigns.outcome import Outcome, Unmeasurable, exit_code
from setup import audit
from socketlab import errors
from socketlab.checkout import ROOT
from socketlab.errors import Exit, LabError

HELD, BROKEN, UNMEASURED = Outcome.HELD, Outcome.BROKEN, Outcome.UNMEASURED


def test_exit_codes_of_every_command_are_the_documented_ones() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (\d+) \| `([A-Z]+)` \|", text, re.MULTILINE)
    assert [(name, int(code)) for code, name in table] == [(code.name, code.value) for code in Exit]


def test_programs_on_hosts_have_the_same_ones() -> None:
    assert {code.name: code.value for code in failures.Exit} == {
        code.name: code.value for code in Exit if code is not Exit.UNMEASURED
    }


def test_each_error_of_the_host_side_ends_in_one_of_them() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, LabError)]
    assert len(kinds) > 4
    assert {type(kind.exit_code) for kind in kinds} == {Exit}
    assert audit.NOT_AUDITED == Unmeasurable.exit_code == errors.TraceError.exit_code == Exit.UNMEASURED


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        pytest.param([HELD, HELD], Exit.OK, id="held"),
        pytest.param([HELD, UNMEASURED], Exit.UNMEASURED, id="one-unmeasured"),
        pytest.param([UNMEASURED, BROKEN, HELD], Exit.FAILED, id="broken-outweighs"),
    ],
)
def test_campaign_ends_by_its_worst_outcome(outcomes: list[Outcome], code: Exit) -> None:
    assert exit_code(outcomes) is code
