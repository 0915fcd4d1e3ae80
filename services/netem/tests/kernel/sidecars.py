"""The whole sidecar with the kernel's engine, on two hosts: how it begins and ends, and what it leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from firewall.iptables import VARIANTS

from tests.kernel.engine import state
from tests.kernel.hosts import CLIENT, INTERFACE, SERVER, Stream, connect, hosts
from tests.kernel.wire import command
from tests.namespaces import on

PROGRAM = Path(__file__).resolve().parents[2] / "netem.py"
PATIENCE_S = 10.0
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
def sidecar(spec: str = "", **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the sidecar on the server's host, with the kernel's engine."""
    log = Path("/tmp/sidecar.log")  # noqa: S108
    Path("/run/netem").mkdir(exist_ok=True)
    settings = {"NETEM": spec, "NETEM_ENGINE": "kernel", **JOURNAL, **variables}
    words = (PROGRAM, "run")
    with program(SERVER, *words, ready='"apply"', log=log, **settings) as process:
        yield process


def netem(*words: str, code: int = 0) -> str:
    """Run the command `netem` on the server's host; return what it said.

    Raises:
        RuntimeError: its exit code is another one.
    """
    with on(SERVER):
        done = subprocess.run([sys.executable, PROGRAM, *words], capture_output=True, text=True, check=False)
    if done.returncode != code:
        raise RuntimeError(
            f"netem {' '.join(words)}: exit code {done.returncode}: {done.stdout}{done.stderr}"
        )
    return done.stdout + done.stderr


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
def sidecar_goes_on_when_its_host_is_connected_again() -> str:
    with hosts(), sidecar("delay 1ms seed 3"):
        started_ns = json.loads(netem("show", "--json"))["started_ns"]
        netem("set", "loss", "100%", "--traffic", "udp:12000")
        command("ip", "-n", SERVER, "link", "delete", INTERFACE)
        wait_for("nothing to be impaired", lambda: json.loads(netem("show", "--json"))["engine"] is None)
        assert "nothing is impaired: the network interface eth0 is gone" in netem("health", code=1)
        with on(SERVER):
            left = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
        assert "netem" not in left, left
        connect()
        wait_for("the new interface", lambda: json.loads(netem("show", "--json"))["impairment"] is not None)
        netem("health")
        shown = json.loads(netem("show", "--json"))
        assert (shown["engine"], shown["epoch"], shown["started_ns"]) == ("kernel", 3, started_ns), shown
        for port, expected in ((12_000, 0), (12_001, 50)):
            with Stream(CLIENT, port) as stream:
                stream.send(50)
                got = len(stream.collect())
            assert got == expected, f"port {port}: {got} of 50 arrived, expected {expected}"
    return "gone with the interface, and back with the next as `netem set` said last"


def wait_for(what: str, check: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + PATIENCE_S
    while not check():
        if time.monotonic() > until:
            raise RuntimeError(f"waited {PATIENCE_S:g} s for {what}: {netem('show')}")
        time.sleep(0.02)


def refused(engine: str) -> str:
    """Start another sidecar on the server's host, in a container of its own; return its one line.

    Raises:
        AssertionError: it is not refused.
    """
    words = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh")
    with on(SERVER):
        done = subprocess.run(
            [*words, sys.executable, PROGRAM, "run", "loss", "1%", "--engine", engine],
            capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, ""), (engine, done)
    return done.stderr.strip()


def network() -> str:
    """Return all that a sidecar could have made on the server's host."""
    with on(SERVER):
        found = state()
        for variant in VARIANTS:
            words = [f"iptables-{variant}-save", "-t", "raw"]
            rules = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            found += "".join(f"{line}\n" for line in rules.splitlines() if "netem" in line and line[0] == "-")
    return found


@check
def second_sidecar_touches_nothing() -> str:
    for first in ("kernel", "userspace"):
        with hosts(), sidecar("delay 7ms seed 5", NETEM_ENGINE=first):
            netem("health")
            before = network()
            for second in ("kernel", "userspace"):
                said = refused(second)
                expected = f"netem: another sidecar is at work in this network ({first} on eth0), "
                assert said.startswith(expected), said
            netem("probe")
            assert network() == before
            netem("health")
    return "kernel and userspace beside kernel and userspace: refused, nothing changed"


@check
def leftovers_of_the_other_engine_are_removed() -> str:
    engines = ("kernel", "userspace")
    with hosts():
        before = network()
        for first, second in zip(engines, reversed(engines), strict=True):
            with sidecar("loss 100%", NETEM_ENGINE=first) as process:
                process.kill()
                process.wait()
            left = network()
            assert left != before, f"expected that a killed sidecar leaves something ({first})"
            with sidecar("delay 1ms", NETEM_ENGINE=second) as process:
                netem("health")
                at_work = network()
                found = "qdisc netem" in at_work, "NFQUEUE" in at_work
                assert found == (second == "kernel", second == "userspace"), at_work
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE_S)
            assert network() == before
    return "a sidecar removes what a killed one with the other engine has left"


@check
def sidecar_says_that_it_does_not_work() -> str:
    with hosts(), sidecar("delay 1ms"):
        netem("health")
        with on(SERVER):
            subprocess.run(["tc", "qdisc", "delete", "dev", "eth0", "root"], check=True)
        said = netem("health", code=1)
        assert "gone" in said, said
    return said.strip()
