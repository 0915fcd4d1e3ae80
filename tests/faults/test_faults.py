"""A part of the matrix on real containers; and the instrument itself: what must not hold, is broken."""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from numbered import message

from campaigns.faults import matrix, page
from campaigns.faults.fault import Fault
from campaigns.faults.outcome import Broken, Cell, Seen
from campaigns.faults.scene import AGAIN, Running, Scene, add_result
from campaigns.outcome import Outcome, Unmeasurable
from campaigns.reliability import PAGE

SOME = [replace(fault, protocols=fault.representative) for fault in matrix.FAULTS if fault.representative]


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    """What came of some faults."""
    return matrix.run(SOME, lambda cell: print(matrix.result(cell).text), labs_each=1)


@pytest.mark.parametrize("fault", SOME, ids=lambda fault: fault.name)
def test_fault_in_traffic_holds(cells: list[Cell], fault: Fault) -> None:
    ours = [cell for cell in cells if cell.fault == fault.name]
    assert {cell.protocol for cell in ours} == set(fault.protocols)
    assert [(cell.protocol, cell.why) for cell in ours if cell.outcome is not Outcome.HELD] == []


def test_labs_of_the_matrix_are_gone(cells: list[Cell]) -> None:
    assert [cell.why for cell in cells if cell.fault not in {fault.name for fault in SOME}] == []


def test_faults_have_names_of_their_own() -> None:
    names = [fault.name for fault in matrix.FAULTS]
    assert len(set(names)) == len(names)


# --- the instrument


def udp(fates: list[str], faults: list[str], exit_code: int) -> dict[str, Any]:
    return {
        "exit_code": exit_code,
        "story": {"messages": [{"fate": fate, "sent": 1} for fate in fates], "faults": faults},
    }


def tcp(came: bytes, *, gave_up: str | None = None) -> dict[str, Any]:
    whole = b"".join(message(number, 20, line=True).upper() for number in (1, 2))
    told = {
        "expected": len(whole),
        "came": len(came),
        "sha256_expected": hashlib.sha256(whole).hexdigest(),
        "sha256_came": hashlib.sha256(came).hexdigest(),
    }
    return {
        "exit_code": 0,
        "experiment": {"stream": {"count": 2, "size": 20}},
        "connection": {"lines": [{"fate": "answered"}], "faults": [], "gave_up": gave_up, "bytes": told},
    }


WHOLE = b"".join(message(number, 20, line=True).upper() for number in (1, 2))


def test_loss_in_a_measurement_that_broke_is_broken() -> None:
    with pytest.raises(Broken, match="1 are called lost: the sidecar"):
        add_result(Seen(), udp(["answered", "lost going"], ["the sidecar"], 4))


def test_loss_in_a_measurement_that_holds_is_none_of_ours() -> None:
    seen = Seen()
    add_result(seen, udp(["answered", "lost going"], [], 0))
    assert seen.fates == {"answered": 1, "lost going": 1}


def test_unmeasured_without_a_reason_is_broken() -> None:
    with pytest.raises(Broken, match="does not say what"):
        add_result(Seen(), udp(["unmeasured"], [], 4))


def test_message_that_was_never_sent_is_reason_enough() -> None:
    told, seen = udp(["answered", "unmeasured"], [], 4), Seen()
    told["story"]["messages"][1]["sent"] = None
    add_result(seen, told)
    assert seen.reported == "1 messages could not be sent"


@pytest.mark.parametrize(
    "came",
    [
        pytest.param(WHOLE[:5] + WHOLE[6:], id="lost"),
        pytest.param(WHOLE[:6] + WHOLE[5:], id="repeated"),
        pytest.param(WHOLE[20:] + WHOLE[:20], id="out-of-order"),
        pytest.param(WHOLE.replace(b"A", b"a"), id="damaged"),
    ],
)
def test_byte_that_is_not_as_it_was_sent_is_broken(came: bytes) -> None:
    with pytest.raises(Broken, match="are not the first ones of those that were sent"):
        add_result(Seen(), tcp(came, gave_up="the server closed the connection"))


def test_bytes_that_are_missing_at_the_end_need_a_reason() -> None:
    with pytest.raises(Broken, match="25 of 40 bytes came, and nobody says why"):
        add_result(Seen(), tcp(WHOLE[:25]))
    add_result(Seen(), tcp(WHOLE[:25], gave_up="the server closed the connection"))
    add_result(Seen(), tcp(WHOLE))


@pytest.mark.parametrize(
    ("program", "said"),
    [
        pytest.param("raise KeyError(1)", "shows a traceback", id="traceback"),
        pytest.param("import sys; sys.exit('socketlab: one\\ntwo')", "expected one line", id="two-lines"),
        pytest.param("import sys; sys.exit('one')", "expected one line", id="not-ours"),
        pytest.param("import signal; signal.pause()", "still runs", id="no-end"),
    ],
)
def test_command_that_ends_badly_is_broken(program: str, said: str) -> None:
    with pytest.raises(Broken, match=said):
        Running([sys.executable, "-c", program]).end(within_s=2)


def test_step_that_took_long_is_no_complaint() -> None:
    said = "import sys; sys.exit('making the hosts ...\\nsocketlab: no')"
    assert Running([sys.executable, "-c", said]).end(within_s=20).said == "socketlab: no"


class NoLab:
    """Is stopped when a fault breaks it."""

    def __init__(self) -> None:
        self.protocol, self.stopped = "udp", 0

    def stop(self) -> None:
        """Count it."""
        self.stopped += 1


@pytest.mark.parametrize(
    ("error", "outcome", "stopped"),
    [
        pytest.param(Broken("why"), Outcome.BROKEN, 1, id="broken"),
        pytest.param(Unmeasurable("why"), Outcome.UNMEASURED, 0, id="cannot"),
        pytest.param(KeyError("why"), Outcome.UNMEASURED, 1, id="instrument"),
    ],
)
def test_what_a_fault_raises_is_an_outcome(error: Exception, outcome: Outcome, stopped: int) -> None:
    def run(_scene: Scene) -> Seen:
        raise error

    scene: Any = NoLab()
    cell = matrix.tried(Fault("name", "group", "does", run), scene)
    assert (cell.outcome, scene.stopped) == (outcome, stopped)
    assert "why" in cell.why


# --- late


class Clock:
    """A clock that goes as it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


class LabOnPaper(Scene):
    """A lab on which an experiment takes so long as it is told.

    Args:
        clock: goes on by so much.
        usual_s, start_s: undisturbed, when it was made.
        back_s: of the experiment after a fault.
        later: the same two of another lab, which is made afterwards.
    """

    def __init__(
        self, clock: Clock, usual_s: float, start_s: float, back_s: float, later: tuple[float, float]
    ) -> None:
        self.clock, self.usual_s, self.start_s, self.back_s, self.later = (
            clock, usual_s, start_s, back_s, later,
        )  # fmt: skip

    def left_over(self) -> list[str]:
        """Nothing."""
        return []

    def start(self, *_arguments: object, **_options: object) -> Any:
        """Return what ends at once, by this clock so much later."""
        return self

    def end(self) -> Seen:
        """Say that all is answered."""
        self.clock.now += self.back_s
        return Seen(exit_code=0, fates={"answered": AGAIN})

    def _compare_with_another(self, seen: Seen) -> None:
        seen.usual_s, seen.start_s = self.later


@pytest.mark.parametrize(
    ("back_s", "later", "held"),
    [
        pytest.param(12.9, (5, 4), True, id="in-time"),
        pytest.param(13.1, (5, 4), False, id="late"),
        pytest.param(25.9, (10, 8), True, id="slow-machine-by-now"),
        pytest.param(26.1, (10, 8), False, id="late-for-a-slow-machine-too"),
    ],
)
def test_recovery_is_late_against_undisturbed_steps(
    monkeypatch: pytest.MonkeyPatch, back_s: float, later: tuple[float, float], held: bool
) -> None:
    clock = Clock()
    monkeypatch.setattr("campaigns.faults.scene.time", clock)
    lab = LabOnPaper(clock, 5, 4, back_s, later)
    if held:
        assert lab.recover(Seen()).recovery_s == pytest.approx(back_s)
        return
    with pytest.raises(Broken, match="expected the lab back within") as broken:
        lab.recover(Seen())
    assert broken.value.seen.recovery_s == pytest.approx(back_s)


def test_recovery_without_a_reference_cannot_be_judged() -> None:
    lab = LabOnPaper(Clock(), 5, 4, 1, (5, 4))
    lab.usual_s = None
    with pytest.raises(Unmeasurable, match="without a fault"):
        lab.recover(Seen())


# --- the page


def test_page_says_what_the_cells_say() -> None:
    now = PAGE.read_text(encoding="utf-8")
    assert page.PART.page(now) == now, "campaigns/faults has changed since: make faults RECORD=1"


def test_page_has_each_fault_over_each_of_its_protocols() -> None:
    told = json.loads(page.PART.figures.read_text(encoding="utf-8"))
    cells = {(cell["fault"], cell["protocol"]) for cell in told["cells"]}
    assert cells >= {(fault.name, protocol) for fault in matrix.FAULTS for protocol in fault.protocols}


def test_page_names_what_broke_and_what_was_answered_of_the_rest() -> None:
    recorded = json.loads(page.PART.figures.read_text(encoding="utf-8"))
    recorded["cells"] = recorded["cells"][2:4]  # the server is killed, over UDP and over TCP
    assert (
        "- **Exit code 4: some of it unmeasured** (2 cells): server killed (UDP 20, TCP 27)."
        in page.section(recorded)
    )
    recorded["cells"][0] |= {"outcome": "broken", "why": "a client was left"}
    text = page.section(recorded)
    assert "- **broken**: server killed (UDP): a client was left" in text.splitlines()
    assert "(1 cell): server killed (TCP 27)." in text
    recorded["cells"][1]["seen"]["fates"] = {"answered": 27, "lost": 1, "unmeasured": 172}
    assert "server killed (TCP 27, 1 lost)." in page.section(recorded)


def test_page_without_its_lines_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "page.md"
    other.write_text("# Another page\n")
    with pytest.raises(ValueError, match="expected the lines"):
        page.PART.write(other)
