"""Each command of the documents is run by a test or accepted by make; and what compares outputs can tell."""

import re
import shlex
from pathlib import Path

import pytest

from setup import variables
from socketlab.checkout import ROOT
from socketlab.claims import registry
from socketlab.describe.claims import CLAIMS
from socketlab.show import answers
from tests import transcripts
from tests.transcripts import DOCUMENTS, Run, Transcript

TAKEN = variables.taken((ROOT / "Makefile").read_text(encoding="utf-8"))
EXACT, MEASURED = Run("unit"), Run("unit", measured=True)
SHOWN = [each for document in DOCUMENTS for each in transcripts.transcripts(document)]
MADE = [(document, *each) for document in DOCUMENTS for each in transcripts.make_commands(document)]


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: f"{shown.document}:{shown.line}")
def test_each_transcript_is_run_by_a_test_or_named_with_a_reason(shown: Transcript) -> None:
    transcripts.run_of(shown)


def test_each_run_is_of_a_transcript() -> None:
    known = {(document, command) for document, runs in transcripts.RUNS.items() for command in runs}
    assert known - {(shown.document, shown.command) for shown in SHOWN} == set()
    assert {run.layer for runs in transcripts.RUNS.values() for run in runs.values()} == {
        "socket",
        "integration",
    }
    for command in transcripts.NOT_RUN:
        assert any(shown.command.startswith(command) for shown in SHOWN)


@pytest.mark.parametrize(
    ("document", "line", "command"), MADE, ids=[f"{path.name}:{line}" for path, line, _command in MADE]
)
def test_make_accepts_a_command_of_a_document(document: Path, line: int, command: str) -> None:
    words = [word for word in shlex.split(command)[1:] if word != "…"]
    targets = [word for word in words if "=" not in word]
    given = dict(word.split("=", 1) for word in words if "=" in word)
    assert targets, f"{document}:{line}"
    assert set(targets) <= TAKEN.keys()
    assert variables.refusal(TAKEN, targets, list(given)) == ""
    if targets == ["lecture"]:
        registry.chosen(given.get("ONLY", "").replace("…", "").split())


# --- the walk-through


def lecture() -> str:
    text = (ROOT / "docs" / "lecture.md").read_text(encoding="utf-8")
    return " ".join(re.sub(r"^> ?|[`*]", "", text, flags=re.MULTILINE).casefold().split())


QUESTIONS = [claim.question for claim in CLAIMS if claim.question] + [
    answers.HOW_MANY, answers.WHAT_IT_LEARNS, answers.PRICE
]  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
def test_question_that_a_command_answers_is_one_of_the_walk_through(question: str) -> None:
    assert question.casefold() in lecture()


def test_command_below_each_question_of_the_walk_through_answers_it() -> None:
    asks = {claim.id: claim.question for claim in CLAIMS}
    experiments = {"lossy-udp": (answers.HOW_MANY, answers.WHAT_IT_LEARNS), "lossy-tcp": (answers.PRICE,)}
    text = (ROOT / "docs" / "lecture.md").read_text(encoding="utf-8")
    steps = re.split(r"^> \*\*Before", text, flags=re.MULTILINE)[1:]
    assert len(steps) > 12
    for step in steps:
        # Of each step all commands, up to the next question.
        commands = re.findall(r"^ {4,}(make .*)$", step, re.MULTILINE)
        found = {asks[name] for command in commands for name in re.findall(r"\b[SAUTNQ]\d+\b", command)}
        found |= {each for command in commands for each in experiments.get(command.split()[1], ())}
        words = " ".join(re.sub(r"^> ?|[`*]", "", step, flags=re.MULTILINE).casefold().split())
        assert any(question and question.casefold() in words for question in found), step[:200]


# --- reading and comparing


def test_transcripts_are_found_with_their_outputs(tmp_path: Path) -> None:
    document = tmp_path / "x.md"
    document.write_text(
        "Text\n\n    $ one \\\n        --more\n    its output\n\n    and more\n    $ two\n\n"
        "- item\n\n      $ three\n      3\nText, `make up`\n\n    make lossy-udp LOSS=3    what it does\n"
    )
    assert transcripts.transcripts(document) == [
        Transcript("x.md", 3, "one --more", ("its output", "", "and more")),
        Transcript("x.md", 8, "two", ()),
        Transcript("x.md", 12, "three", ("3",)),
    ]
    assert transcripts.make_commands(document) == [(16, "make lossy-udp LOSS=3"), (14, "make up")]


@pytest.mark.parametrize(
    ("printed", "came", "run"),
    [
        pytest.param("lost going  3  #1 #2 #6", "lost going 3 #1 #2 #6", EXACT, id="blanks"),
        pytest.param("median 50.4 ms", "median 1,051 ms", EXACT, id="durations"),
        pytest.param("04:13:53.442410 172.18.0.2:44612", "05:00:00.000001 10.0.0.9:1234", EXACT, id="ends"),
        pytest.param("a\n…\nc", "a\nb\nb\nc", EXACT, id="left-out"),
        pytest.param("0 ×1 │⠉⠑│\n…\nend", "0 ×1 │⠉⠑│ 1\n10 ×2 │⠉│\nmore\nend", EXACT, id="picture"),
        pytest.param("1 │⠉│\n…\n9 │⠉│\nend", "1 │⠉│\n2 │⠉│\n9 │⠉│\nend", EXACT, id="rows-left-out"),
        pytest.param("24 by the client", "7 by the client", MEASURED, id="measured"),
        pytest.param("lost coming back  2  #7 #9", "lost coming back 2 #7 #8", EXACT, id="order-of-replies"),
        pytest.param("a\nb", "a\nrate  90 a second were reached, not 100\nb", EXACT, id="busy-machine"),
        pytest.param(
            "a-1 | one\nb-1 | two\na-1 | three\nend", "b-1 | two\na-1 | one\na-1 | three\nend",
            Run("unit", hosts=True), id="hosts",
        ),
    ],
)  # fmt: skip
def test_what_differs_from_run_to_run_is_no_difference(printed: str, came: str, run: Run) -> None:
    assert transcripts.differences(printed.splitlines(), came.splitlines(), run) == ""


@pytest.mark.parametrize(
    ("printed", "came", "run"),
    [
        pytest.param("lost going  3  #1 #2 #6", "lost going 3 #1 #2 #7", EXACT, id="seeded-number"),
        pytest.param("answered 75", "answered 76", EXACT, id="count"),
        pytest.param("lost coming back 2 #7 #9", "lost coming back 1 #7", EXACT, id="number-of-replies"),
        pytest.param("a\n…\nc", "a\nb", EXACT, id="end-is-missing"),
        pytest.param("a\nb", "a\nb\nc", EXACT, id="one-more-line"),
        pytest.param("a\n…\nb\nc", "a\nc\nb", EXACT, id="order"),
        pytest.param("0.0.0.0:12000 ready", "0.0.0.0:12001 ready", EXACT, id="the-lectures-port"),
        pytest.param("127.0.0.1:12000", "10.0.0.2:12000", EXACT, id="loopback"),
        pytest.param("24 by the client", "24 by the server", MEASURED, id="words-of-measured"),
        pytest.param(
            "a-1 | 1st\na-1 | 2nd\nend", "a-1 | 2nd\na-1 | 1st\nend",
            Run("unit", hosts=True), id="order-of-a-host",
        ),
        pytest.param("a-1 | one\nend", "a-1 | one\nthe end", Run("unit", hosts=True), id="of-no-host"),
    ],
)  # fmt: skip
def test_other_words_numbers_and_orders_are_a_difference(printed: str, came: str, run: Run) -> None:
    assert transcripts.differences(printed.splitlines(), came.splitlines(), run) != ""
