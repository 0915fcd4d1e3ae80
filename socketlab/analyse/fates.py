"""Analyse: from a trace to what happened to each message. No clock, no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from socketlab.describe.scenario import Conversation, Protocol
from socketlab.errors import Exit, TraceError
from socketlab.observe.trace import Event

SENT = {Protocol.UDP: "sendto", Protocol.TCP: "send"}


class Fate(StrEnum):
    """What became of a message.

    Going is towards the server. Lost alone: it is not known where, for the server keeps no journal.
    """

    ANSWERED = "answered"
    LOST_GOING = "lost going"
    LOST_COMING_BACK = "lost coming back"
    LOST = "lost"
    UNANSWERED = "unanswered"
    UNMEASURED = "unmeasured"


@dataclass(frozen=True)
class Exchange:
    """One line of a conversation.

    Attributes:
        line: what was sent.
        fate: what became of it.
        answer: the server's answer, where there is one.
        reason: why there is none, as the client says it.
        round_trip_s: from the beginning of the call that sent it until the answer is shown, in seconds.
        client: the address and port that the client sent it from.
        server: the address and port that it went to.
    """

    line: str
    fate: Fate
    answer: str | None = None
    reason: str | None = None
    round_trip_s: float | None = None
    client: str | None = None
    server: str | None = None


def exchanges(conversation: Conversation, events: Sequence[Event]) -> list[Exchange]:
    """Return what became of each line of a conversation.

    A line that the journal says nothing of is unmeasured: perhaps the client never came to it.

    Args:
        conversation: what was to be sent.
        events: the client's journal.

    Raises:
        TraceError: the journal speaks of a line that was not to be sent, or twice of the same.
    """
    sent: Event | None = None
    outcomes: dict[int, Exchange] = {}
    for event in events:
        if event.event == SENT[conversation.protocol]:
            sent = event
        if event.event not in {"answer", "unanswered"}:
            continue
        number = event.line or 0
        if not 1 <= number <= len(conversation.lines) or number in outcomes:
            raise TraceError(f"the client's journal has an unexpected outcome for line {number}")
        answered = event.event == "answer"
        outcomes[number] = Exchange(
            line=conversation.lines[number - 1],
            fate=Fate.ANSWERED if answered else Fate.UNANSWERED,
            answer=event.text,
            reason=event.reason,
            round_trip_s=(event.time_ns - sent.time_ns) / 1e9 if sent and answered else None,
            client=sent.local if sent else None,
            server=sent.peer if sent else None,
        )
        sent = None
    return [
        outcomes.get(number) or Exchange(line=line, fate=Fate.UNMEASURED)
        for number, line in enumerate(conversation.lines, start=1)
    ]


def exit_code(exchanges: Sequence[Exchange]) -> Exit:
    """Return what a command that shows these exchanges ends with."""
    fates = {exchange.fate for exchange in exchanges}
    if Fate.UNMEASURED in fates:
        return Exit.UNMEASURED
    return Exit.UNANSWERED if Fate.UNANSWERED in fates else Exit.OK
