"""Observe, continued: what both hosts and the network say of one run of an experiment."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from netem_impairment import Counters, Direction

from socketlab import hints
from socketlab.describe.scenario import Program, Protocol, Stream
from socketlab.errors import TraceError
from socketlab.observe.trace import LARGEST_NUMBER, Event

Host = Mapping[str, Mapping[str, int]]  # a host's kernel counters: group, name, value
MAY_BE_UNKNOWN = {"over_limit", "overload", "duplicated", "corrupted", "reordered"}


@dataclass(frozen=True)
class Sidecar:
    """What `netem stats --json` said at one time.

    Attributes:
        epoch: goes up by one with each change of the impairment.
        started_ns: when the sidecar's process began: another one has another.
        specs: by direction, as really applied, in tc's language; a direction that is not impaired is missing.
        host: counters of the kernel of the host whose network it shares.
    """

    engine: str
    reason: str
    epoch: int
    started_ns: int
    specs: Mapping[Direction, str]
    counters: Mapping[Direction, Counters]
    host: Host


@dataclass(frozen=True)
class Evidence:
    """Of one run.

    Attributes:
        client: the client's journal; None: there is none that could be used.
        server: the server's journal of this run; None: it keeps none that we can read.
        before, after: the sidecar, before the first message and after the last.
        broken: what went wrong with the measurement; a message without an answer is then unmeasured.
    """

    client: Sequence[Event] | None
    server: Sequence[Event] | None
    before: Sidecar | None = None
    after: Sidecar | None = None
    broken: tuple[str, ...] = ()


def sidecar(text: str) -> Sidecar:
    """Return what the sidecar said.

    Raises:
        TraceError: it is not what `netem stats --json` says.
    """
    try:
        said: Any = json.loads(text)
        directions = {Direction(name): values for name, values in said["directions"].items()}
        return Sidecar(
            engine=_word(said["engine"]),
            reason=_word(said["reason"]),
            epoch=_number(said["epoch"]),
            started_ns=_number(said["started_ns"]),
            specs={
                direction: _word(values["spec"]) for direction, values in directions.items() if values["spec"]
            },
            counters={direction: _counters(values) for direction, values in directions.items()},
            host=counters_of_host(said["namespace"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TraceError(
            f"expected the sidecar's counters as JSON, got {text[:80]!r}: see {hints.command('logs')}"
        ) from error


def counters_of_host(told: Any) -> Host:
    """Return the counters of a host's kernel.

    Raises:
        TypeError, AttributeError: it is something else.
    """
    return {
        _word(group): {_word(name): _number(value) for name, value in values.items()}
        for group, values in told.items()
    }


def _counters(told: Mapping[str, Any]) -> Counters:
    values = {field.name: told[field.name] for field in fields(Counters)}
    # What an engine cannot say is None.
    kept = {name for name, value in values.items() if value is not None or name not in MAY_BE_UNKNOWN}
    if any(_number(values[name]) < 0 for name in kept):
        raise ValueError("expected counts, at least 0")
    return Counters(**values)


def _number(told: Any) -> int:
    # Larger ones no kernel counts, and they would break the arithmetic: 10**400 is no float.
    if type(told) is not int or abs(told) > LARGEST_NUMBER:
        raise TypeError(f"expected a number, got {told!r}")
    return told


def _word(told: Any) -> str:
    if not (type(told) is str and told.isprintable()):
        raise TypeError(f"expected a text, got {told!r}")
    return told


def faults(stream: Stream, evidence: Evidence) -> list[str]:
    """Return why the evidence cannot show a loss: all that went wrong with the measurement."""
    found = list(evidence.broken)
    if evidence.client is None:
        found += [] if found else ["the client has left no journal"]
    elif not whole(stream, evidence.client):
        found.append("the client's journal was cut off")
    before, after = evidence.before, evidence.after
    if before is None or after is None:
        if before is not after:
            found.append("the sidecar could not be asked for its counters")
        return found
    if (before.started_ns, before.epoch) != (after.started_ns, after.epoch):
        restarted = before.started_ns != after.started_ns
        what = "restarted" if restarted else "reconnected, or given another impairment,"
        found.append(f"the sidecar was {what} while messages were on their way")
        return found
    found += overload(after)
    for direction, counters in after.counters.items():
        earlier = before.counters.get(direction, Counters())
        if counters.packets < earlier.packets or counters.dropped < earlier.dropped:
            found.append(f"the sidecar's counters of {direction} went backwards")
        # What TCP still has on its way is its own, a farewell (FIN) or a copy: of the program's lines the
        # journals tell.
        if counters.queued and stream.protocol is Protocol.UDP:
            found.append(
                f"{counters.queued} packets were still on their way ({direction}) when the measurement ended"
            )
    return found


def overload(sidecar: Sidecar) -> list[str]:
    """Return a line for each direction that has lost packets to overload since the impairment was set.

    Nobody can say which packets these were: so no loss is known to be the impairment's doing.
    """
    return [
        f"{counters.overload:,} packets were lost to overload ({direction}): this machine was too slow to "
        "impair them; send fewer, or leave it less other work"
        for direction, counters in sidecar.counters.items()
        if counters.overload
    ]


def whole(stream: Stream, client: Sequence[Event]) -> bool:
    """Tell whether a client's journal is complete: the stream says so, the lecture's clients by each line."""
    if stream.program is Program.STREAM:
        return any(event.event == "end" for event in client)
    told = {event.line for event in client if event.event in {"answer", "unanswered"}}
    return len(told) == stream.count


def passed(evidence: Evidence, direction: Direction) -> Counters | None:
    """Return what the sidecar counted between its first and its last look; None: nothing can be said."""
    if evidence.before is None or evidence.after is None:
        return None
    before, after = evidence.before.counters.get(direction), evidence.after.counters.get(direction)
    if after is None:
        return None
    before = before or Counters()
    counted = {}
    for field in fields(Counters):
        new, old = getattr(after, field.name), getattr(before, field.name)
        counted[field.name] = new if field.name == "queued" or new is None or old is None else new - old
    return Counters(**counted)


def host_difference(before: Host, after: Host, group: str, name: str) -> int:
    """Return by how much a counter of a host's kernel has grown; 0 where the kernel has no such counter."""
    return after.get(group, {}).get(name, 0) - before.get(group, {}).get(name, 0)


def client_host(events: Sequence[Event]) -> tuple[Host, Host]:
    """Return the counters of the client's host at the start and at the end of its journal."""
    found: dict[str, Host] = {"start": {}, "end": {}}
    for event in events:
        if event.event in found:
            found[event.event] = event.facts.get("counters", {})
    return found["start"], found["end"]
