"""The sidecar: impairs the packets of the host whose network it shares, until it is stopped.

Everything happens in the engine's loop: packets, requests by the control socket (control.py), and the notice
that the interface is gone. Then there is no engine, and the network is another sidecar's to take, until the
host has an interface here again (host.py): a new engine goes on with what was asked last.
"""

import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import engines
import host
import host_interfaces
from control import FOLDER, Server
from engine import Engine
from host import Ended
from lab.failures import Exit, Failure, explain
from lab.journal import Journal
from netem_impairment import Impairment
from sidecar_state import Sidecar

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Options:
    """What the sidecar is started with."""

    impairment: Impairment
    engine: str
    interface: str
    log_format: str


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait for the end of the body."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run(options: Options, folder: Path = FOLDER) -> int:
    """Impair until SIGINT or SIGTERM, or until the host is gone; return the exit code.

    A host that is disconnected from its network and connected again is impaired again.

    Raises:
        Failure: it cannot be done here; nothing is left of it.
    """
    journal = Journal(as_json=options.log_format == "json", quiet=False)
    interface: Ended | str = host_interfaces.choose(options.interface)
    named, started = host.names_host(), time.monotonic()
    sidecar = Sidecar(options.impairment, journal)
    try:
        with Server(folder) as control:
            while not isinstance(interface, Ended):
                impair(sidecar, options.engine, interface, control, journal)
                waiting = partial(answer_for, control, sidecar)
                interface = host.wait_for_return(named, started, options.interface, sleep=waiting)
    except SystemExit:  # SIGINT or SIGTERM
        journal.event("stop")
        return Exit.OK
    journal.event("gone", note=interface)
    return Exit.FAILED


def impair(sidecar: Sidecar, wanted: str, interface: str, control: Server, journal: Journal) -> None:
    """Impair until the interface is gone, a signal or a failure; then the network is as it was.

    Raises:
        SystemExit: a signal.
        Failure: it cannot be done here, or not any more.
    """
    index = host_interfaces.index(interface)
    # Before any engine: a second sidecar in this network must not touch what the first has made.
    with engines.alone() as guard:
        try:
            engine, reason = engines.choose(wanted, interface, sidecar.directions)
            try:
                guard.describe(f"{engine.name} on {interface}")
                sidecar.begin(engine, reason, interface)
                engine.serve({control.fileno(): partial(control.answer, sidecar.handle)})
            finally:
                with uninterrupted():
                    restore(engine, interface, index, journal)
        except (Failure, OSError):
            if host_interfaces.index(interface) == index:
                raise
            sidecar.pause(interface)


def answer_for(control: Server, sidecar: Sidecar, seconds: float) -> None:
    """Answer requests for so many seconds; that none comes ends it, too."""
    if select.select([control], (), (), seconds)[0]:
        control.answer(sidecar.handle)


def restore(engine: Engine, interface: str, index: int, journal: Journal) -> None:
    """Leave the network as it was."""
    try:
        engine.clear()
    except (Failure, OSError) as error:
        if host_interfaces.index(interface) == index:  # else nobody's packets are left to be harmed
            note = explain(error, "restore the network") if isinstance(error, OSError) else str(error)
            journal.event("error", note=note)
    engine.close()
