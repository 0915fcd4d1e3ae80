"""Observe: the journal of a program (LOG_FORMAT=json), read back as events."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from socketlab.errors import TraceError


@dataclass(frozen=True)
class Event:
    """One line of a journal. Fields that the line does not have are None.

    `time_ns` is the monotonic clock that all containers of a machine share; `facts` are what the line has
    beside the fields named here.
    """

    time_ns: int
    program: str
    event: str
    protocol: str | None = None
    local: str | None = None
    peer: str | None = None
    bytes: int | None = None
    seq: int | None = None
    line: int | None = None
    text: str | None = None
    reason: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


KINDS: dict[str, type] = {
    "time_ns": int,
    "program": str,
    "event": str,
    "protocol": str,
    "local": str,
    "peer": str,
    "bytes": int,
    "seq": int,
    "line": int,
    "text": str,
    "reason": str,
}
FOR_PEOPLE = {"unix_ns", "note"}  # fields of no use to an analysis


def parse(journal: Iterable[str]) -> list[Event]:
    """Return the events of a journal, in its order.

    Raises:
        TraceError: a line is not a JSON object with the fields of an event, or the journal says that lines
            were left out: what is missing could be anything.
    """
    events = []
    for number, text in enumerate(journal, start=1):
        try:
            record: Any = json.loads(text)
        except ValueError as error:
            raise TraceError(
                f"line {number} of the journal: expected a JSON object, got {text[:80]!r}"
            ) from error
        if not isinstance(record, dict) or not {"time_ns", "program", "event"} <= record.keys():
            raise TraceError(
                f"line {number} of the journal: expected time_ns, program and event, got {text[:80]!r}"
            )
        fields = {key: record[key] for key in KINDS if key in record}
        for key, value in fields.items():
            if type(value) is not KINDS[key]:
                raise TraceError(
                    f"line {number} of the journal: expected {KINDS[key].__name__} as {key}, got {value!r}"
                )
        facts = {key: record[key] for key in record.keys() - KINDS.keys() - FOR_PEOPLE}
        event = Event(**fields, facts=facts)
        if event.event == "left_out":
            raise TraceError(
                f"line {number} of the journal: lines were left out before it, for nobody read them in time"
            )
        events.append(event)
    return events
