"""JSON that programs of others read: what is no number is never written as one."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import pytest

from socketlab.analyse import result
from socketlab.analyse.asked import Share
from socketlab.analyse.figures import _figure
from socketlab.show import experiment_report
from tests.unit.runs import FIVE

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("socketlab", "services", "bench", "setup")
TESTS = ROOT / "services/netem/tests"


def writers() -> Iterator[tuple[str, ast.Call]]:
    """Yield each call of json.dump and json.dumps in what we ship, with its place."""
    for folder in PRODUCT:
        for file in sorted((ROOT / folder).rglob("*.py")):
            if TESTS in file.parents:
                continue
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in {"json.dump", "json.dumps"}:
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", node


def test_every_writer_of_json_refuses_what_is_no_number() -> None:
    found = list(writers())
    assert len(found) > 10  # else the search is wrong
    lenient = [
        place
        for place, call in found
        if not any(word.arg == "allow_nan" and ast.unparse(word.value) == "False" for word in call.keywords)
    ]
    assert not lenient, "expected allow_nan=False: NaN and Infinity are not JSON"


@pytest.mark.parametrize("value", [nan, inf])
def test_a_result_with_what_is_no_number_is_not_written(value: float) -> None:
    found = result.result(FIVE.experiment, FIVE.seen())
    assert isinstance(found, result.UdpResult)
    broken = replace(found, shares=(_figure("lost", "going", Share(0.1, value), 1, 2),))
    with pytest.raises(ValueError, match="not JSON compliant"):
        experiment_report.as_json([broken])
