"""How one sample of one server is taken: run it, load it, look at it, end it."""

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UnmeasurableError
from bench.load import Load, loading
from bench.machine import Cores, waited_seconds
from bench.network import full_table
from bench.servers import HOST, Kind, Protocol, RunningServer, Server, serving
from bench.stats import Sample

HONEST = 99  # clients beside the slow one
THREADED_CONNECTIONS = 1000  # idle ones, where each has a thread


@dataclass(frozen=True)
class Settings:
    """How long and how much is measured.

    Attributes:
        second_tries: how many samples of an experiment, spoilt by other programs, may be taken again.
    """

    rounds: int = 5
    rate_s: float = 0.7
    idle_s: float = 0.4
    slow_s: float = 0.5
    idle_connections: int = 10_000
    second_tries: int = 4


# One round, to see that all works; its numbers are not worth quoting.
QUICK = Settings(rounds=1, rate_s=0.2, idle_s=0.15, slow_s=0.2, idle_connections=2000, second_tries=0)


@dataclass(frozen=True)
class Bench:
    """What every measurement needs."""

    load: Path
    cores: Cores
    settings: Settings


class Interference:
    """How much of the time, from here on, the server or the load waited for a core that others had."""

    def __init__(self, server: Server, running: RunningServer) -> None:
        # Threads wait for each other: that is the server's own affair, and no reason to measure again.
        self._running = None if server.thread_each else running
        self._waited = self._server_waited()
        self._begin = time.monotonic()

    def _server_waited(self) -> float:
        return self._running.waited_seconds() if self._running else 0.0

    def percent(self, load: Load) -> float:
        """Return it in percent, of whichever of the two had to wait longer."""
        waited = max(self._server_waited() - self._waited, waited_seconds(load.pid))
        return 100 * waited / (time.monotonic() - self._begin)


def measure_rate(bench: Bench, server: Server, kind: str, count: int) -> Sample:
    """Measure answers a second, and how much of its core the server needed for them."""
    if kind == "line" and (reason := full_table()):
        raise UnmeasurableError(reason)
    sample: Sample = {}
    with serving(server, Protocol.UDP if kind == "udp" else Protocol.TCP, bench.cores.server) as running:
        interference = Interference(server, running)
        cpu, begin = running.cpu_seconds(), time.monotonic()
        with _load(bench, running, kind, bench.settings.rate_s, str(count)) as load:
            for phase in load.phases:
                elapsed = time.monotonic() - begin
                cpu = running.cpu_seconds() - cpu
                values = phase.values
                sample = {name: values[name] for name in ("lost", "late") if name in values}
                sample["rate"] = values["answers"] / values["seconds"]
                sample["cpu_us"] = 1e6 * cpu / values["all_answers"]
                sample["busy_percent"] = 100 * cpu / elapsed
                sample["held_up_percent"] = interference.percent(load)
    return sample


def measure_idle(bench: Bench, server: Server) -> Sample:
    """Measure what idle connections cost: memory each, and the latency of one that is active."""
    count = bench.settings.idle_connections
    if server.thread_each:
        count = min(count, THREADED_CONNECTIONS)
    options: tuple[str, ...] = ()
    if server.kind is Kind.OURS:
        options = ("--max-connections", str(count + 2000), "--idle-timeout", "300")
    sample: Sample = {"connections": count}
    with serving(server, Protocol.TCP, bench.cores.server, options) as running:
        interference = Interference(server, running)
        before = running.memory()
        with _load(bench, running, "idle", bench.settings.idle_s, str(count)) as load:
            for phase in load.phases:
                if phase.name == "alone":
                    before = running.memory()
                    sample["alone_us"] = phase.values["median_us"]
                elif phase.name == "opened":
                    after = running.memory()
                    sample["rss_bytes"] = (after.rss - before.rss) / count
                    sample["pss_bytes"] = (after.pss - before.pss) / count
                    sample["private_bytes"] = (after.private - before.private) / count
                elif phase.name == "crowded":
                    sample["crowded_us"] = phase.values["median_us"]
                    sample["held_up_percent"] = interference.percent(load)
    sample["bytes"] = max(sample["rss_bytes"], sample["pss_bytes"], sample["private_bytes"])
    sample["latency_ratio"] = sample["crowded_us"] / sample["alone_us"]
    return sample


def measure_slow(bench: Bench, server: Server, kind: str) -> Sample:
    """Measure what one bad client costs the honest ones."""
    sample: Sample = {}
    kind += "+closes" if server.closes else ""
    with serving(server, Protocol.TCP, bench.cores.server) as running:
        interference = Interference(server, running)
        before = running.memory()
        with _load(bench, running, "slow", bench.settings.slow_s, str(HONEST), kind) as load:
            for phase in load.phases:
                for name in ("answers", "median_us", "p99_us", "longest_us", "unanswered"):
                    # Where nobody was answered there is no median: it is left out, and not zero.
                    if phase.values["answers"] or name in {"answers", "longest_us", "unanswered"}:
                        sample[f"{phase.name}_{name}"] = phase.values[name]
                if phase.name == "alone":
                    before = running.memory()
                else:
                    sample["grown_kib"] = (running.memory().rss - before.rss) / 1024
                sample["held_up_percent"] = interference.percent(load)
    sample["extra_us"] = max(0.0, sample["beside_longest_us"] - sample["alone_longest_us"])
    return sample


def _load(
    bench: Bench, running: RunningServer, kind: str, seconds: float, *more: str
) -> AbstractContextManager[Load]:
    """Run the load generator against a server."""
    command = [str(bench.load), kind, HOST, str(running.port), str(seconds), *more]
    return loading(command, bench.cores.load)
