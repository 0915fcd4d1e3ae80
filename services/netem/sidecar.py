"""The sidecar: impairs the packets of the host whose network it shares, until it is stopped.

Everything happens in the engine's loop: packets, requests by the control socket (control.py), and the notice
that the interface is gone. What then becomes of the host, host.py knows.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import engines
import host
from control import FOLDER, Answer, Refused, Request, Server
from engine import Engine
from impairment import Direction, Impairment, parse, parse_directions, parse_traffic
from lab.failures import Exit, Failure, explain
from lab.guard import Guard
from lab.journal import Journal

SIGNALS = (signal.SIGINT, signal.SIGTERM)
UNHEALTHY_S = 10.0  # after packets were lost to overload; a healthcheck asks twice meanwhile


@dataclass(frozen=True)
class Options:
    """What the sidecar is started with."""

    impairment: Impairment
    engine: str
    interface: str
    log_format: str


class Sidecar:
    """What is asked for, and the engine that does it.

    Args:
        engine: the engine.
        reason: why it is this one.
        interface: what it impairs.
        wished: what `set` keeps where it is not told otherwise: directions and traffic.
        journal: where every change is written down.
    """

    def __init__(
        self, engine: Engine, reason: str, interface: str, wished: Impairment, journal: Journal
    ) -> None:
        self.engine = engine
        self.reason = reason
        self.interface = interface
        self.impairment: Impairment | None = None
        self._wished = wished
        self._journal = journal
        self._epoch = 0
        self._started_ns = time.monotonic_ns()
        self._overload, self._overloaded_s = 0, -UNHEALTHY_S  # as last noticed, and when
        self._commands = {
            "show": self._show,
            "stats": self._stats,
            "set": self._set,
            "clear": self._clear,
            "health": self._health,
        }

    def handle(self, request: Request) -> Answer:
        """Return the answer to a request of the command `netem`.

        Raises:
            Refused, SpecError: it is wrong; nothing has changed.
            Failure: it cannot be done; nothing has changed.
        """
        command = self._commands.get(request.get("command", ""))
        if command is None:
            raise Refused(
                f"expected one of the commands {', '.join(self._commands)}, got {request.get('command')!r}"
            )
        return command(request)

    def apply(self, impairment: Impairment) -> None:
        """Impair from now on.

        Raises:
            Failure: the engine cannot; nothing has changed.
        """
        self.engine.apply(impairment)
        self.impairment = self._wished = impairment
        self._begin_epoch()
        self._journal.event("apply", note=describe(impairment))

    def _set(self, request: Request) -> Answer:
        self.apply(
            Impairment(
                parse(request.get("spec", "")),
                parse_directions(request.get("directions", self._wished.directions)),
                parse_traffic(request.get("traffic", str(self._wished.traffic))),
            )
        )
        return self._about()

    def _clear(self, _request: Request) -> Answer:
        self.engine.clear()
        self.impairment = None
        self._begin_epoch()
        self._journal.event("clear", note="nothing is impaired")
        return self._about()

    def _begin_epoch(self) -> None:
        self._epoch += 1
        self._overload, self._overloaded_s = 0, -UNHEALTHY_S

    def _health(self, _request: Request) -> Answer:
        self._verify()
        if self.impairment is not None:
            self._check_overload()
        return self._about()

    def _verify(self) -> None:
        if self.impairment is not None:
            self.engine.verify()

    def _check_overload(self) -> None:
        """Fail for some time after packets were lost to overload, whoever asks, and however often.

        Health is of the present; what was lost in the whole epoch the counters tell.
        """
        lost, now = sum(each.overload or 0 for each in self.engine.counters().values()), time.monotonic()
        if lost > self._overload:
            self._overload, self._overloaded_s = lost, now
        if now - self._overloaded_s < UNHEALTHY_S:
            raise Failure(
                f"{lost} packets were lost to overload since the impairment was set: they come faster than "
                "this machine can impair them; send less, or leave it less other work"
            )

    def _show(self, request: Request) -> Answer:
        problem = None
        try:
            self._health(request)
        except Failure as failure:
            problem = str(failure)
        return self._about() | {"problem": problem}

    def _stats(self, request: Request) -> Answer:
        if "verify" in request:
            self._verify()
        answer = self._about()
        for direction, counters in self.engine.counters().items():
            answer["directions"][direction] |= asdict(counters)
        return answer | {"namespace": host.counters()}

    def _about(self) -> Answer:
        asked, directions = self.impairment, {}
        if asked is not None:
            specs = {direction: asked.of(direction) for direction in Direction}
            directions = {name: {"spec": str(spec)} for name, spec in specs.items() if spec is not None}
        return {
            "engine": self.engine.name,
            "reason": self.reason,
            "interface": self.interface,
            "time_ns": time.monotonic_ns(),
            "epoch": self._epoch,
            "started_ns": self._started_ns,
            "impairment": asked
            and {
                "spec": str(asked.spec),
                "directions": asked.directions,
                "traffic": str(asked.traffic),
            },
            "directions": directions,
        }


def describe(impairment: Impairment) -> str:
    """Return an impairment in words: what, in which direction, to which traffic."""
    spec = str(impairment.spec) or "nothing"
    traffic = "all but DNS" if str(impairment.traffic) == "all" else str(impairment.traffic)
    return f"{spec}  (direction {impairment.directions}, traffic {traffic})"


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

    Raises:
        Failure: it cannot be done here; nothing is left of it.
    """
    journal = Journal(as_json=options.log_format == "json", quiet=False)
    interface = host.interface(options.interface)
    told, started = host.is_told(), time.monotonic()
    try:
        with Server(folder) as control, engines.alone() as guard:
            impair(options, interface, control, guard, journal)
    except SystemExit:  # SIGINT or SIGTERM
        journal.event("stop")
        return Exit.OK
    except Failure as failure:
        if host.exists(interface):
            raise
        journal.event("gone", note=str(failure))
    return wait_for_return(told, started, journal)


def impair(options: Options, interface: str, control: Server, guard: Guard, journal: Journal) -> None:
    """Impair until a signal or a failure; then the network is as it was.

    Raises:
        SystemExit: a signal.
        Failure: it cannot be done here, or not any more.
    """
    engine, reason = engines.choose(options.engine, interface, options.impairment.directions)
    try:
        sidecar = Sidecar(engine, reason, interface, options.impairment, journal)
        guard.describe(f"{engine.name} on {interface}")
        journal.event("engine", note=f"{engine.name} on {interface}: {reason}")
        sidecar.apply(options.impairment)
        engine.serve({control.fileno(): partial(control.answer, sidecar.handle)})
    finally:
        with uninterrupted():
            restore(engine, interface, journal)


def restore(engine: Engine, interface: str, journal: Journal) -> None:
    """Leave the network as it was."""
    try:
        engine.clear()
    except (Failure, OSError) as error:
        if host.exists(interface):  # else nobody's packets are left to be harmed
            said = explain(error, "restore the network") if isinstance(error, OSError) else str(error)
            journal.event("error", note=said)
    engine.close()


def wait_for_return(told: bool, started: float, journal: Journal) -> int:
    """Wait until whoever starts the sidecar again will find the host; return the exit code."""
    try:
        ended = host.wait_for_return(told, started)
    except SystemExit:
        journal.event("stop")
        return Exit.OK
    journal.event("gone", note=ended)
    return Exit.FAILED
