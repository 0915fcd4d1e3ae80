"""Runs the load generator, and turns what it reports into values or errors."""

import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench.errors import ServerFaultError, UnmeasurableError
from bench.machine import pin

# The exit statuses of load.c that speak of the server.
WRONG_ANSWER, NO_ANSWER = 1, 4


@dataclass(frozen=True)
class Phase:
    """One part of a load: its name, where there are several, and what was measured."""

    name: str
    values: dict[str, float]


@dataclass(frozen=True)
class Load:
    """A load that runs; while one of its phases is being looked at, it keeps its connections and waits."""

    pid: int
    phases: Iterator[Phase]


@contextmanager
def loading(command: Sequence[str], core: int | None = None) -> Iterator[Load]:
    """Run a load.

    Raises:
        ServerFaultError: (while iterating) an answer was wrong, or did not come.
        UnmeasurableError: (while iterating) the load itself failed.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for us, who then end it
    ) as process:
        try:
            pin(process.pid, core)
            yield Load(process.pid, _phases(process))
        finally:
            process.kill()


def _phases(process: "subprocess.Popen[str]") -> Iterator[Phase]:
    """Yield the phases of a load as they end, and raise what it failed with."""
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise UnmeasurableError("the load has no pipes")
    for line in process.stdout:
        values = json.loads(line)
        yield Phase(values.pop("phase", ""), values)
        process.stdin.write("\n")
        process.stdin.flush()
    status = process.wait()
    complaint = process.stderr.read().strip()
    if status in {WRONG_ANSWER, NO_ANSWER}:
        raise ServerFaultError(complaint)
    if status == -signal.SIGALRM:
        raise ServerFaultError("the load did not come to its end in time")
    if status != 0:
        raise UnmeasurableError(f"the load generator ended with status {status}: {complaint}")
