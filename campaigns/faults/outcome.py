"""What comes of a cell of the matrix: one fault, over one protocol."""

from dataclasses import dataclass, field

from campaigns.outcome import Outcome

VERSION = 1  # of the document; changes when the meaning of a field does
STARTS = 2  # that a recovery may cost: hosts are removed, and made anew; neither takes longer than a start


@dataclass
class Seen:
    """What was seen of a fault. What a fault has nothing to do with stays None or empty.

    Attributes:
        exit_code: of the command that was disturbed; negative: the signal that ended it.
        said: its last line.
        reported: what the result says is wrong with the measurement, or why TCP gave up.
        fates: how many messages had which fate.
        expected_bytes, came_bytes: of TCP's byte stream.
        took_s: the command, from its start to its end.
        recovery_s: from the end of the fault and of the command until another experiment on this lab was
            answered in full.
        usual_s: how long such an experiment took on this lab before any fault.
        start_s: how long it took before that to make the lab's hosts from nothing, until they were ready.
        attempts: how many experiments that took.
        meanwhile: what an attempt before the last one said.
        left: what was there that should not be, after the command.
        figures: whatever else was measured, by its name.
    """

    exit_code: int | None = None
    said: str = ""
    reported: str = ""
    fates: dict[str, int] = field(default_factory=dict)
    expected_bytes: int | None = None
    came_bytes: int | None = None
    took_s: float | None = None
    recovery_s: float | None = None
    usual_s: float | None = None
    start_s: float | None = None
    attempts: int | None = None
    meanwhile: str = ""
    left: list[str] = field(default_factory=list)
    figures: dict[str, float | int | str] = field(default_factory=dict)


def allowed_s(usual_s: float, start_s: float) -> float:
    """Return how long a recovery may take: as if somebody had removed the lab, and begun anew.

    Recovery has the steps of an experiment, and in the worst case those of a start beside them: network,
    server, sidecar, their readiness; what is broken is removed before. All of them get slower with the
    machine, so they are bounded by what they took undisturbed in the same run.
    """
    return usual_s + STARTS * start_s


class Broken(Exception):
    """Something did not hold; the message says what was expected and what came.

    Args:
        said: that.
        seen: what was seen up to then.
    """

    def __init__(self, said: str, seen: Seen | None = None) -> None:
        super().__init__(said)
        self.seen = seen or Seen()


@dataclass
class Cell:
    """A fault over a protocol, and what came of it. `why`: of one that has not held. `took_s`: all of it."""

    fault: str
    does: str
    protocol: str
    outcome: Outcome
    seen: Seen
    why: str = ""
    took_s: float = 0.0
