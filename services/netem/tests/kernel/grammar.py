"""Compares our reading of tc's language with tc's own: the numbers that reach the kernel, and the refusals.

The same words go to `tc qdisc add` and to `netem_impairment.parse`; what the kernel then has, a dump shows.
"""

import subprocess
from contextlib import suppress
from dataclasses import dataclass, replace

import distributions
from kernel.netem_message import as_dumped, netem, read_netem
from netem_impairment import Spec, SpecError, parse

from tests.kernel.wire import NEAR, Wire

SPECS = (
    "",
    "limit 1",
    "limit 4294967295",
    "delay 1ms",
    "latency 1ms",
    "delay 100us",
    "delay 1.5ms",
    "delay 0.1us",
    "delay 1ns",
    "delay 33.333333ms",
    "delay 1e-3s",
    "delay 2e2ms",
    "delay 1sec",
    "delay 1secs",
    "delay 1msec 2msecs",
    "delay 1usec 2usecs",
    "delay 10nsec 20nsecs",
    "delay 1S 2MS",
    "delay 4294967296ns",
    "delay 300s",
    "delay 4000s 2s",
    "delay 10ms 2147483647ns",
    "delay 10ms 5ms 25%",
    "delay 10ms 5ms 0.001%",
    "delay 10ms 5ms 99.999%",
    "slot 10ms packets 3",
    "delay 10ms 5ms distribution normal",
    "delay 10ms 5ms 25% distribution pareto",
    "delay 10ms 5ms distribution paretonormal",
    "distribution normal delay 10ms 5ms",
    "loss 0%",
    "loss 0.0000001%",
    "loss 0.1%",
    "loss 1",
    "loss 10",
    "loss 33.3333333%",
    "loss 50%",
    "loss 99.9999999%",
    "loss 100%",
    "drop 5%",
    "loss 1e1%",
    "loss random 5%",
    "loss 5% 25%",
    "loss random 5% 50%",
    "loss state 1%",
    "loss state 1% 10%",
    "loss state 1% 10% 70%",
    "loss state 1% 10% 70% 30%",
    "loss state 1% 10% 70% 30% 0.1%",
    "loss state 33.3%",
    "loss state 100%",
    "loss gemodel 1%",
    "loss gemodel 7.7%",
    "loss gemodel 1% 10%",
    "loss gemodel 1% 10% 70%",
    "loss gemodel 1% 10% 70% 0.1%",
    "loss gemodel 0% 100% 0% 100%",
    "loss 5% ecn",
    "loss gemodel 1% ecn",
    "duplicate 5%",
    "duplicate 100%",
    "duplicate 5% loss 1% 10%",
    "duplicate 5% 30% loss 1% 10%",
    "corrupt 0.3%",
    "corrupt 3% 20%",
    "delay 10ms reorder 25%",
    "delay 10ms reorder 25% 50%",
    "delay 10ms reorder 25% gap 5",
    "delay 10ms reorder 25% 50% gap 5",
    "gap 3 reorder 10% delay 1ms",
    "delay 10ms reorder 0%",
    "rate 1mbit",
    "rate 1000",
    "rate 8bit",
    "rate 9bit",
    "rate 1kbit",
    "rate 1.5mbit",
    "rate 1kibit",
    "rate 1mibit",
    "rate 1gibit",
    "rate 10gbit",
    "rate 34359738367bit",
    "rate 34359738368bit",
    "rate 40gbit",
    "rate 1tbit",
    "rate 125bps",
    "rate 1kbps",
    "rate 1mbps",
    "rate 2gbps",
    "rate 1kibps",
    "rate 1mibps",
    "rate 1MBIT",
    "rate 33.333kbit",
    "rate 20mbit 24",
    "rate 20mbit -10",
    "rate 20mbit 24 53",
    "rate 20mbit 24 53 5",
    "rate 20mbit -14 53 -3",
    "rate 20mbit 0 0 5",
    "slot 10ms",
    "slot 10ms 20ms",
    "slot 800us packets 5",
    "slot 10ms 20ms packets 5 bytes 3000",
    "slot 10ms bytes 1500",
    "slot distribution normal 10ms 2ms",
    "slot distribution pareto 10ms 2ms packets 3",
    "seed 0",
    "seed 1",
    "seed 42424242",
    "seed 18446744073709551615",
    "limit 5000 delay 50ms 10ms 25% distribution normal loss 1% 2% duplicate 1% 5% corrupt 0.1% 3% seed 99",
    "delay 50ms loss gemodel 1% 10% 70% 0.1% reorder 25% 50% gap 5 rate 20mbit 24 53 5 slot 1ms 2ms bytes 9",
)

# What both refuse.
REFUSED = (
    "dely 10ms",
    "delay",
    "delay x",
    "delay 10parsec",
    "delay 10ms x",
    "loss",
    "loss x%",
    "loss 101%",
    "loss state",
    "loss markov 1%",
    "loss gemodel",
    "loss 5% loss 5%",
    "duplicate",
    "duplicate 101%",
    "corrupt",
    "corrupt abc",
    "reorder 25%",
    "gap 5",
    "gap 5 delay 10ms",
    "delay 10ms reorder 25% gap x",
    "distribution normal",
    "delay 10ms distribution normal",
    "delay 10ms 5ms distribution gauss",
    "ecn",
    "rate",
    "rate fast",
    "rate 1xbit",
    "limit",
    "limit x",
    "slot",
    "slot 20ms 10ms",
    "slot distribution normal",
    "slot distribution normal 10ms 0ms",
    "seed",
    "seed x",
    "seed 18446744073709551616",
    "10%",
)

# What tc takes, and we do not: the reason is what would happen.
STRICTER = {
    "delay 10": "a bare number is microseconds in the manual and nanoseconds in tc",
    "delay 10ms delay 20ms": "tc takes the last in silence",
    "del 10ms": "tc completes words",
    "delay 10ms 3s": "the kernel cuts a jitter at 2.147483647 s in silence",
    "rate 50%": "of the device's speed, which a virtual one has not",
    "rate 7bit": "less than a byte a second is 0, and 0 is no rate at all",
    "rate 0": "0 is no rate at all",
    "limit 0": "every packet is refused",
    "limit 1k": "packets are counted in thousands, tc takes 1024",
    "slot 10ms bytes 1k": "the same",
    "seed -1": "tc takes 18446744073709551615",
    "delay .5ms": "a number begins with a digit: tc does not always see it as one",
    "delay 1ms reorder 5% gap 0x5": "numbers are decimal",
    "loss 5% ecn ecn": "each option once",
}

# What we do, and tc does not, though its manual says it.
BETTER = {
    "delay 10ms 5ms distribution uniform": "tc looks for uniform.dist, which it does not ship",
    "duplicate 5% 30%": "tc does not send the correlation when nothing else has one",
}


@dataclass(frozen=True)
class Difference:
    """Words that tc and we read differently."""

    words: str
    difference: str


def tc(words: str) -> str:
    """Put a netem that tc reads from words on the near end; return its complaint, or nothing."""
    subprocess.run(["tc", "qdisc", "delete", "dev", NEAR, "root"], capture_output=True, check=False)
    done = subprocess.run(
        ["tc", "qdisc", "add", "dev", NEAR, "root", "netem", *words.split()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"


def unseeded(spec: Spec, words: str) -> Spec:
    """Return a spec without the seed that the kernel chose."""
    return spec if "seed" in words.split() else replace(spec, seed=None)


def compare(wire: Wire) -> tuple[int, list[Difference]]:
    """Return how many texts were read, and which of them differently."""
    found = []
    for words in SPECS:
        if complaint := tc(words):
            found.append(Difference(words, f"tc refuses it: {complaint}"))
            continue
        theirs = unseeded(read_netem(wire.netem().options), words)
        try:
            spec = parse(words)
        except SpecError as error:
            found.append(Difference(words, f"we refuse it: {error}"))
            continue
        readings = {"read": spec, "printed and read again": parse(str(spec))}
        found += [
            Difference(words, f"{what}: we have {as_dumped(ours)}, tc has {theirs}")
            for what, ours in readings.items()
            if as_dumped(ours) != theirs
        ]
        table = distributions.load(spec.distribution) if spec.distribution else None
        slot = spec.slot.distribution if spec.slot else None
        wire.impair(netem(spec, table, distributions.load(slot) if slot else None))
        there = unseeded(read_netem(wire.netem().options), words)
        if there != theirs:
            found.append(Difference(words, f"in the kernel: ours is {there}, tc's {theirs}"))
    return len(SPECS), found


def same(wire: Wire, words: str) -> bool:
    """Tell whether tc makes of a text what we make of it."""
    return not tc(words) and unseeded(read_netem(wire.netem().options), words) == as_dumped(parse(words))


def compare_refusals(wire: Wire) -> tuple[int, list[Difference]]:
    """Return how many texts were to be refused, or read otherwise by tc, and which of them were not."""
    found = []
    found += [Difference(words, "tc does the same now: move it") for words in BETTER if same(wire, words)]
    for words in (*REFUSED, *STRICTER):
        complaint = tc(words)
        if words in REFUSED and not complaint:
            found.append(Difference(words, "tc takes it"))
        if words in STRICTER and complaint:
            found.append(Difference(words, f"tc refuses it, too: {complaint}"))
        with suppress(SpecError):
            found.append(Difference(words, f"we take it: {parse(words)}"))
    return len(REFUSED) + len(STRICTER) + len(BETTER), found
