"""Run, continued: one experiment, from set-up to evidence. What goes wrong on the way is part of it.

The impairment is set for the run, and the clean network restored after it, whatever happens in between.
"""

import signal
import time
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace

from netem_impairment import Direction

from socketlab import hints
from socketlab.describe.scenario import Conversation, Experiment, Program, Protocol
from socketlab.errors import EngineError, TraceError
from socketlab.observe import evidence, trace
from socketlab.observe.evidence import Evidence, Sidecar

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SLACK_S = 0.3  # beyond the longest round trip of the impairment: what the hosts take themselves
LONGEST_S = 120.0  # a client: longer than any that an experiment can ask for

# Told how far a run is: seconds, messages sent, answered, of how many.
Told = Callable[[float, int, int, int], None]


class Hosts(typing.Protocol):
    """What an experiment asks of its hosts. See `Lab`, which is one, and `Stage`, which is another."""

    def impair(self, spec: str, directions: str, traffic: str) -> str: ...
    def sidecar_now(self) -> str: ...
    def restore_network(self) -> None: ...
    def client_journal(
        self, arguments: Sequence[str], typed: str, told: Callable[[int, int, int], None]
    ) -> list[str]: ...
    def mark_log(self, service: str) -> float: ...
    def log_since(self, service: str, mark: float) -> list[str]: ...


def run(
    lab: Hosts,
    experiment: Experiment,
    told: Told,
    watching: AbstractContextManager[None] | None = None,
) -> Evidence:
    """Run an experiment on hosts that have been started for it, and return what was seen.

    Args:
        lab: the hosts.
        experiment: what is to happen.
        told: how far it is.
        watching: is entered when the network is impaired, and left when all is measured.

    Raises:
        EngineError: the impairment could not be set, or the client could not be started: nothing was
            measured.
    """
    try:
        before = impair(lab, experiment)
        with watching or nullcontext():
            seen = measure(lab, experiment, before, told)
    except BaseException:
        with undisturbed(), suppress(EngineError):  # what went wrong first is what is to be told
            lab.restore_network()
        raise
    try:
        with undisturbed():
            lab.restore_network()
    except EngineError as error:
        seen = replace(seen, broken=(*seen.broken, f"the network was not restored: {error}"))
    return seen


def impair(lab: Hosts, experiment: Experiment) -> Sidecar:
    """Set the impairment, and return what the sidecar says then.

    Raises:
        EngineError: the sidecar cannot do it, or does something else.
    """
    asked = experiment.impairment
    before = evidence.sidecar(lab.impair(str(asked.spec), asked.directions, str(asked.traffic)))
    applied = {direction: str(spec) for direction in Direction if (spec := asked.of(direction)) is not None}
    if before.specs != applied:
        logs = hints.command("logs")
        raise EngineError(f"asked the sidecar for {applied}, it does {dict(before.specs)}: see {logs}")
    return before


def measure(lab: Hosts, experiment: Experiment, before: Sidecar, told: Told) -> Evidence:
    """Let the client send, and gather what everybody says of it."""
    mark = lab.mark_log("server")
    broken = []
    begun = time.monotonic()
    client = server = after = None
    try:
        lines = lab.client_journal(
            client_arguments(experiment),
            typed(experiment),
            lambda sent, answered, of: told(time.monotonic() - begun, sent, answered, of),
        )
        client = trace.parse(lines)
    except TraceError as error:
        broken.append(f"the client: {error}")
    try:
        after = settled(lab, experiment)
    except (EngineError, TraceError) as error:
        broken.append(f"the sidecar: {error}")
    try:
        server = trace.parse(lab.log_since("server", mark))
    except (EngineError, TraceError) as error:
        broken.append(f"the server: {error}")
    return Evidence(client, server, before, after, tuple(broken))


def settled(lab: Hosts, experiment: Experiment) -> Sidecar:
    """Return what the sidecar says when nothing is on its way any more, or after as long as that can take."""
    give_up = time.monotonic() + experiment.longest_round_trip_s + SLACK_S
    while True:
        seen = evidence.sidecar(lab.sidecar_now())
        if not any(counters.queued for counters in seen.counters.values()) or time.monotonic() > give_up:
            return seen


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the body: an impatient second one must not leave the network broken."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def client_arguments(experiment: Experiment) -> list[str]:
    """Return the command of the client container."""
    stream = experiment.stream
    wait_s = experiment.longest_round_trip_s + SLACK_S
    if stream.program is Program.LECTURE:
        # Longer than any answer can take, or one that is only late would be called lost.
        timeout_s = max(stream.timeout_s, wait_s) if stream.protocol is Protocol.UDP else 60
        return [stream.protocol, f"--timeout={timeout_s:g}"]
    return [
        "stream",
        stream.protocol,
        f"--count={stream.count}",
        f"--size={stream.size}",
        f"--rate={stream.rate}",
        f"--wait={wait_s:.3f}",
        *([f"--tries={stream.tries}"] if stream.tries > 1 else []),
    ]


def typed(experiment: Experiment) -> str:
    """Return what is typed to the lecture's client: the numbered messages. To the stream: nothing."""
    stream = experiment.stream
    if stream.program is not Program.LECTURE:
        return ""
    newline = 1 if stream.protocol is Protocol.TCP else 0
    lines = []
    for number in range(1, stream.count + 1):
        head = f"#{number} "
        room = stream.size - len(head) - newline
        lines.append(head + (LETTERS * (room // len(LETTERS) + 1))[:room])
    return "".join(f"{line}\n" for line in Conversation(stream.protocol, tuple(lines)).lines)
