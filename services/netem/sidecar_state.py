"""What is impaired now, by which engine, and the answers to the requests of the command `netem`."""

import time
from dataclasses import asdict

import host_interfaces
import namespace_counters
from control import Answer, Refused, Request
from engine import Engine
from lab.failures import Failure
from lab.journal import Journal
from link import vanished
from netem_impairment import Direction, Directions, Impairment, parse, parse_directions, parse_traffic

UNHEALTHY_S = 10.0  # after packets were lost to overload; a healthcheck asks twice meanwhile


class Sidecar:
    """What is asked for, and the engine that does it, when there is one.

    Args:
        impairment: what is to be impaired; `set` keeps its directions and traffic, unless others are given.
        journal: where every change is written down.
    """

    def __init__(self, impairment: Impairment, journal: Journal) -> None:
        self._engine: Engine | None = None
        self._reason = "it has not started"  # why this engine was chosen, or why there is none
        self._interface = ""
        self.impairment: Impairment | None = impairment  # what is to be done; None: cleared
        self._last = impairment  # what was last
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
        return self._last.directions

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
        self.impairment = self._last = impairment
        self._begin_epoch()
        self._journal.event("apply", note=describe(impairment))

    def _at_work(self) -> Engine:
        """Return the engine.

        Raises:
            Failure: there is none now.
        """
        if self._engine is None:
            others = ", ".join(host_interfaces.addressed())
            hope = f"there is {others}: NETEM_INTERFACE chooses" if others else "waiting for one to impair"
            raise Failure(f"nothing is impaired: {self._reason}; {hope}")
        return self._engine

    def _set(self, request: Request) -> Answer:
        self.apply(
            Impairment(
                parse(request.get("spec", "")),
                parse_directions(request.get("directions", self._last.directions)),
                parse_traffic(request.get("traffic", str(self._last.traffic))),
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
        self._since_ns, self._carried = time.monotonic_ns(), host_interfaces.carried()

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
        return answer | {"idle": self._idle(), "namespace": namespace_counters.read()}

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
        for name, count in host_interfaces.carried().items():
            more = count - self._carried.get(name, 0)
            if more and name == self._interface:
                words.append(f"{name} carried {more} others: none is {selected(self.impairment)}")
            elif more:
                words.append(f"{name} carried {more}: NETEM_INTERFACE={name} impairs those")
        return "; ".join(words)

    def _about(self) -> Answer:
        impairment, directions = self.impairment if self._engine else None, {}
        if impairment is not None:
            specs = {direction: impairment.of(direction) for direction in Direction}
            directions = {name: {"spec": str(spec)} for name, spec in specs.items() if spec is not None}
        return {
            "engine": self._engine and self._engine.name,
            "reason": self._reason,
            "interface": self._interface,
            "time_ns": time.monotonic_ns(),
            "epoch": self._epoch,
            "started_ns": self._started_ns,
            "impairment": impairment
            and {
                "spec": str(impairment.spec),
                "directions": impairment.directions,
                "traffic": str(impairment.traffic),
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
