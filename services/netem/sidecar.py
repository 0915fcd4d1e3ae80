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
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import engines
import host
from control import FOLDER, Answer, Refused, Request, Server
from engine import Engine
from host import Ended
from lab.failures import Exit, Failure, explain
from lab.journal import Journal
from link import vanished
from netem_impairment import Direction, Directions, Impairment, parse, parse_directions, parse_traffic

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
    """What is asked for, and the engine that does it, when there is one.

    Args:
        wished: what is to be impaired; `set` keeps its directions and traffic, unless others are given.
        journal: where every change is written down.
    """

    def __init__(self, wished: Impairment, journal: Journal) -> None:
        self._engine: Engine | None = None
        self._reason = "it has not started"  # why this engine was chosen, or why there is none
        self._interface = ""
        self.impairment: Impairment | None = wished  # what is to be done; None: cleared
        self._wished = wished
        self._journal = journal
        self._epoch = 0
        self._started_ns = time.monotonic_ns()
        self._overload, self._overloaded_s = 0, -UNHEALTHY_S  # as last noticed, and when
        self._since_ns, self._carried = self._started_ns, dict[str, int]()  # of this epoch's beginning
        self._commands = {
            "show": self._show,
            "stats": self._stats,
            "set": self._set,
            "clear": self._clear,
            "health": self._health,
        }

    def begin(self, engine: Engine, reason: str, interface: str) -> None:
        """Impair by an engine from now on, as was asked last.

        Args:
            engine: the engine.
            reason: why it is this one.
            interface: what it impairs.

        Raises:
            Failure: the engine cannot.
        """
        self._engine, self._reason, self._interface = engine, reason, interface
        self._journal.event("engine", note=f"{engine.name} on {interface}: {reason}")
        if self.impairment is None:
            self._begin_epoch()
        else:
            self.apply(self.impairment)

    def pause(self, interface: str) -> None:
        """Note that the interface is gone, and with it the engine, until `begin`."""
        self._engine, self._reason, self._interface = None, vanished(interface), interface
        self._journal.event("gone", note=f"{self._reason}; nothing is impaired until it has one again")

    @property
    def directions(self) -> Directions:
        """The directions that are asked for."""
        return self._wished.directions

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
        self._at_work().apply(impairment)
        self.impairment = self._wished = impairment
        self._begin_epoch()
        self._journal.event("apply", note=describe(impairment))

    def _at_work(self) -> Engine:
        """Return the engine.

        Raises:
            Failure: there is none now.
        """
        if self._engine is None:
            others = ", ".join(host.addressed())
            hope = f"there is {others}: NETEM_INTERFACE chooses" if others else "waiting for one to impair"
            raise Failure(f"nothing is impaired: {self._reason}; {hope}")
        return self._engine

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
        self._at_work().clear()
        self.impairment = None
        self._begin_epoch()
        self._journal.event("clear", note="nothing is impaired")
        return self._about()

    def _begin_epoch(self) -> None:
        self._epoch += 1
        self._overload, self._overloaded_s = 0, -UNHEALTHY_S
        self._since_ns, self._carried = time.monotonic_ns(), host.carried()

    def _health(self, _request: Request) -> Answer:
        self._verify()
        if self.impairment is not None:
            self._check_overload()
        return self._about() | {"idle": self._idle()}

    def _verify(self) -> None:
        engine = self._at_work()
        if self.impairment is not None:
            engine.verify()

    def _check_overload(self) -> None:
        """Fail for some time after packets were lost to overload, whoever asks, and however often.

        Health is of the present; what was lost in the whole epoch the counters tell.
        """
        lost, now = sum(each.overload or 0 for each in self._at_work().counters().values()), time.monotonic()
        if lost > self._overload:
            self._overload, self._overloaded_s = lost, now
        if now - self._overloaded_s < UNHEALTHY_S:
            raise Failure(
                f"{lost} packets were lost to overload since the impairment was set: they come faster than "
                "this machine can impair them; send less, or leave it less other work"
            )

    def _show(self, request: Request) -> Answer:
        try:
            return self._health(request) | {"problem": None}
        except Failure as failure:
            return self._about() | {"idle": None, "problem": str(failure)}

    def _stats(self, request: Request) -> Answer:
        if "verify" in request:
            self._verify()
        answer = self._about()
        if self._engine is not None:
            for direction, counters in self._engine.counters().items():
                answer["directions"][direction] |= asdict(counters)
        return answer | {"idle": self._idle(), "namespace": host.counters()}

    def _idle(self) -> str | None:
        """Return in words that no packet has passed since the impairment was set, and which packets have not.

        An interface may well be idle, so this is no failure. But where others carry packets meanwhile, the
        wrong one may be impaired.
        """
        if self._engine is None or self.impairment is None:
            return None
        if any(counters.packets for counters in self._engine.counters().values()):
            return None
        seconds = (time.monotonic_ns() - self._since_ns) / 1e9
        words = [f"no packet has passed since this was set {seconds:.0f} s ago"]
        for name, count in host.carried().items():
            more = count - self._carried.get(name, 0)
            if more and name == self._interface:
                words.append(f"{name} carried {more} others: none is {selected(self.impairment)}")
            elif more:
                words.append(f"{name} carried {more}: NETEM_INTERFACE={name} impairs those")
        return "; ".join(words)

    def _about(self) -> Answer:
        asked, directions = self.impairment if self._engine else None, {}
        if asked is not None:
            specs = {direction: asked.of(direction) for direction in Direction}
            directions = {name: {"spec": str(spec)} for name, spec in specs.items() if spec is not None}
        return {
            "engine": self._engine and self._engine.name,
            "reason": self._reason,
            "interface": self._interface,
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
    return f"{str(impairment.spec) or 'nothing'}  ({selected(impairment)})"


def selected(impairment: Impairment) -> str:
    """Return in words which packets are impaired."""
    traffic = "all but DNS" if str(impairment.traffic) == "all" else str(impairment.traffic)
    return f"direction {impairment.directions}, traffic {traffic}"


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
    interface: Ended | str = host.interface(options.interface)
    told, started = host.is_told(), time.monotonic()
    sidecar = Sidecar(options.impairment, journal)
    try:
        with Server(folder) as control:
            while not isinstance(interface, Ended):
                impair(sidecar, options.engine, interface, control, journal)
                waiting = partial(answer_for, control, sidecar)
                interface = host.wait_for_return(told, started, options.interface, sleep=waiting)
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
    index = host.index(interface)
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
            if host.index(interface) == index:
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
        if host.index(interface) == index:  # else nobody's packets are left to be harmed
            said = explain(error, "restore the network") if isinstance(error, OSError) else str(error)
            journal.event("error", note=said)
    engine.close()
