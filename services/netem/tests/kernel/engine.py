"""What the engine `kernel` must do, on two hosts, with this kernel's netem. Each check says what it saw."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle, pairwise
from pathlib import Path

from kernel import KernelEngine, probe
from lab.failures import Failure
from model import Model
from netem_impairment import Direction, Directions, Impairment, parse, parse_traffic, spread

from tests.kernel.grammar import SPECS
from tests.kernel.hosts import (
    CLIENT,
    INTERFACE,
    SERVER,
    Stream,
    hosts,
    index,
    lost,
    meanwhile,
    transfer,
    written,
)
from tests.kernel.wire import command
from tests.namespaces import on

COUNT = 20_000
LENGTH = 14 + 20 + 8 + 64

CHECKS: dict[str, Callable[[], str]] = {}


def check(function: Callable[[], str]) -> Callable[[], str]:
    """Put a check on the list."""
    CHECKS[function.__name__.replace("_", " ")] = function
    return function


def asked(spec: str, directions: str = "both", traffic: str = "all") -> Impairment:
    """Return an impairment."""
    return Impairment(parse(spec), Directions(directions), parse_traffic(traffic))


@contextmanager
def engine(impairment: Impairment | None = None) -> Iterator[KernelEngine]:
    """Yield an engine on the server's host, and remove what it made. We are on that host meanwhile."""
    with hosts(), on(SERVER):
        made = KernelEngine(INTERFACE)
        try:
            if impairment:
                made.apply(impairment)
            yield made
        finally:
            with suppress(Failure):
                made.clear()
            made.close()


def state() -> str:
    """Return the traffic control and the interfaces of the host that we are on."""
    words = (("tc", "qdisc"), ("tc", "filter", "show", "dev", INTERFACE), ("ip", "-brief", "link"))
    return "".join(subprocess.run(one, capture_output=True, text=True, check=True).stdout for one in words)


def losses(seed: int, spec: str, count: int) -> list[int]:
    """Return which of so many packets the model loses."""
    model: Model[int] = Model(parse(f"{spec} seed {seed}"))
    return [number for number in range(count) if not model.enqueue(0, LENGTH, number)]


def expect_failure(action: Callable[[], object], part: str) -> None:
    """Check that an action fails in one line, which has this part."""
    said = ""
    try:
        action()
    except Failure as failure:
        said = str(failure)
    assert said, f"expected a failure with {part!r}, there was none"
    assert part in said, f"expected {part!r} in: {said}"
    assert "\n" not in said, f"expected one line: {said}"


@check
def loses_what_the_model_loses_in_both_directions() -> str:
    with engine(asked("loss 10% seed 7 limit 100000")) as one:
        # Of both directions egress has the seed that follows from the spec's.
        for source, direction, seed in (
            (CLIENT, Direction.INGRESS, 7),
            (SERVER, Direction.EGRESS, spread(7, Direction.EGRESS)),
        ):
            with Stream(source) as stream:
                stream.send(COUNT)
                gone = lost(COUNT, stream.collect())
            expected = losses(seed, "loss 10% limit 100000", COUNT)
            assert gone == expected, f"{direction}: {len(set(gone) ^ set(expected))} fates differ"
            counted = one.counters()[direction]
            assert (counted.packets, counted.dropped, counted.queued) == (COUNT, len(gone), 0), counted
    return f"2 x {COUNT} datagrams, {len(gone)} of the last lost, fates and counts equal"


@check
def leaves_dns_and_arp_alone() -> str:
    with engine(asked("loss 100%")) as one:
        command("ip", "-n", CLIENT, "neighbour", "flush", "dev", INTERFACE)
        for port, expected in ((53, 100), (12_000, 0)):
            with Stream(CLIENT, port) as stream:
                stream.send(100)
                got = len(stream.collect())
            assert got == expected, f"port {port}: {got} of 100 arrived, expected {expected}"
        neighbours = subprocess.run(
            ["ip", "-n", CLIENT, "neighbour"], capture_output=True, text=True, check=True
        ).stdout
        assert "lladdr" in neighbours, neighbours
        counted = one.counters()[Direction.INGRESS]
        assert counted.packets == counted.dropped == 100, counted
    return "100 of 100 to port 53 arrived, 0 of 100 to another, the neighbour was found"


@check
def impairs_the_traffic_asked_for_alone() -> str:
    with engine(asked("loss 100%", traffic="udp:12000")) as one:
        for traffic, port, expected in (
            ("udp:12000", 12_000, 0), ("udp:12000", 12_001, 50), ("tcp", 12_000, 50), ("icmp", 12_000, 50),
            (":12001", 12_001, 0), (":12001", 12_000, 50), ("udp", 53, 50), ("udp:53", 53, 0), ("all", 9, 0),
        ):  # fmt: skip
            one.apply(asked("loss 100%", traffic=traffic))
            one.verify()
            with Stream(CLIENT, port) as stream:
                stream.send(50)
                got = len(stream.collect(0.1))
            assert got == expected, f"{traffic}, port {port}: {got} of 50 arrived, expected {expected}"
    return "9 combinations of traffic and port"


@check
def changes_in_place_without_loss() -> str:
    specs = [f"limit 100000 {words}" for words in (
        "delay 20ms", "delay 5ms 2ms distribution normal", "delay 5ms 2ms", "delay 30ms reorder 25% gap 3",
        "rate 100mbit", "delay 1ms 1ms 25% distribution pareto", "",
    )]  # fmt: skip
    with engine(asked(specs[0])) as one, Stream(CLIENT) as there, Stream(SERVER, 12_001) as back:
        changes = 0

        def send() -> None:
            for _ in range(COUNT // 100):
                there.send(100)
                back.send(100)
                time.sleep(0.001)  # a pace: the other thread has its turn

        with meanwhile(send) as thread:
            for words in cycle(specs):
                if not thread.is_alive():
                    break
                one.apply(asked(words, traffic=("all", "udp")[changes % 2]))
                one.verify()
                changes += 1
                time.sleep(0.05)  # packets are to be in flight
        for stream in (there, back):
            gone = lost(COUNT, stream.collect())
            assert not gone, f"{len(gone)} of {COUNT} from {stream.source} were lost in {changes} changes"
            assert len(stream.received) == COUNT, "some came twice"
    assert changes > 5, f"only {changes} changes while packets were sent"
    return f"{changes} changes while 2 x {COUNT} datagrams were sent, none lost"


@check
def changes_leave_nothing_of_the_last_spec() -> str:
    with engine() as one:
        for before, after in pairwise([*SPECS, *reversed(SPECS)]):
            one.apply(asked(before))
            one.apply(asked(after))  # reads back, and compares
            one.verify()
    return f"{2 * len(SPECS) - 1} pairs, all options read back"


@check
def takes_a_distribution_back() -> str:
    # What a dump cannot show: 2 x 100 ms is the most that a uniform delay can be, of a normal one 300 draws
    # have one above 300 ms but for one time in a thousand. A busy machine may be late, but not each time.
    count = 300
    took_ms: list[float] = []
    with engine() as one, Stream(CLIENT) as stream:
        while len(took_ms) < 3 and not any(took < 300 for took in took_ms):
            one.apply(asked("delay 100ms 100ms distribution normal", "ingress"))
            one.apply(asked("delay 100ms 100ms", "ingress"))
            begun = time.monotonic()
            stream.send(count)
            stream.receive(stream.sent)
            took_ms.append((time.monotonic() - begun) * 1000)
        # Two netems that both double packets: some kernels refuse that in one tree.
        with Stream(SERVER, 12_001) as back:
            one.apply(asked("delay 300ms 10ms distribution normal duplicate 5%"))
            for way in (stream, back):
                way.send(count)
            one.apply(asked("delay 10ms 10ms duplicate 5%"))
            one.verify()
            assert not lost(count, back.collect(0.5)), "what waited in the first netem was lost"
    assert min(took_ms) < 300, f"{count} datagrams took {took_ms} ms: the table is still used"
    return f"{count} datagrams with at most 200 ms were there after {min(took_ms):.0f} ms"


@check
def clear_sends_what_waits_and_leaves_nothing() -> str:
    with hosts(), on(SERVER):
        before = state()
        one = KernelEngine(INTERFACE)
        one.apply(asked("delay 300ms limit 100000"))
        with Stream(CLIENT) as there, Stream(SERVER, 12_001) as back:
            for stream in (there, back):
                stream.send(2000)
            begun = time.monotonic()
            one.clear()
            took_s = time.monotonic() - begun
            for stream in (there, back):
                assert not lost(2000, stream.collect()), f"some from {stream.source} were lost"
        assert state() == before, f"expected {before}, got {state()}"
        one.apply(asked("delay 1ms"))  # and again
        one.verify()
        one.clear()
        one.close()
        assert state() == before, f"expected {before}, got {state()}"
    assert took_s < 1, f"it took {took_s:.2f} s"
    return f"4000 datagrams that waited arrived, cleared in {took_s:.2f} s, nothing left"


@check
def clears_what_a_killed_predecessor_left() -> str:
    program = (
        "import os, kernel; from netem_impairment import Impairment, parse;"
        "kernel.KernelEngine('eth0').apply(Impairment(parse('loss 100%'))); os.kill(os.getpid(), 9)"
    )
    with hosts(), on(SERVER):
        before = state()
        done = subprocess.run([sys.executable, "-c", program], check=False)
        assert done.returncode == -signal.SIGKILL, done.returncode
        assert "netem" in state(), "expected that it left something"
        one = KernelEngine(INTERFACE)
        assert state() == before, f"expected {before}, got {state()}"
        one.apply(asked("delay 1ms"))
        one.verify()
        one.clear()
        one.close()
        assert state() == before
    return "its qdiscs, filters and interfaces are found and removed"


@check
def refuses_an_interface_that_somebody_else_uses() -> str:
    for words in (("root", "pfifo"), ("ingress",), ("clsact",)):
        with hosts(), on(SERVER):
            command("tc", "qdisc", "add", "dev", INTERFACE, *words)
            before = state()
            expect_failure(lambda: KernelEngine(INTERFACE), "a qdisc that is not ours")
            assert state() == before
    return "root, ingress and clsact of others stay, and are named"


@check
def verify_notices_what_others_change() -> str:
    broken = (
        ("tc filter delete dev eth0 parent 4e00:", "filters"),
        ("tc filter delete dev eth0 ingress", "filters"),
        ("tc qdisc delete dev eth0 root", "gone"),
        ("tc qdisc delete dev eth0 ingress", ""),
        ("tc qdisc change dev eth0 parent 6e10:1 handle 6e11: netem loss 5%", "expected"),
        ("ip link set netem2a down", "not up"),
        ("ip link delete netem2a", "gone"),
    )
    for words, part in broken:
        with engine(asked("delay 1ms 100us distribution normal loss 1% 25% seed 3")) as one:
            one.verify()
            command(*words.replace("netem2a", f"netem{index()}a").split())
            expect_failure(one.verify, part)
    return f"{len(broken)} ways of breaking it"


@check
def loses_segments_and_not_super_packets() -> str:
    said = []
    size = 8 << 20
    for source, direction in ((CLIENT, Direction.INGRESS), (SERVER, Direction.EGRESS)):
        with engine(asked("loss 1% seed 11 limit 100000", direction)) as one:
            done = transfer(source, size)
            counted = one.counters()[direction]
        assert done.arrived == size
        assert counted.packets >= size // 1448, f"{counted.packets} packets for {size} bytes: not segments"
        # The kernel counts segments also where they come in one piece: so what is lost tells. Of 5,800 there
        # are 58 to be lost (under 20: one in a billion), of a hundred pieces one, and with it forty segments.
        # A segment that was sent again although it was only late is one more.
        assert counted.dropped >= 20, f"{counted.dropped} of {counted.packets} packets lost"
        assert 0 <= done.again - counted.dropped <= 5, f"{counted.dropped} lost, {done.again} sent again"
        said.append(
            f"{direction}: {counted.packets} packets, {counted.dropped} lost, {done.again} sent again"
        )
    return "; ".join(said)


@check
def ends_when_the_interface_is_gone() -> str:
    with engine(asked("delay 1ms")) as one:
        begun = time.monotonic()
        command("ip", "link", "delete", INTERFACE)
        expect_failure(lambda: one.serve({}), "is gone")
        took_s = time.monotonic() - begun
        expect_failure(one.verify, "gone")
        one.clear()
        left = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
        assert "netem" not in left, left
    return f"noticed after {took_s * 1000:.0f} ms"


@check
def serves_requests() -> str:
    heard: list[bytes] = []
    reading, writing = os.pipe()
    os.write(writing, b"x")

    def answer() -> None:
        heard.append(os.read(reading, 1))
        raise SystemExit

    with engine(asked("delay 1ms")) as one, suppress(SystemExit):
        one.serve({reading: answer})
    for descriptor in (reading, writing):
        os.close(descriptor)
    assert heard == [b"x"]
    return "a descriptor that can be read is handled"


@check
def a_refused_spec_changes_nothing() -> str:
    with engine(asked("delay 7ms seed 5")) as one:
        before = state()
        table = Path("/usr/lib/x86_64-linux-gnu/tc/pareto.dist")
        away = table.rename(table.with_suffix(".away"))
        try:
            expect_failure(lambda: one.apply(asked("delay 1ms 1ms distribution pareto")), "pareto")
        finally:
            away.rename(table)
        assert state() == before
        one.verify()
    return "the last impairment stays"


@check
def probe_names_what_is_missing() -> str:
    with hosts(), on(SERVER):
        before = state()
        assert probe(INTERFACE) is None
        assert "no network interface" in str(probe("eth7"))
        program = "import kernel; print(kernel.probe('eth0'))"
        words = [
            "setpriv",
            "--bounding-set=-net_admin",
            "--inh-caps=-net_admin",
            sys.executable,
            "-c",
            program,
        ]
        said = subprocess.run(words, capture_output=True, text=True, check=False)
        assert "NET_ADMIN" in said.stdout, said
        assert state() == before
    # Without the programs that load modules, a module that is taken out is a kernel that lacks it.
    for module, directions, part in (
        ("sch_netem", Directions.BOTH, "no sch_netem"),
        ("act_mirred", Directions.BOTH, "no act_mirred"),
        ("act_mirred", Directions.EGRESS, "None"),
        ("ifb", Directions.BOTH, "no ifb"),
        ("ifb", Directions.EGRESS, "None"),
    ):
        command("rmmod", module)
        loader = written("/proc/sys/kernel/modprobe", "/nowhere")
        try:
            with hosts(), on(SERVER):
                found = probe(INTERFACE, directions)
                assert part in str(found), f"without {module}: {found}"
        finally:
            written("/proc/sys/kernel/modprobe", loader)
            command("modprobe", module)
    return "NET_ADMIN, sch_netem, act_mirred, ifb"
