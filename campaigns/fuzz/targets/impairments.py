"""What can be asked of a network: specs, traffic, directions, and what somebody types (LOSS=30)."""

import math
from contextlib import suppress
from dataclasses import fields, replace

from kernel.netem_message import as_dumped, netem, read_netem
from netem_impairment import Direction, Impairment, Slot, SpecError, parse, parse_directions, parse_traffic

from campaigns.fuzz.target import Target, one_line
from socketlab.claims import registry
from socketlab.cli.experiment_commands import how_many
from socketlab.describe.scenario import Protocol
from socketlab.describe.wishes import Wishes, experiment
from socketlab.errors import ScenarioError
from socketlab.run.experiments import client_arguments


def spec(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    try:
        read = parse(text)
    except SpecError as refusal:
        one_line(refusal)
        return
    printed = str(read)
    assert parse(printed) == read, f"printed as {printed!r} it is another"
    assert str(parse(printed)) == printed
    dumped = read_netem(netem(read))
    if dumped.slot == Slot():  # a kernel dumps none then
        dumped = replace(dumped, slot=None)
    assert dumped == as_dumped(read), "the kernel would be told something else"


def request(data: bytes) -> None:
    first, _, second = data.decode("utf-8", "surrogateescape").partition("\n")
    try:
        traffic = parse_traffic(first)
    except SpecError as refusal:
        one_line(refusal)
    else:
        assert parse_traffic(str(traffic)) == traffic
        assert traffic.port is None or 1 <= traffic.port <= 65_535
    try:
        directions = parse_directions(second)
    except SpecError as refusal:
        one_line(refusal)
    else:
        assert str(directions) == second


NAMES = [field.name for field in fields(Wishes)]


def wishes(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    typed = dict(line.split("=", 1) for line in text.split("\n") if "=" in line)
    wished = Wishes(**{name: value for name, value in typed.items() if name in NAMES})
    for read in (how_many, lambda only: registry.chosen(only.split())):
        try:
            read(typed.get("shown", ""))
        except ScenarioError as refusal:
            one_line(refusal)
    protocol = Protocol.TCP if "tcp" in typed else Protocol.UDP
    try:
        found = experiment(protocol, wished, both_protocols="both" in typed)
    except ScenarioError as refusal:
        one_line(refusal)
        return
    asked: Impairment = found.impairment
    assert parse(str(asked.spec)) == asked.spec
    assert parse_traffic(str(asked.traffic)) == asked.traffic
    assert all(parse(str(one)) == one for way in Direction if (one := asked.of(way)) is not None)
    assert math.isfinite(found.longest_round_trip_s)
    assert all(word.isprintable() for word in client_arguments(found))
    with suppress(SpecError):
        parse(wished.netem or "")


TARGETS = (
    Target(
        "spec",
        "tc-netem(8)'s language",
        "a spec or a refusal in one line; printed and read again, and as the kernel's own message, it is the"
        " same spec",
        spec,
        (
            b"delay 50ms 10ms 25% distribution normal loss 10% seed 42",
            b"loss state 1% 10% 70% 30% 0.1%",
            b"loss gemodel 1% 10% 70% 0.1% ecn",
            b"limit 1000 duplicate 5% 1% corrupt 1% rate 20mbit 24 53 -5",
            b"delay 10ms reorder 25% 50% gap 5",
            b"slot distribution pareto 10ms 2ms packets 5 bytes 9",
            b"slot 10ms 20ms bytes 1500",
            b"latency 1e3us drop random 3.5",
        ),
        1_000_000,
        160,
    ),
    Target(
        "request",
        "traffic and directions",
        "a value or a refusal in one line; printed and read again it is the same",
        request,
        (b"udp:12000\nboth", b":53\ningress", b"icmp\negress", b"all\n"),
        3_000_000,
        48,
    ),
    Target(
        "wishes",
        "what somebody types: LOSS=30",
        "an experiment that can be run, or a refusal in one line",
        wishes,
        (
            b"loss=10\ndelay=25\nreorder=25\nseed=1",
            b"netem=delay 5ms\ncount=3\nsize=64\nrate=10\ntcp=",
            b"jitter=5ms\nduplicate=5%\ncorrupt=1\ndirection=ingress\nengine=kernel\nprogram=lecture\nboth=",
            b"timeout=2s\ndelay=1s",
            b"shown=U7 T4",
            b"shown=25",
        ),
        200_000,
        256,
    ),
)
