"""Each option by its description, and the recipe for the next one (docs/architecture.md), walked."""

import ast
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from kernel.netem_message import STRUCTURE, as_dumped, check_taken, netem, read_netem
from lab.failures import Failure
from netem_impairment import Slot, Spec, parse
from netem_impairment.option import Option
from netem_impairment.spec import OPTIONS

from tests.unit.modelled import counted

NETEM = Path(__file__).resolve().parents[2]
SERVICES = NETEM.parent
NAMES = {field.name for option in OPTIONS for field in fields(option.fields)}

each_option = pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.word)


def dumped(spec: Spec) -> Spec:
    """Return what a kernel shows that has taken a spec: of slots that are none, nothing."""
    there = read_netem(netem(spec))
    return replace(there, slot=None) if there.slot == Slot() else there


@each_option
def test_option_is_read_and_printed_by_its_own_words(option: Option) -> None:
    spec = parse(option.example)
    own = {field.name for field in fields(option.fields)}
    assert any(getattr(spec, name) != getattr(Spec(), name) for name in own), "its example does not have it"
    assert str(spec).find(option.word) >= 0 or not option.render(spec)
    assert parse(str(spec)) == spec
    for word in option.older_words:
        assert parse(option.example.replace(option.word, word, 1)) == spec


def test_fields_of_a_spec_are_those_of_its_options_each_once() -> None:
    named = [field.name for option in OPTIONS for field in fields(option.fields)]
    assert sorted(named) == sorted(field.name for field in fields(Spec))


@each_option
def test_option_is_in_the_kernels_message_and_missed_where_the_kernel_has_left_it_out(option: Option) -> None:
    spec = parse(option.example)
    assert dumped(spec) == as_dumped(spec)
    if option.to_kernel(spec):
        check_taken(spec, dumped(spec))
        with pytest.raises(Failure, match=rf"^{option.word}: |^netem: expected "):
            check_taken(spec, read_netem(STRUCTURE.pack(0, 1000, 0, 0, 0, 0)))


@each_option
def test_option_acts_in_the_model_or_is_refused_by_name(option: Option) -> None:
    if option.kernel_alone:
        with pytest.raises(Failure, match=f"^{option.word}: not in the user-space engine"):
            counted(option)
    elif option.counted:
        assert getattr(counted(option), option.counted) > 0


def test_documents_have_a_row_of_each_form() -> None:
    rows = [f"| `{form}` | {does} |" for option in OPTIONS for form, does in option.forms]
    text = (NETEM / "docs" / "netem.md").read_text(encoding="utf-8")
    table = text.partition("| option | what it does |\n|---|---|\n")[2].partition("\n\n")[0]
    assert sorted(table.splitlines()) == sorted(rows)  # there for a reader, in another order


# Beside its own file an option is known where it is put together (spec.py) and acts (model.py and its draws),
# and, if it is older than attributes are, in the structure that all share (netem_message.py). And so much of
# options is known elsewhere: to give each direction a seed, to load tables, to know how much may wait.
KNOWN = {
    "spec.py": NAMES,
    "model.py": NAMES,
    "loss_draws.py": {"loss"},
    "delay_draws.py": {"delay_ns", "jitter_ns", "distribution"},
    "netem_message.py": NAMES,
    "lane.py": {"jitter_ns", "distribution", "slot"},
    "userspace_engine.py": {"distribution"},
    "packet_flow.py": {"limit", "seed"},
    "request.py": {"seed"},
}


def fields_known(path: Path) -> set[str]:
    """Return the fields of a spec that a module reads, of something that is called a spec."""
    known = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in NAMES:
            of = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
            known |= {node.attr} if of in {"spec", "expected", "requested"} else set()
    return known


def test_options_are_known_nowhere_but_where_the_recipe_says() -> None:
    others = {
        path.name: known
        for path in NETEM.rglob("*.py")
        if not {"lab", "tests", "bench", "build"} & set(path.relative_to(NETEM).parts)
        and path.parent.name != "options"
        if (known := fields_known(path) - KNOWN.get(path.name, set()))
    }
    assert others == {}


# --- the recipe: an option that loses each so many-th packet, and that only a kernel to come knows

TOY = '''
import struct
from dataclasses import dataclass
from .. import units
from ..attributes import numbers_of
from ..option import Option

EVERY = 99
U32 = struct.Struct("=I")

@dataclass(frozen=True)
class EveryFields:
    """Each so many-th packet is lost; 0: none is."""
    every: int = 0

OPTION = Option(
    "every",
    forms=(("every N", "each Nth packet is lost"),),
    example="every 3",
    fields=EveryFields,
    parse=lambda words: {
        "every": units.whole_number(words.needed("every", "a number", "every 3"), 1, 9, "a number", "every 3")
    },
    render=lambda spec: f"every {spec.every}" if spec.every else "",
    to_kernel=lambda spec: {EVERY: U32.pack(spec.every)},
    from_kernel=lambda values: {"every": numbers_of(values, EVERY, U32)[0]},
    counted="dropped",
    since="9.9",
)
'''
CHANGES = {
    "netem_impairment/spec.py": (
        (
            "import corrupt, delay, duplicate, ecn, limit,",
            "import corrupt, delay, duplicate, ecn, every, limit,",
        ),
        ("    loss.OPTION,\n", "    loss.OPTION,\n    every.OPTION,\n"),
        ("    loss.LossFields,\n", "    loss.LossFields,\n    every.EveryFields,\n"),
    ),
    "model.py": (
        (
            "        if self._lost is not None and self._lost():\n",
            (
                "        if spec.every and self._packets % spec.every == 0:\n"
                "            self._dropped += 1\n"
                "            return 0\n"
                "        if self._lost is not None and self._lost():\n"
            ),
        ),
    ),
}
WALK = """
from dataclasses import replace
from kernel.netem_message import as_dumped, check_taken, netem, read_netem
from lab.failures import Failure
from model import Model
from netem_impairment import Slot, SpecError, parse

spec = parse("delay 1ms every 3 loss 0%")
assert str(spec) == "delay 1ms every 3" and parse(str(spec)) == spec
there = read_netem(netem(spec))
assert replace(there, slot=None if there.slot == Slot() else there.slot) == as_dumped(spec)
for words, refusal in (
    ("evry 3", "'evry': expected one of limit, delay, distribution, loss, every, ecn, duplicate, corrupt,"
               " reorder, gap, rate, slot, seed, as in 'delay 50ms loss 10%'"),
    ("every 0", "'0': expected a number, a whole number from 1 to 9, as in 'every 3'"),
    ("every 3 every 3", "'every': expected each option once, got it twice: leave one out"),
):
    try:
        parse(words)
    except SpecError as error:
        assert str(error) == refusal, error
    else:
        raise AssertionError(words)
try:
    check_taken(spec, replace(spec, every=0))
except Failure as failure:
    lacks = "this kernel's netem has none, Linux 9.9 and newer do"
    assert str(failure) == f"every: {lacks}: leave it out", failure
else:
    raise AssertionError("an older kernel's silence was not noticed")
model = Model(spec)
assert [model.enqueue(0, 100, number) for number in range(1, 8)] == [1, 1, 0, 1, 1, 0, 1]
assert model.counters().dropped == 2
"""


def test_recipe_adds_an_option_by_one_new_file_and_two_that_change(tmp_path: Path) -> None:
    services = tmp_path / "services"
    shutil.copytree(SERVICES, services, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    (services / "netem/netem_impairment/options/every.py").write_text(TOY, encoding="utf-8")
    for name, changes in CHANGES.items():
        path = services / "netem" / name
        text = path.read_text(encoding="utf-8")
        for before, after in changes:
            assert text.count(before) == 1, f"the recipe's place in {name} is another: {before!r}"
            text = text.replace(before, after)
        path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", WALK],
        cwd=services / "netem",
        env={"PYTHONPATH": f"{services / 'netem'}:{services}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
