"""Observe: the journal of a program (LOG_FORMAT=json), read back as events."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from socketlab.errors import TraceError
from socketlab.observe.words import on_one_line


@dataclass(frozen=True)
class Event:
    """One line of a journal. Fields that the line does not have are None.

    `time_ns` is the monotonic clock, which the containers of one kernel share; `unix_ns` the same instant by
    the time of day, in a line now and then. `facts` are what the line has beside the fields named here.
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
    unix_ns: int | None = None
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
    "unix_ns": int,
}
LARGEST_NUMBER = 2**63 - 1  # of a clock or a counter; larger ones would break the arithmetic
# What some lines have beside, and what analysis makes use of: each with the kind that it has to be of.
KINDS_OF_FACTS: dict[str, type] = {
    "message": int,
    "begun_ns": int,
    "expected": int,
    "came": int,
    "sha256_expected": str,
    "sha256_came": str,
    "cwnd": int,
    "rtt_us": int,
    "rto_us": int,
    "unacked": int,
    "total_retrans": int,
    "ssthresh": int,
    "bytes_acked": int,
    "connection": int,
    "connections": int,
    "segment_bytes": int,
    "congestion": str,
}
SHOWN = {"program", "event", "protocol", "local", "peer", "reason"}
FOR_PEOPLE = {"note"}  # fields of no use to an analysis


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
        except (ValueError, RecursionError) as error:
            raise TraceError(
                f"line {number} of the journal: expected a JSON object, got {text[:80]!r}"
            ) from error
        if not isinstance(record, dict) or not {"time_ns", "program", "event"} <= record.keys():
            raise TraceError(
                f"line {number} of the journal: expected time_ns, program and event, got {text[:80]!r}"
            )
        fields = {key: record[key] for key in KINDS if key in record}
        facts = {key: record[key] for key in record.keys() - KINDS.keys() - FOR_PEOPLE}
        for key, kind in (KINDS | KINDS_OF_FACTS).items():
            if key in record and not _is(kind, record[key]):
                got = repr(record[key])[:80]
                raise TraceError(
                    f"line {number} of the journal: expected {kind.__name__} as {key}, got {got}"
                )
        if "counters" in facts and not _are_counters(facts["counters"]):
            raise TraceError(f"line {number} of the journal: expected a host's counters, got {text[:80]!r}")
        # These are shown: what could move the cursor there is escaped. (The text is a message: shown quoted.)
        fields |= {key: on_one_line(fields[key]) for key in SHOWN & fields.keys()}
        event = Event(**fields, facts=facts)
        if event.event == "left_out":
            raise TraceError(
                f"line {number} of the journal: lines were left out before it, for nobody read them in time"
            )
        events.append(event)
    return events


def _is(kind: type, value: object) -> bool:
    """Tell whether a value is of a kind, exactly: true is no number here, nor is one beyond a kernel's."""
    return type(value) is kind and (type(value) is not int or abs(value) <= LARGEST_NUMBER)


def _are_counters(told: object) -> bool:
    """Tell whether it is counters by group and name."""
    return isinstance(told, dict) and all(
        isinstance(group, dict) and all(_is(int, value) for value in group.values())
        for group in told.values()
    )
