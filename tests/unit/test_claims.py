"""The claims of the lecture: their list, what their notebooks amount to, and how they are told."""

import json
import time
from types import SimpleNamespace
from typing import cast

import pytest

from socketlab.analyse.result import Network
from socketlab.claims import registry
from socketlab.claims.notebook import Finding, Notebook, Outcome, finding
from socketlab.describe.claims import BY_ID, CLAIMS, UDP, Claim
from socketlab.errors import EngineError, ScenarioError
from socketlab.hosts.lab import Lab
from socketlab.show import findings as shown
from socketlab.show.terminal import Terminal

TERMINAL = Terminal(width=60)


def found(note: Notebook, reason: str = "", claim: str = "U3") -> Finding:
    return finding(BY_ID[claim], note, time.monotonic(), reason)


def noted(*holds: bool) -> Notebook:
    note = Notebook()
    note.do("a datagram is sent")
    for number, one in enumerate(holds, start=1):
        note.check(f"statement {number}", one, {"port": 12_000, "bytes": 5})
    return note


def test_ids_are_those_of_the_lecture() -> None:
    counts = {"S": 7, "A": 3, "U": 9, "T": 15, "N": 2, "Q": 4}
    assert [claim.id for claim in CLAIMS] == [
        f"{letter}{number}" for letter, count in counts.items() for number in range(1, count + 1)
    ]


def test_claims_are_chosen_in_the_order_of_the_lecture() -> None:
    assert [claim.id for claim in registry.chosen(["t4", "U7"])] == ["U7", "T4"]
    assert registry.chosen([]) == list(CLAIMS)


def test_unknown_claim_is_refused() -> None:
    with pytest.raises(ScenarioError, match="expected ids of claims, as U7 or T4, got X9"):
        registry.chosen(["U7", "X9"])


def test_claim_is_added_by_its_description_and_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    # As docs/architecture.md has it: the function is on the list, and its checks decide.
    claim = Claim("U99", UDP, "a datagram has a colour", "the colour of a datagram", "Which colour?")
    monkeypatch.setitem(BY_ID, claim.id, claim)
    every = (*CLAIMS, claim)
    monkeypatch.setattr(registry, "CLAIMS", every)
    registered = registry.showings()
    monkeypatch.setattr(registry, "_showings", registered)

    @registry.shows("U99")
    def colour(lab: Lab, note: Notebook) -> None:
        note.do("look at a datagram")
        note.check("it is green", lab.server.name == "green", {"seen": lab.server.name})
        note.answer("green")

    assert registry.chosen(["u99"]) == [claim]
    assert list(registry.showings()) == [each.id for each in every]
    for seen, outcome, answer in (("green", Outcome.SHOWN, "green"), ("red", Outcome.REFUTED, "")):
        lab = cast("Lab", SimpleNamespace(server=SimpleNamespace(name=seen), reset=lambda: None))
        (finding,) = registry.show(lab, [claim])
        assert (finding.claim, finding.outcome, finding.answer) == (claim, outcome, answer)
    with pytest.raises(ValueError, match="that nothing shows yet, got 'U99'"):
        registry.shows("U99")(colour)


def test_host_that_is_gone_makes_claims_unmeasured_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise EngineError("the host client has ended")

    def holds(_stage: object, note: Notebook) -> None:
        note.check("it is so", True, {})

    monkeypatch.setattr(registry, "showings", lambda: {"U3": holds, "U4": gone})
    lab = cast("Lab", SimpleNamespace(reset=gone))
    findings = registry.show(lab, [BY_ID["U3"], BY_ID["U4"]])
    assert [(one.outcome, one.reason) for one in findings] == [
        (Outcome.SHOWN, ""),
        (Outcome.UNMEASURED, "the host client has ended"),
    ]


@pytest.mark.parametrize(
    ("holds", "reason", "outcome"),
    [
        pytest.param((True, True), "", Outcome.SHOWN, id="all-hold"),
        pytest.param((True, False), "", Outcome.REFUTED, id="one-does-not"),
        pytest.param((True,), "the engine is gone", Outcome.UNMEASURED, id="broken-off"),
        pytest.param((False,), "the engine is gone", Outcome.REFUTED, id="refuted-then-broken-off"),
        pytest.param((), "", Outcome.UNMEASURED, id="nothing-checked"),
    ],
)
def test_outcome_of_a_notebook(holds: tuple[bool, ...], reason: str, outcome: Outcome) -> None:
    assert found(noted(*holds), reason).outcome is outcome


def test_finding_is_told_within_the_width() -> None:
    note = noted(True, False)
    note.check("a long one", holds=True, evidence={"a label": "word " * 40, "two lines": "one\ntwo"})
    text = shown.told(found(note), TERMINAL)
    assert max(map(len, text.splitlines())) <= TERMINAL.width
    assert "do  a datagram is sent" in text
    assert "✓ statement 1" in text
    assert "✗ statement 2" in text
    assert "REFUTED" in text
    assert "12,000" in text


def test_checks_are_told_after_what_was_done_for_them() -> None:
    note = Notebook()
    note.check("before all", holds=True, evidence={})
    for number in (1, 2):
        note.do(f"do {number}")
        note.check(f"seen {number}", holds=True, evidence={})
    text = shown.told(found(note), TERMINAL)
    assert [text.index(words) for words in ("before all", "do 1", "seen 1", "do 2", "seen 2")] == sorted(
        text.index(words) for words in ("before all", "do 1", "seen 1", "do 2", "seen 2")
    )


def test_question_of_the_walk_through_is_answered_where_the_claim_is_shown() -> None:
    note = noted(True)
    note.answer("to 40000")
    note.answer("the system chose it")
    text = " ".join(shown.told(found(note, claim="U4"), TERMINAL).split())
    assert f"Asked {BY_ID['U4'].question} Answer to 40000; the system chose it shown" in text
    assert shown.of_finding(found(note, claim="U4"))["answer"] == "to 40000; the system chose it"
    for broken in (found(noted(False)), found(note, "the engine is gone", claim="U4")):
        assert "Answer" not in shown.told(broken, TERMINAL)


def test_finding_is_told_in_ascii() -> None:
    text = shown.told(found(noted(True, False)), Terminal(unicode=False))
    assert "ok statement 1" in text
    assert "NO statement 2" in text
    text.encode("ascii")


def test_evidence_does_not_move_the_cursor() -> None:
    note = Notebook()
    note.check("escaped", holds=True, evidence={"said": "\033[2J\rgone"})
    assert "\033" not in shown.told(found(note), TERMINAL)
    assert "\r" not in shown.told(found(note), TERMINAL)


def test_summary_names_what_was_not_shown() -> None:
    findings = [
        found(noted(True)),
        found(noted(False), claim="T2"),
        found(noted(True), "no bbr here", claim="T13"),
    ]
    text = shown.summary(findings, 12.3, TERMINAL)
    assert text.splitlines()[0] == "1 shown, 1 REFUTED, 1 could not be measured, in 12 s"
    assert "T2  does not hold: statement 1" in text
    assert "T13  no bbr here" in text


def test_document_has_all_that_was_found() -> None:
    note = noted(True)
    note.figure("window", [{"t_s": 0.5, "bytes": 65_535}])
    network = Network("userspace", "no netem", {})
    told = shown.document([found(note), found(noted(False), claim="T2")], {"seed": 1}, {"cpus": 2}, network)
    read = json.loads(shown.as_json(told))
    assert (read["version"], read["kind"], read["made"], read["machine"]) == (
        1,
        "lecture",
        {"seed": 1},
        {"cpus": 2},
    )
    assert read["network"]["engine"] == "userspace"
    assert [one["id"] for one in read["claims"]] == ["U3", "T2"]
    assert read["claims"][0]["figures"] == {"window": [{"t_s": 0.5, "bytes": 65_535}]}
    assert read["claims"][0]["checks"] == [
        {"statement": "statement 1", "holds": True, "evidence": {"port": 12_000, "bytes": 5}, "step": 1}
    ]
    assert read["problems"] == ["T2 is refuted"]


def test_catalogue_has_each_claim_and_its_evidence() -> None:
    text = " ".join(shown.catalogue(CLAIMS, Terminal(width=100)).split())
    for claim in CLAIMS:
        assert f"{claim.id} {claim.says}" in text
        assert claim.shown_by in text
