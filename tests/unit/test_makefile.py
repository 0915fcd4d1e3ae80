"""The Makefile's variables: what a target does not take is refused before anything is done."""

import os
import subprocess

import pytest

from setup import variables
from socketlab.checkout import ROOT

MAKEFILE = """
RUN := program
EXPERIMENT = $(call option,COUNT,count) \\
	$(call option,LOSS,loss)

lossy: ready ## What it does: LOSS=10 NOT=this
	@$(RUN) $(EXPERIMENT) $(call each,ONLY)

up:
	@$(RUN) up

report: $(if $(value FROM),up,ready)
	@$(RUN) report

again: lossy
"""


def make(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Have make say what it would do."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", "--dry-run", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=inherited | environment
    )


def test_target_takes_what_its_recipe_its_macros_and_its_prerequisites_read() -> None:
    assert variables.taken(MAKEFILE) == {
        "lossy": {"COUNT", "LOSS", "ONLY"},
        "up": set(),
        "report": {"FROM"},
        "again": {"COUNT", "LOSS", "ONLY"},
    }


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        pytest.param(
            ["lossy-udp", "LOS=30"], "make lossy-udp takes no LOS: did you mean LOSS?", id="misspelt"
        ),
        pytest.param(
            ["lossy-udp", "loss=30"], "make lossy-udp takes no loss: did you mean LOSS?", id="small"
        ),
        pytest.param(
            ["up", "LOSS=30"],
            "make up takes no LOSS: LOSS belongs to make capture, compare, lossy-tcp, lossy-udp",
            id="of-another-target",
        ),
        pytest.param(
            ["bench", "XYZ=1"], "make bench takes no XYZ: it takes JSON, ONLY, ROUNDS", id="unknown"
        ),
        pytest.param(["LOS=30"], "make takes no LOS: LOSS belongs to make", id="no-target"),
        pytest.param(["up", "a'b;c=1"], "make up takes no a'b;c: it takes SERVER", id="quoted"),
    ],
)
def test_variable_that_no_target_takes_is_refused_in_one_line(command: list[str], refusal: str) -> None:
    done = make(*command)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert refusal in line


@pytest.mark.parametrize(
    ("command", "done_by"),
    [
        pytest.param(["lossy-udp", "LOSS=30", "SEED=1"], "lossy-udp --loss '30' --seed '1'", id="its-own"),
        pytest.param(["lossy-udp", "NETEM=delay 1ms LOS=3"], "--netem 'delay 1ms LOS=3'", id="in-a-value"),
        pytest.param(["up", "lossy-udp", "LOSS=30"], "--loss '30'", id="of-one-of-two"),
        pytest.param(["claims", "PYTHON=python3"], "socketlab claims", id="python"),
        pytest.param(["lock", "UPGRADE=1"], "lock --upgrade", id="flag"),
    ],
)
def test_variable_that_a_target_takes_reaches_its_program(command: list[str], done_by: str) -> None:
    done = make(*command)
    assert (done.returncode, done.stderr) == (0, "")
    assert done_by in " ".join(done.stdout.split())


def test_environment_is_not_judged() -> None:
    assert make("up", LOS="30", LOSS="30").returncode == 0


def test_unknown_target_is_left_to_make() -> None:
    assert "No rule to make target 'lossy-ud'" in make("lossy-ud", "LOSS=30").stderr
