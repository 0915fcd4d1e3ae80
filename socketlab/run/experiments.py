"""One experiment, from set-up to evidence. What goes wrong on the way is part of it.

A server of the experiment's own answers, beside whatever runs on the server host. The impairment is set for
the run, and the clean network restored after it, whatever happens in between.
"""

import json
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace

from netem_impairment import Direction

from socketlab import hints
from socketlab.analyse.result import Result, result
from socketlab.describe.scenario import (
    EXPERIMENT_PORT,
    Conversation,
    Experiment,
    Program,
    Protocol,
    ServerProgram,
)
from socketlab.errors import EngineError, TraceError
from socketlab.hosts.interrupts import undisturbed
from socketlab.hosts.lab import JSON, Lab, run_client
from socketlab.hosts.operated import SERVER_NAME
from socketlab.hosts.operated import Program as RunningProgram
from socketlab.observe import evidence, trace
from socketlab.observe.evidence import Evidence, Sidecar

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SLACK_S = 0.3  # beyond the longest round trip of the impairment: what the hosts take themselves
ENDS_WITHIN_S = 10.0  # a server that was asked to end

# Is called with how far a run is: seconds, messages sent, answered, of how many.
OnProgress = Callable[[float, int, int, int], object]


def unheeded(_elapsed_s: float, _sent: int, _answered: int, _of: int) -> None:
    """Show nothing of a run's progress."""


def measured(lab: Lab, experiment: Experiment, on_progress: OnProgress = unheeded) -> Result:
    """Run an experiment, and return what became of each message."""
    return result(experiment, run(lab, experiment, on_progress))


def run(
    lab: Lab,
    experiment: Experiment,
    on_progress: OnProgress = unheeded,
    watching: AbstractContextManager[None] | None = None,
) -> Evidence:
    """Run an experiment, and return what was observed.

    Args:
        lab: its hosts, with a sidecar.
        experiment: what is to happen.
        on_progress: is called with how far it is.
        watching: is entered when the network is impaired, and left when all is measured.

    Raises:
        EngineError: the impairment could not be set, or a program could not be started: nothing was measured.
    """
    with lab.serve(ServerProgram.CONCURRENT, f"--port={EXPERIMENT_PORT}", environment=JSON) as server:
        try:
            before = impair(lab, experiment)
            with watching or nullcontext():
                observed = measure(lab, experiment, server, before, on_progress)
        except BaseException:
            with undisturbed(), suppress(EngineError):  # the first error is the one to report
                lab.restore_network()
            raise
        try:
            with undisturbed():
                lab.restore_network()
        except EngineError as error:
            broken = (*observed.broken, f"the network was not restored: {error}")
            observed = replace(observed, broken=broken)
    return observed


def impair(lab: Lab, experiment: Experiment) -> Sidecar:
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


def measure(
    lab: Lab, experiment: Experiment, server: RunningProgram, before: Sidecar, on_progress: OnProgress
) -> Evidence:
    """Let the client send, and gather what the hosts recorded."""
    begun = time.monotonic()
    broken = []
    client = answered = after = None

    def progress(line: bytes) -> None:
        if (counts := progress_in(line)) is not None:
            on_progress(time.monotonic() - begun, *counts)

    try:
        _code, lines = run_client(lab.client, client_arguments(experiment), typed(experiment), JSON, progress)
        client = trace.parse(lines)
    except TraceError as error:
        broken.append(f"the client: {error}")
    try:
        after = settled(lab, experiment)
    except (EngineError, TraceError) as error:
        broken.append(f"the sidecar: {error}")
    try:
        answered = trace.parse(journal_of(server))
    except (EngineError, TraceError) as error:
        broken.append(f"the server: {error}")
    return Evidence(client, answered, before, after, tuple(broken))


def progress_in(line: bytes) -> tuple[int, int, int] | None:
    """Return how many messages a client has sent, got answers to, and of how many; None: it says no such."""
    try:
        counts = json.loads(line)
        sent, answered, of = (counts[name] for name in ("sent", "answered", "of"))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (sent, answered, of) if {type(sent), type(answered), type(of)} == {int} else None


def journal_of(server: RunningProgram) -> list[str]:
    """End a server, and return its journal, which is complete then.

    Raises:
        EngineError: it does not end, or its host is gone.
        TraceError: it has ended before.
    """
    server.signal(signal.SIGTERM)
    code, journal = server.finish(within_s=ENDS_WITHIN_S)
    if code != 0:
        raise TraceError(f"it was ended from outside (exit code {code})")
    return journal.splitlines()


def settled(lab: Lab, experiment: Experiment) -> Sidecar:
    """Return what the sidecar says when nothing is on its way any more, or after as long as that can take."""
    give_up = time.monotonic() + experiment.longest_round_trip_s + SLACK_S
    while True:
        seen = evidence.sidecar(lab.sidecar_now())
        if not any(counters.queued for counters in seen.counters.values()) or time.monotonic() > give_up:
            return seen


def client_arguments(experiment: Experiment) -> list[str]:
    """Return the command of the client container."""
    stream = experiment.stream
    wait_s = experiment.longest_round_trip_s + SLACK_S
    server = [SERVER_NAME, str(EXPERIMENT_PORT)]
    if stream.program is Program.LECTURE:
        # Longer than any answer can take, or one that is only late would be called lost.
        timeout_s = max(stream.timeout_s, wait_s) if stream.protocol is Protocol.UDP else 60
        return [stream.protocol, *server, f"--timeout={timeout_s:g}"]
    return [
        "stream",
        stream.protocol,
        *server,
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
