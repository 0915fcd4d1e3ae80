"""The sidecar itself with the kernel's engine, on two hosts, and the experiments through it.

The same programs as in the containers, as plain processes: the server and the sidecar on one host, the client
on the other. What the experiments then say is held against the model: these numbers, and no others.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from impairment import Directions, Impairment, parse
from model import Model

from socketlab.analyse import bytestream, crosscheck, messages
from socketlab.analyse.fates import Fate
from socketlab.analyse.result import Network, TcpResult, UdpResult
from socketlab.describe.scenario import Engine, Experiment, Protocol, Stream
from socketlab.observe import evidence, trace
from socketlab.observe.evidence import Evidence
from tests.kernel.engine import state
from tests.kernel.hosts import ADDRESSES, CLIENT, SERVER, hosts, on

SERVICES = Path("/lab/services")
PORT = 12_000
PATIENCE_S = 10.0
LENGTH = 14 + 20 + 8 + 64
JOURNAL = {"LOG_FORMAT": "json"}

CHECKS: dict[str, Callable[[], str]] = {}


def check(function: Callable[[], str]) -> Callable[[], str]:
    """Put a check on the list."""
    CHECKS[function.__name__.replace("_", " ")] = function
    return function


@contextmanager
def program(
    host: str, *words: str | Path, ready: str, log: Path, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python program on a host, from when its log has a word; end it if it still runs."""
    with on(host), log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *words], stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **variables}
        )
    try:
        until = time.monotonic() + PATIENCE_S
        while ready not in (said := log.read_text(encoding="utf-8")):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{words[0]}: expected {ready!r} in its log, got {said[-500:]!r}")
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def server() -> Iterator[Path]:
    """Run our server on its host; yield its journal."""
    log = Path("/tmp/server.log")  # noqa: S108 - a file system of the test's own kernel
    with program(SERVER, SERVICES / "server/server.py", ready='"listen"', log=log, **JOURNAL):
        yield log


@contextmanager
def sidecar(spec: str = "", **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the sidecar on the server's host, with the kernel's engine."""
    log = Path("/tmp/sidecar.log")  # noqa: S108
    Path("/run/netem").mkdir(exist_ok=True)
    settings = {"NETEM": spec, "NETEM_ENGINE": "kernel", **JOURNAL, **variables}
    words = (SERVICES / "netem/netem.py", "run")
    with program(SERVER, *words, ready='"apply"', log=log, **settings) as process:
        yield process


def netem(*words: str, code: int = 0) -> str:
    """Run the command `netem` on the server's host; return what it said.

    Raises:
        RuntimeError: its exit code is another one.
    """
    with on(SERVER):
        done = subprocess.run(
            [sys.executable, SERVICES / "netem/netem.py", *words], capture_output=True, text=True, check=False
        )
    if done.returncode != code:
        raise RuntimeError(
            f"netem {' '.join(words)}: exit code {done.returncode}: {done.stdout}{done.stderr}"
        )
    return done.stdout + done.stderr


def run(experiment: Experiment, journal: Path) -> Evidence:
    """Run an experiment on the hosts, and return what was seen."""
    asked = experiment.impairment
    netem("set", "--direction", asked.directions, *str(asked.spec).split())
    netem("health")
    before = evidence.sidecar(netem("stats", "--json"))
    mark = journal.stat().st_size
    stream = experiment.stream
    words: Sequence[str | Path] = [
        *(SERVICES / "client/stream.py", stream.protocol, ADDRESSES[SERVER], str(PORT)),
        *(f"--count={stream.count}", f"--size={stream.size}", f"--rate={stream.rate}"),
        f"--wait={experiment.longest_round_trip_s + 0.5:.3f}",
    ]
    with on(CLIENT):
        done = subprocess.run(
            [sys.executable, *words],
            capture_output=True,
            text=True,
            env={**os.environ, **JOURNAL},
            check=False,
        )
    netem("health")
    after = evidence.sidecar(netem("stats", "--json"))
    log = journal.read_bytes()[mark:].decode()
    return Evidence(trace.parse(done.stdout.splitlines()), trace.parse(log.splitlines()), before, after)


def of_datagrams(experiment: Experiment, journal: Path) -> UdpResult:
    """Run an experiment and return its result, but for the figures that need packages which are not here."""
    seen = run(experiment, journal)
    story = messages.story(experiment.stream, seen)
    balances = tuple(crosscheck.balances(story, seen))
    return UdpResult(experiment, network(seen), story, (), (), None, balances)


def of_bytes(experiment: Experiment, journal: Path) -> TcpResult:
    """Do the same for a byte stream."""
    seen = run(experiment, journal)
    return TcpResult(experiment, network(seen), bytestream.connection(experiment.stream, seen), None)


def network(seen: Evidence) -> Network | None:
    """Return what the sidecar said of itself."""
    return Network(seen.after.engine, seen.after.reason, dict(seen.after.specs)) if seen.after else None


def passing(spec: str, seed: int, count: int) -> list[bool]:
    """Return which of so many packets the model lets pass."""
    model: Model[int] = Model(parse(f"{spec} limit 100000 seed {seed}"))
    return [bool(model.enqueue(0, LENGTH, number)) for number in range(count)]


@check
def lossy_udp_loses_what_the_seed_says() -> str:
    count = 2000
    with hosts(), server() as journal, sidecar():
        spec = parse("delay 20ms loss 10% limit 100000 seed 42")
        experiment = Experiment(Stream(Protocol.UDP, count=count, rate=1000), Impairment(spec), Engine.KERNEL)
        found = of_datagrams(experiment, journal)
        again = of_datagrams(experiment, journal)
    assert found.exit_code == 0, (found.story.faults, found.balances)
    assert found.network is not None
    assert found.network.engine == "kernel"
    there = passing("loss 10%", 42, count)
    arrived = [message.number for message in found.story.messages if message.arrivals]
    assert arrived == [number for number, passes in enumerate(there, 1) if passes], "lost going"
    back = passing("loss 10%", 43, len(arrived))
    answered = [message.number for message in found.story.messages if message.answers]
    assert answered == [number for number, passes in zip(arrived, back, strict=True) if passes], "lost back"
    fates = [message.fate for message in found.story.messages]
    assert fates == [message.fate for message in again.story.messages], "the same seed, other fates"
    shares = ", ".join(f"{fates.count(fate)} {fate}" for fate in Fate if fate in fates)
    return f"{count} datagrams, there and back as the model says, twice: {shares}"


@check
def lossy_udp_reorders_what_the_seed_says() -> str:
    count = 1000
    spec = parse("delay 30ms reorder 25% duplicate 5% seed 9 limit 100000")
    with hosts(), server() as journal, sidecar():
        stream = Stream(Protocol.UDP, count=count, rate=500)
        experiment = Experiment(stream, Impairment(spec, Directions.INGRESS), Engine.KERNEL)
        found = of_datagrams(experiment, journal)
    assert found.exit_code == 0, (found.story.faults, found.balances)
    model: Model[int] = Model(spec)
    copies = [model.enqueue(0, LENGTH, number) for number in range(count)]
    assert [len(message.arrivals) for message in found.story.messages] == copies
    late = sum(message.late_going is not None for message in found.story.messages)
    assert late, "expected that some are overtaken"
    return f"{count} datagrams, {sum(copies) - count} doubled as the model says, {late} late by RFC 4737"


@check
def both_engines_do_the_same() -> str:
    count = 3000
    # One direction each: the draws for the way back go to packets in the order in which they come, and where
    # packets are reordered that order depends on the clock. No corruption: which bit it is no seed says, and
    # whether anybody notices depends on that.
    specs = (
        ("delay 20ms loss 10% duplicate 5% reorder 25% gap 3 seed 11", Directions.INGRESS),
        ("delay 10ms 3ms distribution normal loss gemodel 2% 20% 80% 0.5% seed 12", Directions.INGRESS),
        ("delay 10ms loss state 2% 20% 50% 30% 1% duplicate 10% seed 13", Directions.EGRESS),
    )
    copies: dict[Engine, list[list[tuple[int, int]]]] = {Engine.KERNEL: [], Engine.USERSPACE: []}
    for engine, seen in copies.items():
        with hosts(), server() as journal, sidecar(NETEM_ENGINE=engine):
            for words, directions in specs:
                asked = Impairment(parse(f"{words} limit 100000"), directions)
                stream = Stream(Protocol.UDP, count=count, rate=2000)
                found = of_datagrams(Experiment(stream, asked, engine), journal)
                assert found.exit_code == 0, (engine, found.story.faults, found.balances)
                assert found.network is not None
                assert found.network.engine == engine
                seen.append([(len(one.arrivals), len(one.answers)) for one in found.story.messages])
    lost = doubled = 0
    for (words, _), kernel, userspace in zip(specs, *copies.values(), strict=True):
        differing = [number for number in range(count) if kernel[number] != userspace[number]]
        assert not differing, f"{words}: {len(differing)} of {count} differ: {differing[:10]}"
        lost += sum(not answers for _arrivals, answers in kernel)
        doubled += sum(answers > 1 for _arrivals, answers in kernel)
    return f"3 x {count} datagrams, {lost} lost and {doubled} doubled: the same in both engines"


@check
def lossy_tcp_brings_the_same_bytes() -> str:
    with hosts(), server() as journal, sidecar():
        spec = parse("delay 10ms loss 5% reorder 25% duplicate 2% corrupt 1% seed 5 limit 10000")
        experiment = Experiment(
            Stream(Protocol.TCP, count=1000, size=500, rate=2000), Impairment(spec), Engine.KERNEL
        )
        found = of_bytes(experiment, journal)
    assert found.exit_code == 0, found.connection.faults
    assert found.connection.count(Fate.ANSWERED) == 1000, "some lines were not answered"
    by_client, by_server = found.connection.retransmitted_by_client, found.connection.retransmitted_by_server
    return f"1000 lines of 500 bytes, all answered; segments sent again: {by_client} there, {by_server} back"


@check
def sidecar_goes_without_a_trace() -> str:
    with hosts():
        with on(SERVER):
            before = state()
        with sidecar("delay 50ms seed 1") as process:
            shown = json.loads(netem("show", "--json"))
            assert shown["engine"] == "kernel", shown
            netem("set", "loss", "10%", "delay", "100ms", "10ms", "distribution", "normal")
            netem("clear")
            with on(SERVER):
                assert state() == before
            netem("set", "delay", "100ms")
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code = process.wait(PATIENCE_S)
            took_s = time.monotonic() - begun
        with on(SERVER):
            assert (code, state()) == (0, before)
            assert took_s < 1
        with sidecar("loss 100%") as process:
            process.kill()
            process.wait()
        with on(SERVER):
            assert "netem" in state()
        with sidecar("delay 1ms"):
            netem("health")
            netem("set", "loss", "101%", code=2)
            netem("health")
        with on(SERVER):
            assert "netem" in state(), "expected that a killed one leaves something"
        with sidecar() as process:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)
        with on(SERVER):
            assert state() == before
    return f"gone {took_s:.2f} s after SIGTERM; after SIGKILL the next one removes what is left"


@check
def sidecar_says_that_it_does_not_work() -> str:
    with hosts(), sidecar("delay 1ms"):
        netem("health")
        with on(SERVER):
            subprocess.run(["tc", "qdisc", "delete", "dev", "eth0", "root"], check=True)
        said = netem("health", code=1)
        assert "gone" in said, said
    return said.strip()
