"""Measures the sidecar's user-space engine: the same path with it, without it, and with others, in one run.

Two hosts are network namespaces joined by a cable. The reference is that cable alone. Where the kernel has
netem, it is measured beside ours on the same cable, and so is tcconfig's `tcset`, which sets it up.

What all campaigns take, and how they end: `campaigns.runner`. An experiment is held when it was measured,
whether or not a target was met, and broken when the engine failed.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from netem_impairment import leases

from bench import wakeup
from bench.build import build
from bench.errors import ServerFaultError, UnmeasurableError
from bench.experiments import Column, Experiment
from bench.machine import Cores, cpu_seconds, describe, pin, plan_cores, waited_seconds
from bench.measure import rounds_of, run
from bench.report import OURS, document, result
from bench.samples import Settings
from bench.servers import ROOT
from bench.stats import AtLeast, AtMost, Sample, Undisturbed
from campaigns import runner
from campaigns.runner import Campaign, Progress, positive
from tests.engine_process import EngineProcessError, RunningEngine, unusable
from tests.namespaces import Host, ip, joined

ROUNDS = Settings(rounds=3, rate_s=1.0, second_tries=9)
QUICK = replace(ROUNDS, rounds=1, rate_s=0.3, second_tries=0)
NONE, KERNEL, TCSET = "none", "kernel", "tcset"
DELAY_US = 10_000
DELAY = "delay 10ms"
# Times what a program of this machine takes that is woken by a byte and passes it on, in the same minute.
# Where no other program had the cores 1.0 to 1.6 (added) and 1.2 to 1.4 (late) were measured: machines get
# twice that.
AS_LATE = 3.0
SIZES = (64, 1400)  # bytes of data
ROOMY = "limit 20000"  # the default of 1,000 would be full at 100,000 packets/s with 10 ms


@dataclass(frozen=True)
class OnCable:
    """What is on the cable: nothing, our engine, the kernel's netem, or what tcset makes of it."""

    key: str
    name: str
    missing: str = ""


@dataclass(frozen=True)
class Bench:
    """What every measurement needs."""

    load: Path
    cores: Cores
    settings: Settings
    near: Host
    far: Host


def catalogue(near: Host) -> dict[str, OnCable]:
    """Return what can be on the cable, and what of it cannot here."""
    no_netem = _no_netem(near)
    no_tcset = "" if shutil.which("tcset") else "tcset is not installed (pip install tcconfig)"
    return {
        path.key: path
        for path in (
            OnCable(NONE, "the cable alone"),
            OnCable(OURS, "user space (ours)", unusable(near)),
            OnCable(KERNEL, "netem of the kernel", no_netem),
            OnCable(TCSET, "tcconfig's tcset", no_netem or no_tcset),
        )
    }


def _no_netem(host: Host) -> str:
    """Return why the kernel's netem cannot be measured, or nothing."""
    if shutil.which("tc") is None:
        return "the command tc is not installed (package iproute2)"
    tried = subprocess.run(
        host.command("tc", "qdisc", "add", "dev", "lo", "root", "netem"),
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode != 0:
        return f"this kernel has no netem ({tried.stderr.strip().splitlines()[-1]})"
    subprocess.run(host.command("tc", "qdisc", "del", "dev", "lo", "root"), check=True)
    return ""


@contextmanager
def impaired(bench: Bench, path: OnCable, spec: str, *, direction: str) -> Iterator[RunningEngine | None]:
    """Put an impairment on the cable; yield the engine, where there is one.

    Args:
        bench: the hosts.
        path: what is to be on the cable.
        spec: in tc's language.
        direction: as the near host sees it. The kernel's netem only knows the way out: for `ingress` it is at
            the far host.
    """
    if path.key == NONE:
        yield None
    elif path.key == OURS:
        with _engine(bench, spec, direction) as engine:
            yield engine
    else:
        host = bench.near if direction == "egress" else bench.far
        # Or netem would treat a super-packet of TCP as one.
        ip("-n", host.name, "link", "set", host.interface, "gso_max_segs", "1")
        words = ["tc", "qdisc", "replace", "dev", host.interface, "root", "netem", *spec.split()]
        if path.key == TCSET:
            words = ["tcset", host.interface, "--overwrite", *_tcset_options(spec)]
        try:
            subprocess.run(host.command(*words), check=True, capture_output=True)
            shown = subprocess.run(
                host.command("tc", "qdisc", "show", "dev", host.interface), capture_output=True, check=True
            )
            if b"netem" not in shown.stdout:  # tcset reports success whatever happened
                raise UnmeasurableError(f"{path.name} set up no netem: {shown.stdout.decode().strip()}")
            yield None
        except subprocess.CalledProcessError as error:
            raise UnmeasurableError(f"{' '.join(words)}: {error.stderr.decode().strip()}") from error
        finally:
            subprocess.run(
                host.command("tc", "qdisc", "del", "dev", host.interface, "root"),
                capture_output=True,
                check=False,
            )
            ip("-n", host.name, "link", "set", host.interface, "gso_max_segs", "65535")


def _tcset_options(spec: str) -> list[str]:
    """Return a spec of this benchmark as options of tcset."""
    words = iter(spec.split())
    known = {"delay": "--delay", "loss": "--loss", "rate": "--rate"}
    return [part for word in words for part in (known.get(word, ""), next(words)) if word in known]


@contextmanager
def _engine(bench: Bench, spec: str, direction: str) -> Iterator[RunningEngine]:
    engine = None
    try:
        engine = RunningEngine(bench.near)
        pin(engine.process.pid, bench.cores.server)
        for request in ({"apply": spec, "directions": direction}, {"verify": True}):
            if failure := engine.ask(**request).get("failure"):
                raise ServerFaultError(failure)
        yield engine
        code, complaint = engine.stop()
        if (code, complaint) != (128 + signal.SIGTERM, ""):
            raise ServerFaultError(f"the engine ended with exit code {code}: {complaint.strip()}")
    except EngineProcessError as error:
        raise ServerFaultError(str(error)) from error
    finally:
        if engine is not None:
            engine.close()


def load(bench: Bench, kind: str, *options: object, direction: str = "egress", factor: float = 1.0) -> Sample:
    """Load the cable, and return what the load measured.

    Args:
        bench: the hosts.
        kind: of the load (see path.c).
        options: size, window or rate.
        direction: as the near host sees it.
        factor: how many times as long as usual.
    """
    here, there = (bench.near, bench.far) if direction == "egress" else (bench.far, bench.near)
    seconds = bench.settings.rate_s * factor
    command = [str(bench.load), kind, here.path, there.path, there.address, str(seconds), *map(str, options)]
    before = os.sched_getaffinity(0)
    if bench.cores.load is not None:
        os.sched_setaffinity(0, {bench.cores.load})  # both of its threads inherit it
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        os.sched_setaffinity(0, before)
    if done.returncode != 0:
        raise UnmeasurableError(f"the load ended with status {done.returncode}: {done.stderr.strip()}")
    values: Sample = json.loads(done.stdout)
    return values


class Watch:
    """What an engine uses from here on; nothing where there is none."""

    def __init__(self, engine: RunningEngine | None) -> None:
        self._pid = engine.process.pid if engine else None
        self._begun = time.monotonic()
        self._used, self._waited = self._now()

    def _now(self) -> tuple[float, float]:
        return (cpu_seconds(self._pid), waited_seconds(self._pid)) if self._pid else (0.0, 0.0)

    def cpu_seconds(self) -> float:
        """Return how long it had a core."""
        return self._now()[0] - self._used

    def held_up(self) -> Sample:
        """Return how much of the time it waited for a core that others had, if there is an engine."""
        if self._pid is None:
            return {}
        return {"held_up_percent": 100 * (self._now()[1] - self._waited) / (time.monotonic() - self._begun)}


def measure_rate(bench: Bench, path: OnCable, spec: str, size: int, window: int) -> Sample:
    """Measure packets a second, those that were lost though nobody asked, and what a packet costs."""
    with impaired(bench, path, spec, direction="egress") as engine:
        watch = Watch(engine)
        values = load(bench, "window", size, window)
        sample = {
            "rate": values["received"] / values["seconds"],
            "lost": values["sent"] - values["received"],
            "doubled": values["doubled"],
            **watch.held_up(),
        }
        if engine:
            counted = engine.ask(counters=True)["egress"]
            sample["lost"] += counted["overload"]
            sample["cpu_us"] = 1e6 * watch.cpu_seconds() / counted["packets"]
    return sample


def measure_idle(bench: Bench, path: OnCable) -> Sample:
    """Measure the latency that an engine adds where nothing else happens, to the cable's just before.

    Beside it: what a program adds that does nothing but pass a byte on.
    """
    passed_on = wakeup.measured(bench.cores.server, bench.settings.rate_s, 200, 0)
    alone = load(bench, "pace", 64, 200)
    with impaired(bench, path, "", direction="egress") as engine:
        watch = Watch(engine)
        values = load(bench, "pace", 64, 200)
        held_up = watch.held_up()
    return {
        "alone_us": alone["median_us"],
        "median_us": values["median_us"],
        "p95_us": values["p95_us"],
        "added_us": values["median_us"] - alone["median_us"],
        "passed_on_us": passed_on["median"],
        "times": (values["median_us"] - alone["median_us"]) / passed_on["median"],
        **held_up,
    }


def measure_delay(bench: Bench, path: OnCable, rate: int) -> Sample:
    """Measure how late packets are, against the delay that was asked for.

    Beside it: how late a program is that does nothing but pass a byte on, as much later.
    """
    passed_on = wakeup.measured(bench.cores.server, 2 * bench.settings.rate_s, rate, DELAY_US)
    with impaired(bench, path, f"{DELAY} {ROOMY}", direction="egress") as engine:
        watch = Watch(engine)
        values = load(bench, "pace", 64, rate, factor=2)
        held_up = watch.held_up()
    quantiles = ("least_us", "median_us", "p95_us", "p99_us", "longest_us")
    late = {name: values[name] - DELAY_US for name in quantiles}
    beside = {f"passed_on_{name}_us": value for name, value in passed_on.items()}
    times = {f"{name}_times": late[f"{name}_us"] / value for name, value in passed_on.items()}
    return late | beside | times | held_up


def measure_stream(bench: Bench, path: OnCable, spec: str, direction: str) -> Sample:
    """Measure the goodput of one TCP connection."""
    with impaired(bench, path, spec, direction=direction) as engine:
        watch = Watch(engine)
        values = load(bench, "tcp", direction=direction, factor=3)
        held_up = watch.held_up()
    return {
        "rate": 8 * values["bytes"] / values["seconds"] / 1e6,
        "retransmitted": values["retransmitted"],
        "rtt_us": values["rtt_us"],
        **held_up,
    }


_HELD_UP = Column("held up %", "held_up_percent")
_RATE_COLUMNS = (
    Column("packets/s", "rate"),
    Column("lost", "lost"),
    Column("CPU us each", "cpu_us", "{:.2f}"),
    _HELD_UP,
)
_NONE_LOST = AtMost("none lost unasked", "lost", 0, "{:,.0f}")
_STREAM_COLUMNS = (
    Column("Mbit/s", "rate", "{:,.1f}"),
    Column("retransmitted", "retransmitted"),
    Column("RTT us", "rtt_us"),
    _HELD_UP,
)
_PASSED_ON = "A byte passed on: by a program that it wakes, and that does no more (bench/wakeup.py)."
_ALL, _IMPAIRED = (NONE, OURS, KERNEL, TCSET), (OURS, KERNEL, TCSET)


def _rate(key: str, title: str, spec: str, size: int, window: int, least: int) -> Experiment[Bench, OnCable]:
    return Experiment(
        key=key,
        title=f"{title}, {window:,} on their way",
        servers=_ALL,
        columns=_RATE_COLUMNS,
        targets=(AtLeast(f"at least {least:,} packets/s", "rate", least, "{:,.0f}"), _NONE_LOST),
        measure=partial(measure_rate, spec=spec, size=size, window=window),
        reference=NONE,
        subject="on the cable",
        share="of none",
    )


EXPERIMENTS: tuple[Experiment[Bench, OnCable], ...] = (
    *(_rate(f"through-{size}", f"UDP, {size} bytes, let through", "", size, 512, 80_000) for size in SIZES),
    *(
        _rate(f"delay-{size}", f"UDP, {size} bytes, 10 ms later", f"{DELAY} {ROOMY}", size, 3000, 40_000)
        for size in SIZES
    ),
    Experiment(
        key="idle",
        title="Latency of a datagram, 200 a second, let through",
        servers=(OURS, KERNEL),
        columns=(
            Column("alone us", "alone_us", "{:.1f}"),
            Column("median us", "median_us", "{:.1f}"),
            Column("p95 us", "p95_us", "{:.1f}"),
            Column("added us", "added_us", "{:.1f}"),
            Column("a byte passed on us", "passed_on_us", "{:.1f}"),
            _HELD_UP,
        ),
        targets=(
            Undisturbed(
                f"adds at most {AS_LATE:g} times what a byte passed on takes", "times", AS_LATE, "{:.2f}"
            ),
        ),
        notes=(_PASSED_ON,),
        measure=measure_idle,
        subject="on the cable",
    ),
    Experiment(
        key="accuracy",
        title="How late a datagram is that was to be delayed by 10 ms, 1,000 a second",
        servers=_IMPAIRED,
        columns=(
            *(
                Column(f"{name} us", f"{name}_us", "{:,.1f}")
                for name in ("least", "median", "p95", "p99", "longest")
            ),
            Column("a byte: median us", "passed_on_median_us", "{:,.1f}"),
            Column("p95 us", "passed_on_p95_us", "{:,.1f}"),
            _HELD_UP,
        ),
        targets=(
            AtLeast("never too early", "least_us", 0, "{:.1f}"),
            Undisturbed(f"median at most {AS_LATE:g} times a byte's", "median_times", AS_LATE, "{:.2f}"),
            Undisturbed(f"95 % at most {AS_LATE:g} times a byte's", "p95_times", AS_LATE, "{:.2f}"),
        ),
        notes=(_PASSED_ON,),
        measure=partial(measure_delay, rate=1000),
        subject="on the cable",
    ),
    Experiment(
        key="tcp-delay",
        title="TCP, one connection, 10 ms on the way there",
        servers=_ALL,
        columns=_STREAM_COLUMNS,
        targets=(AtLeast("at least 400 Mbit/s", "rate", 400, "{:,.0f}"),),
        measure=partial(measure_stream, spec=f"{DELAY} {ROOMY}", direction="egress"),
        reference=NONE,
        subject="on the cable",
        share="of none",
        notes=("The cable alone carries TCP's super-packets of 64 KB uncut, in no time: it is no network.",),
    ),
    Experiment(
        key="tcp-loss",
        title="TCP, one connection, 1 % lost on the way in",
        servers=_ALL,
        columns=_STREAM_COLUMNS,
        targets=(),
        measure=partial(measure_stream, spec="loss 1%", direction="ingress"),
        reference=NONE,
        subject="on the cable",
        share="of none",
        notes=("The kernel's netem is at the sender here, for it knows only the way out: its TCP sees it.",),
    ),
    Experiment(
        key="tcp-rate",
        title="TCP, one connection, 20 Mbit/s",
        servers=_IMPAIRED,
        columns=_STREAM_COLUMNS,
        targets=(
            AtLeast("at least 18.5 Mbit/s", "rate", 18.5, "{:.2f}"),
            AtMost("at most 19.5 Mbit/s", "rate", 19.5, "{:.2f}"),
        ),
        measure=partial(measure_stream, spec="rate 20mbit", direction="egress"),
        subject="on the cable",
        notes=("Of 1,514 bytes a frame 1,448 are TCP's data: 19.1 Mbit/s at the most.",),
    ),
)


def options(parser: argparse.ArgumentParser) -> None:
    """Add what this campaign takes."""
    parser.add_argument("--rounds", type=positive, metavar="N", help=f"rounds (default: {ROUNDS.rounds})")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that all works")


def measure(campaign: runner.Run) -> None:
    """Measure, and show each table as it is ready."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise UnmeasurableError("two hosts as network namespaces need Linux and root")
    if shutil.which("ip") is None:
        raise UnmeasurableError("the command ip is not installed (package iproute2)")
    given, cores = campaign.options, plan_cores()
    settings = QUICK if given.quick else ROUNDS
    settings = replace(settings, rounds=given.rounds or settings.rounds)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as directory,
            joined(leases.take(), Host) as (near, far),
        ):
            bench = Bench(build(Path(directory), "path")["path"], cores, settings, near, far)
            paths = catalogue(near)
            if paths[OURS].missing:
                raise UnmeasurableError(paths[OURS].missing)
            machine = {
                **describe(),
                "pinned": cores.note.replace("server", "engine"),
                "not measured": {path.name: path.missing for path in paths.values() if path.missing},
            }
            campaign.facts |= {"machine": machine, "settings": asdict(settings)}
            print(
                f"Python {machine['python']}, Linux {machine['kernel']}, {machine['cores']} cores; "
                f"{machine['pinned']}; rounds: {settings.rounds} (medians; ratios within a round)"
            )
            for path in paths.values():
                if path.missing:
                    print(f"{path.name}: not measured: {path.missing}")
            chosen = [
                replace(one, servers=tuple(key for key in one.servers if not paths[key].missing))
                for one in EXPERIMENTS
                if one.key in campaign.only
            ]
            progress = Progress(sum(rounds_of(one, bench) * len(one.servers) for one in chosen))
            for experiment in chosen:
                rows = run(experiment, paths, bench, progress.show)
                progress.clear()
                campaign.report(result(experiment, rows))
    except subprocess.CalledProcessError as error:
        words = error.stderr or b""
        reason = words if isinstance(words, str) else words.decode()
        raise UnmeasurableError(f"{' '.join(error.cmd)}: {reason.strip()}") from error


CAMPAIGN = Campaign(
    "bench-netem",
    "Measures the sidecar's user-space engine: with it, without it, and with others, in one run.",
    dict.fromkeys((one.key for one in EXPERIMENTS), ""),
    measure,
    document,
    options,
    default=ROOT / "results" / "bench-netem.json",
)

if __name__ == "__main__":
    sys.exit(runner.main(CAMPAIGN))
