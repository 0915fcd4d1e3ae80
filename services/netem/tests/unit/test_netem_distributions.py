"""The tables of delay distributions."""

from pathlib import Path

import distributions
import pytest
from lab.failures import Failure


def test_table_is_read_as_tc_reads_it(tmp_path: Path) -> None:
    (tmp_path / "normal.dist").write_text("# a comment\n-32768 -1 0\n\n 1\t32767\n")
    assert distributions.load("normal", [tmp_path / "nowhere", tmp_path]) == [-32768, -1, 0, 1, 32767]


def test_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        Failure, match=r"no table for distribution pareto: expected pareto\.dist in .*iproute2"
    ):
        distributions.load("pareto", [tmp_path])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("# nothing", id="empty"),
        pytest.param("1 2 three", id="word"),
        pytest.param("1 40000", id="more-than-16-bits"),
        pytest.param("0 " * 16_385, id="longer-than-the-kernel-takes"),
    ],
)
def test_what_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(Failure, match=r"x\.dist: expected"):
        distributions.parse(text, "x.dist")
