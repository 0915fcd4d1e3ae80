"""The sidecar: what it does to its engine, what it answers, and how it ends. The engine is a fake."""

import json
import os
import re
import select
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import engines
import host
import host_interfaces
import pytest
import sidecar_state
from control import Refused
from host import Ended
from lab.failures import Failure
from lab.journal import Journal
from netem_impairment import Counters, Direction, Directions, Impairment, SpecError, Traffic, parse
from sidecar import Options, run
from sidecar_state import Sidecar

INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
ASKED = Impairment(parse("loss 10% seed 42"))


@dataclass
class FakeEngine:
    """An engine that does nothing but remember; `script` is what happens in its loop."""

    name: str = "userspace"
    done: list[str] = field(default_factory=list)
    applied: Impairment | None = None
    refuses: str = ""
    broken: str = ""
    overload: int | None = 0
    stuck: bool = False
    script: Callable[[Mapping[int, Callable[[], None]]], None] = lambda _watch: None

    def apply(self, impairment: Impairment) -> None:
        """Do it, or refuse it."""
        if self.refuses:
            raise Failure(self.refuses)
        self.done.append(f"apply {impairment.spec}")
        self.applied = impairment

    def clear(self) -> None:
        """Stop it."""
        self.done.append("clear")
        self.applied = None
        if self.stuck:
            raise OSError(1, "Operation not permitted")

    def counters(self) -> dict[Direction, Counters]:
        """Return some counts."""
        applied = self.applied
        if applied is None:
            return {}
        counters = Counters(5000, 420_000, 497, over_limit=None, overload=self.overload)
        return {one: counters for one in Direction if applied.of(one)}

    def verify(self) -> None:
        """Fail where it is broken."""
        if self.broken:
            raise Failure(self.broken)

    def serve(self, watch: Mapping[int, Callable[[], None]]) -> None:
        """Let happen what is to happen."""
        self.done.append("serve")
        self.script(watch)
        raise SystemExit(128 + signal.SIGTERM)

    def close(self) -> None:
        """Close it."""
        self.done.append("close")


class Log:
    """A journal, and what it says."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.journal = Journal(as_json=True, quiet=False, fd=self.writer)

    def events(self) -> list[tuple[str, str]]:
        """Return event and note of each line so far."""
        with suppress(BlockingIOError):
            lines = os.read(self.reader, 1 << 16).decode().splitlines()
            return [(record["event"], record.get("note", "")) for record in map(json.loads, lines)]
        return []

    def close(self) -> None:
        """Close both ends."""
        os.close(self.reader)
        os.close(self.writer)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    log.close()


@pytest.fixture
def running(engine: FakeEngine, log: Log) -> Sidecar:
    """A sidecar that impairs already."""
    running = Sidecar(ASKED, log.journal)
    running.begin(engine, "why not", "eth0")
    engine.done.clear()
    log.events()
    return running


# --- what it answers


def test_stats_have_the_fields_that_experiments_read(running: Sidecar) -> None:
    answer = running.handle({"command": "stats"})
    json.dumps(answer)
    assert answer.pop("started_ns") <= answer.pop("time_ns")
    assert answer.pop("idle") is None
    assert list(answer.pop("namespace")) == ["Ip", "Udp", "Tcp", "TcpExt"]
    counts = {
        "packets": 5000,
        "bytes": 420_000,
        "dropped": 497,
        "over_limit": None,
        "overload": 0,
        "too_long": 0,
        "duplicated": 0,
        "corrupted": 0,
        "reordered": 0,
        "queued": 0,
    }
    assert answer == {
        "engine": "userspace",
        "reason": "why not",
        "interface": "eth0",
        "epoch": 1,
        "impairment": {"spec": "loss 10% seed 42", "directions": "both", "traffic": "all"},
        "directions": {
            "ingress": {"spec": "loss 10% seed 42", **counts},
            "egress": {"spec": "loss 10% seed 1763303280", **counts},
        },
    }


def test_set_changes_what_is_said_and_keeps_the_rest(running: Sidecar, engine: FakeEngine, log: Log) -> None:
    answer = running.handle(
        {"command": "set", "spec": "delay 5ms", "directions": "ingress", "traffic": "udp"}
    )
    assert answer["epoch"] == 2
    assert answer["impairment"] == {"spec": "delay 5ms", "directions": "ingress", "traffic": "udp"}
    assert answer["directions"] == {"ingress": {"spec": "delay 5ms"}}
    running.handle({"command": "set", "spec": "loss 1%"})
    assert engine.applied == Impairment(parse("loss 1%"), Directions.INGRESS, Traffic("udp"))
    assert engine.done == ["apply delay 5ms", "apply loss 1%"]
    assert log.events() == [
        ("apply", "delay 5ms  (direction ingress, traffic udp)"),
        ("apply", "loss 1%  (direction ingress, traffic udp)"),
    ]


def test_clear_impairs_nothing_and_set_begins_again_as_before(
    running: Sidecar, engine: FakeEngine, log: Log
) -> None:
    running.handle({"command": "set", "spec": "delay 5ms", "directions": "egress"})
    answer = running.handle({"command": "clear"})
    assert (answer["epoch"], answer["impairment"], answer["directions"]) == (3, None, {})
    stats = running.handle({"command": "stats"})
    assert (stats["impairment"], stats["directions"]) == (None, {})
    running.handle({"command": "set", "spec": "loss 1%"})
    assert engine.done == ["apply delay 5ms", "clear", "apply loss 1%"]
    assert engine.applied == Impairment(parse("loss 1%"), Directions.EGRESS)
    assert log.events()[1] == ("clear", "nothing is impaired")


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        pytest.param({"command": "set", "spec": "lossy 10%"}, "lossy", id="spec"),
        pytest.param({"command": "set", "spec": "loss 10%", "directions": "up"}, "'up'", id="direction"),
        pytest.param({"command": "set", "spec": "loss 10%", "traffic": "sctp"}, "'sctp'", id="traffic"),
        pytest.param({"command": "reboot"}, "'reboot'", id="command"),
        pytest.param({}, "None", id="nothing"),
    ],
)
def test_wrong_request_changes_nothing(
    running: Sidecar, engine: FakeEngine, log: Log, request_: dict[str, str], word: str
) -> None:
    with pytest.raises((Refused, SpecError), match=word):
        running.handle(request_)
    assert (engine.done, log.events()) == ([], [])
    assert running.handle({"command": "show"})["impairment"]["spec"] == "loss 10% seed 42"


def test_what_the_engine_cannot_do_changes_nothing(running: Sidecar, engine: FakeEngine, log: Log) -> None:
    engine.refuses = "slot: this engine cannot"
    with pytest.raises(Failure, match=r"^slot: this engine cannot$"):
        running.handle({"command": "set", "spec": "slot 1ms", "directions": "ingress"})
    engine.refuses = ""
    assert log.events() == []
    answer = running.handle({"command": "show"})
    assert answer["epoch"] == 1
    assert answer["impairment"] == {"spec": "loss 10% seed 42", "directions": "both", "traffic": "all"}
    running.handle({"command": "set", "spec": "loss 1%"})
    assert engine.applied == Impairment(parse("loss 1%"))  # not in the direction that was refused


def test_health_is_what_the_engine_finds(running: Sidecar, engine: FakeEngine) -> None:
    running.handle({"command": "health"})
    assert running.handle({"command": "show"})["problem"] is None
    engine.broken = "the rule is gone"
    with pytest.raises(Failure, match=r"^the rule is gone$"):
        running.handle({"command": "health"})
    assert running.handle({"command": "show"})["problem"] == "the rule is gone"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The sidecar's clock; the test sets its `now_s`."""
    clock = SimpleNamespace(now_s=1000.0, monotonic_ns=time.monotonic_ns)
    clock.monotonic = lambda: clock.now_s
    monkeypatch.setattr(sidecar_state, "time", clock)
    return clock


def test_overload_is_a_failure_for_some_time_whoever_asks_and_is_counted_for_ever(
    running: Sidecar, engine: FakeEngine, clock: SimpleNamespace
) -> None:
    engine.overload = 3  # each way
    for _ in range(3):  # that one has asked takes nothing from the next
        with pytest.raises(Failure, match=r"^6 packets were lost to overload since the impairment was set: "):
            running.handle({"command": "health"})
    assert running.handle({"command": "show"})["problem"].startswith("6 packets were lost to overload")
    clock.now_s += sidecar_state.UNHEALTHY_S - 0.1
    with pytest.raises(Failure, match=r"^6 packets"):
        running.handle({"command": "health"})
    clock.now_s += 0.1
    running.handle({"command": "health"})  # none were lost lately
    assert running.handle({"command": "stats"})["directions"]["egress"]["overload"] == 3
    engine.overload = 4
    with pytest.raises(Failure, match=r"^8 packets"):
        running.handle({"command": "health"})


def test_stats_are_told_through_an_overload_but_not_where_packets_pass_by(
    running: Sidecar, engine: FakeEngine
) -> None:
    engine.overload = 3
    answer = running.handle({"command": "stats", "verify": "yes"})
    assert answer["directions"]["ingress"]["overload"] == 3
    engine.broken = "the rule is gone"
    with pytest.raises(Failure, match="the rule is gone"):
        running.handle({"command": "stats", "verify": "yes"})
    running.handle({"command": "stats"})


def test_overload_of_an_earlier_impairment_is_no_failure_of_this_one(
    running: Sidecar, engine: FakeEngine, clock: SimpleNamespace
) -> None:
    engine.overload = 3
    with pytest.raises(Failure, match="overload"):
        running.handle({"command": "health"})
    engine.overload = 0  # the engine counts anew
    running.handle({"command": "set", "spec": "loss 5%"})
    running.handle({"command": "health"})
    engine.overload = 1
    with pytest.raises(Failure, match=r"^2 packets"):
        running.handle({"command": "health"})
    assert clock.now_s == 1000


def test_engine_that_cannot_tell_overload_is_healthy(running: Sidecar, engine: FakeEngine) -> None:
    engine.overload = None
    running.handle({"command": "health"})


def test_cleared_sidecar_is_healthy_for_nothing_is_to_be_impaired(
    running: Sidecar, engine: FakeEngine
) -> None:
    engine.broken = "nothing passes"
    running.handle({"command": "clear"})
    running.handle({"command": "health"})


@dataclass
class Idle:
    """An impairment that no packet has passed, and what the interfaces carry."""

    sidecar: Sidecar
    carried: dict[str, int]

    def told(self, command: str = "health") -> Any:
        """Return what a command says of it, as if no time had gone by."""
        words = self.sidecar.handle({"command": command})["idle"]
        return words and re.sub(r"set \d+ s ago", "set 0 s ago", words)


@pytest.fixture
def idle(engine: FakeEngine, log: Log, monkeypatch: pytest.MonkeyPatch) -> Idle:
    carried = {"eth0": 1000, "eth1": 2000}
    monkeypatch.setattr(host_interfaces, "carried", carried.copy)
    monkeypatch.setattr(engine, "counters", lambda: {INGRESS: Counters(0, 0, 0), EGRESS: Counters(0, 0, 0)})
    sidecar = Sidecar(ASKED, log.journal)
    sidecar.begin(engine, "why not", "eth0")
    return Idle(sidecar, carried)


NOTHING = "no packet has passed since this was set 0 s ago"


@pytest.mark.parametrize("command", ["health", "show", "stats"])
def test_idle_impairment_is_named(idle: Idle, command: str) -> None:
    assert idle.told(command) == NOTHING


def test_idle_impairment_beside_traffic_of_another_interface_names_that(idle: Idle) -> None:
    idle.carried["eth1"] += 512
    assert idle.told() == f"{NOTHING}; eth1 carried 512: NETEM_INTERFACE=eth1 impairs those"
    idle.carried["eth2"] = 3  # which came meanwhile
    assert idle.told().endswith("; eth2 carried 3: NETEM_INTERFACE=eth2 impairs those")
    idle.sidecar.handle({"command": "set", "spec": "loss 1%"})  # it begins anew
    assert idle.told() == NOTHING


def test_idle_impairment_of_traffic_that_does_not_come_names_what_comes(idle: Idle) -> None:
    idle.sidecar.handle({"command": "set", "spec": "loss 1%", "traffic": "tcp:1", "directions": "egress"})
    idle.carried["eth0"] += 12
    assert idle.told() == f"{NOTHING}; eth0 carried 12 others: none is direction egress, traffic tcp:1"


def test_impairment_that_packets_pass_or_that_is_cleared_is_not_idle(
    idle: Idle, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "counters", lambda: {INGRESS: Counters(1, 64, 1)})
    assert idle.told() is None
    monkeypatch.undo()
    idle.sidecar.handle({"command": "clear"})
    assert idle.told() is None


# --- how it ends


@pytest.fixture
def started(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, list[str]]]:
    """Return a function that runs a sidecar on the loopback to its end: its exit code, what is left of it."""
    monkeypatch.setattr(engines, "choose", lambda *_asked: (engine, "asked for"))
    monkeypatch.setattr(engines, "AT_WORK", f"test-{os.getpid()}-sidecar")
    monkeypatch.setattr(host_interfaces, "addressed", lambda: iter(["lo"]))
    monkeypatch.setattr(host, "names_host", lambda: True)

    def start(script: Callable[[Mapping[int, Callable[[], None]]], None] | None = None) -> Any:
        if script is not None:
            engine.script = script
        with tempfile.TemporaryDirectory(prefix="sl-") as folder:
            try:
                code = run(Options(ASKED, "auto", "", "text"), Path(folder))
            finally:
                left = [path.name for path in Path(folder).iterdir()]
            return code, left

    return start


Started = Callable[..., tuple[int, list[str]]]


def path_of(fd: int) -> str:
    """Return the name of a UNIX socket."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        return str(sock.getsockname())


@contextmanager
def client_of(path: str) -> Iterator[socket.socket]:
    """Yield a socket that can ask a sidecar."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.bind(f"{path}-client")
        client.connect(path)
        client.settimeout(5)
        yield client
    Path(f"{path}-client").unlink()


def exchange(watch: Mapping[int, Callable[[], None]], request: dict[str, str]) -> dict[str, Any]:
    """Return the answer to a request, in the engine's loop."""
    [control] = watch
    with client_of(path_of(control)) as client:
        client.send(json.dumps(request).encode())
        assert select.select([control], [], [], 5)[0] == [control]
        watch[control]()
        answer: dict[str, Any] = json.loads(client.recv(1 << 16))["answer"]
        return answer


def said(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines of the journal without their time."""
    return [line[20:] for line in capfd.readouterr().out.splitlines()]


def test_stopped_sidecar_restores_the_network(
    started: Started, engine: FakeEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    assert started() == (0, [])
    assert engine.done == ["apply loss 10% seed 42", "serve", "clear", "close"]
    assert said(capfd) == [
        "engine    userspace on lo: asked for",
        "apply     loss 10% seed 42  (direction both, traffic all but DNS)",
        "stop",
    ]


def test_signals_do_not_interrupt_the_restoring(
    started: Started, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impatient() -> None:
        # To this thread: in the sidecar there is no other, here the test runner has one more.
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        engine.done.append("clear")

    monkeypatch.setattr(engine, "clear", impatient)

    def stop(signum: int, _frame: object) -> None:
        engine.done.append("signal")
        raise SystemExit(128 + signum)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        assert started() == (0, [])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert engine.done[-3:] == ["clear", "close", "signal"]


def test_requests_are_answered_in_the_engines_loop(started: Started, engine: FakeEngine) -> None:
    def script(watch: Mapping[int, Callable[[], None]]) -> None:
        assert exchange(watch, {"command": "set", "spec": "loss 5%"})["epoch"] == 2

    assert started(script) == (0, [])
    assert engine.done == ["apply loss 10% seed 42", "serve", "apply loss 5%", "clear", "close"]


def test_engine_that_refuses_leaves_nothing(started: Started, engine: FakeEngine) -> None:
    engine.refuses = "slot: this engine cannot"
    with pytest.raises(Failure, match=r"^slot: this engine cannot$"):
        started()
    assert engine.done == ["clear", "close"]


def test_failure_while_the_host_is_there_is_told(started: Started, engine: FakeEngine) -> None:
    def script(_watch: object) -> None:
        raise Failure("the queue is gone")

    with pytest.raises(Failure, match=r"^the queue is gone$"):
        started(script)
    assert engine.done[-2:] == ["clear", "close"]


def vanishing(monkeypatch: pytest.MonkeyPatch, index: int) -> Callable[[object], None]:
    """Return what happens in the engine's loop when the interface ends: its name has another index, or 0."""

    def script(_watch: object) -> None:
        monkeypatch.setattr(host_interfaces, "index", lambda _name: index)
        raise Failure("the queue is broken")  # whatever an engine says of it first

    return script


GONE = "gone      the network interface lo is gone: its host was disconnected, restarted or stopped"


@pytest.mark.parametrize("ended", list(Ended))
def test_sidecar_whose_host_is_gone_waits_and_ends_to_be_started_again(
    started: Started,
    engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    ended: Ended,
) -> None:
    engine.stuck = True  # there is nothing to restore any more

    def wait(told: bool, _started: float, _wanted: str, **_more: object) -> Ended:
        assert told
        assert engine.done[-2:] == ["clear", "close"]
        engines.alone().close()  # while it waits, another sidecar may be at work here
        return ended

    monkeypatch.setattr(host, "wait_for_return", wait)
    assert started(vanishing(monkeypatch, 0)) == (1, [])
    assert said(capfd)[-2:] == [f"{GONE}; nothing is impaired until it has one again", f"gone      {ended}"]


def test_sidecar_that_waits_for_its_host_can_be_stopped(
    started: Started, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def wait(_told: bool, _started: float, _wanted: str, **_more: object) -> Ended:
        raise SystemExit(128 + signal.SIGTERM)

    monkeypatch.setattr(host, "wait_for_return", wait)
    assert started(vanishing(monkeypatch, 0)) == (0, [])
    assert said(capfd)[-1] == "stop"


def test_sidecar_goes_on_with_what_was_asked_last_when_its_host_is_connected_again(
    started: Started, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def set_and_vanish(watch: Mapping[int, Callable[[], None]]) -> None:
        assert exchange(watch, {"command": "set", "spec": "loss 5%", "directions": "ingress"})["epoch"] == 2
        engine.script = stop
        vanishing(monkeypatch, 7)(watch)

    def stop(watch: Mapping[int, Callable[[], None]]) -> None:
        shown = exchange(watch, {"command": "show"})
        assert (shown["epoch"], shown["interface"], shown["impairment"]["spec"]) == (3, "eth1", "loss 5%")

    monkeypatch.setattr(host, "wait_for_return", lambda *_told, **_more: "eth1")
    assert started(set_and_vanish) == (0, [])
    assert engine.done == [
        *("apply loss 10% seed 42", "serve", "apply loss 5%", "clear", "close"),
        *("apply loss 5%", "serve", "clear", "close"),
    ]
    assert said(capfd)[2:] == [
        "apply     loss 5%  (direction ingress, traffic all but DNS)",
        f"{GONE}; nothing is impaired until it has one again",
        "engine    userspace on eth1: asked for",
        "apply     loss 5%  (direction ingress, traffic all but DNS)",
        "stop",
    ]


def test_sidecar_that_was_cleared_impairs_nothing_when_its_host_is_connected_again(
    started: Started, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clear_and_vanish(watch: Mapping[int, Callable[[], None]]) -> None:
        exchange(watch, {"command": "clear"})
        engine.script = lambda watch: epochs.append(exchange(watch, {"command": "show"})["epoch"])
        vanishing(monkeypatch, 7)(watch)

    epochs: list[int] = []
    monkeypatch.setattr(host, "wait_for_return", lambda *_told, **_more: "eth1")
    assert started(clear_and_vanish) == (0, [])
    assert engine.done[-3:] == ["serve", "clear", "close"]
    assert engine.done.count("apply loss 10% seed 42") == 1
    assert epochs == [3]


def test_sidecar_without_an_interface_says_that_nothing_is_impaired(
    running: Sidecar, engine: FakeEngine, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.pause("eth0")
    gone = "the network interface eth0 is gone: its host was disconnected, restarted or stopped"
    monkeypatch.setattr(host_interfaces, "addressed", lambda: iter([]))
    for request in ({"command": "health"}, {"command": "set", "spec": "loss 1%"}, {"command": "clear"}):
        with pytest.raises(Failure) as failed:
            running.handle(request)
        assert str(failed.value) == f"nothing is impaired: {gone}; waiting for one to impair"
    shown = running.handle({"command": "show"})
    assert (shown["engine"], shown["reason"]) == (None, gone)
    assert (shown["impairment"], shown["directions"]) == (None, {})
    assert shown["problem"] == f"nothing is impaired: {gone}; waiting for one to impair"
    assert running.handle({"command": "stats"})["directions"] == {}
    monkeypatch.setattr(host_interfaces, "addressed", lambda: iter(["eth1"]))
    with pytest.raises(Failure, match=r"; there is eth1: NETEM_INTERFACE chooses$"):
        running.handle({"command": "health"})
    assert engine.done == []
    assert log.events() == [("gone", f"{gone}; nothing is impaired until it has one again")]


def test_requests_are_answered_while_it_waits(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    def script(watch: Mapping[int, Callable[[], None]]) -> None:
        paths.append(path_of(next(iter(watch))))
        vanishing(monkeypatch, 0)(watch)

    def wait(*_told: object, sleep: Callable[[float], None]) -> Ended:
        with client_of(paths[0]) as client:
            client.send(b'{"command": "health"}')
            sleep(5)
            answer = json.loads(client.recv(1 << 16))
        assert (answer["exit"], answer["error"][:20]) == (1, "nothing is impaired:")
        sleep(0)  # nobody asks
        return Ended.BACK

    paths: list[str] = []
    monkeypatch.setattr(host, "wait_for_return", wait)
    assert started(script) == (1, [])


def test_network_that_cannot_be_restored_is_told(
    started: Started, engine: FakeEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    engine.stuck = True
    assert started()[0] == 0
    assert said(capfd)[-2].startswith("error     cannot restore the network: Operation not permitted")
    assert engine.done[-1] == "close"


def test_second_sidecar_in_a_network_touches_nothing(
    started: Started, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(_watch: object) -> None:
        monkeypatch.setattr(engines, "ENDING_S", 0.0)
        done = list(engine.done)
        with (
            tempfile.TemporaryDirectory(prefix="sl-") as folder,  # in a container of its own
            pytest.raises(Failure, match=r"^another sidecar is at work in this network \(userspace on lo\)"),
        ):
            run(Options(ASKED, "auto", "", "text"), Path(folder))
        assert engine.done == done

    assert started(script) == (0, [])
    assert started() == (0, []), "the guard goes with the sidecar"


def test_second_sidecar_in_a_container_leaves_the_firsts_socket_alone(started: Started) -> None:
    def script(watch: Mapping[int, Callable[[], None]]) -> None:
        [control] = watch
        folder = Path(path_of(control)).parent
        with pytest.raises(Failure, match=r"^another sidecar runs in this container already"):
            run(Options(ASKED, "auto", "", "text"), folder)
        assert Path(path_of(control)).is_socket()

    assert started(script) == (0, [])
