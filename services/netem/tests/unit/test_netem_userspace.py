"""What the engine does with packets, step by step, between a queue and a sender that write it down."""

from collections import deque
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from lab.failures import Failure
from link import Link
from model import Model
from netem_impairment import parse
from userspace import packet_flow, path_probes, userspace_engine
from userspace.egress_flow import EgressFlow
from userspace.ingress_flow import IngressFlow
from userspace.ip_packets import udp
from userspace.nfqueue import Packet, PacketQueue, Statistics
from userspace.raw_sender import Sender

MS = 1_000_000
TOKEN = bytes(range(16))


class FakeQueue:
    """A queue whose packets are put in by the test; identifiers are letters."""

    number = 1

    def __init__(self, story: list[str]) -> None:
        self.buffer = bytearray()
        self.story = story
        self.pending: list[str] = []
        self.arrived: deque[list[Packet]] = deque()
        self.lost = 0

    def fileno(self) -> int:
        """Return no descriptor."""
        return -1

    def arrive(self, *packets: tuple[str, bytes]) -> None:
        """Let packets come, to be read at once."""
        batch = []
        self.buffer.clear()
        for name, packet in packets:
            start = len(self.buffer)
            self.buffer += packet
            batch.append((name.encode(), start, len(self.buffer)))
        self.arrived.append(batch)

    def read(self) -> list[Packet]:
        """Return what came."""
        return self.arrived.popleft() if self.arrived else []

    def statistics(self) -> Statistics:
        """Return what was lost."""
        return Statistics(0, self.lost)

    def hold(self, packets: int) -> None:
        """Note how many may wait."""
        self.story.append(f"hold {packets}")

    def accept(self, identifier: bytes) -> None:
        """Note it; the kernel hears of it with the next flush."""
        self.pending.append(f"accept {identifier.decode()}")

    def drop(self, identifier: bytes) -> None:
        """Note it."""
        self.pending.append(f"drop {identifier.decode()}")

    def accept_through(self, identifier: bytes) -> None:
        """Note it."""
        self.pending.append(f"accept through {identifier.decode()}")

    def drop_through(self, identifier: bytes) -> None:
        """Note it."""
        self.pending.append(f"drop through {identifier.decode()}")

    def replace(self, identifier: bytes, packet: bytes) -> None:
        """Note it; this one the kernel hears of at once."""
        self.flush()
        self.story.append(f"replace {identifier.decode()} by {len(packet)} bytes")

    def flush(self) -> None:
        """Tell the kernel."""
        self.story += self.pending
        self.pending.clear()


class FakeSender:
    """Notes what is sent."""

    def __init__(self, story: list[str]) -> None:
        self.story = story
        self.pending: list[str] = []
        self.refused = 0

    def add(self, packet: bytes) -> None:
        """Note the last byte of the packet, by which the test knows it."""
        self.pending.append(f"send {chr(packet[-1])}")

    def flush(self) -> None:
        """Let it go."""
        self.story += self.pending
        self.pending.clear()


class FakeLink:
    """A link with the MTU of Ethernet."""

    mtu = 1500


class Bench:
    """A flow between fakes, and the clock."""

    def __init__(self, kind: type[packet_flow.Flow], monkeypatch: pytest.MonkeyPatch) -> None:
        self.story: list[str] = []
        self.now_ns = 0
        monkeypatch.setattr(packet_flow, "monotonic_ns", lambda: self.now_ns)
        self.queue, self.sender = FakeQueue(self.story), FakeSender(self.story)
        self.flow = kind(
            cast(PacketQueue, self.queue), cast(Sender, self.sender), cast(Link, FakeLink()), TOKEN
        )

    def change(self, spec: str, **start: int) -> None:
        """Impair from now on."""
        self.flow.change(Model(parse(spec), None, start or None))
        self.story.clear()

    def arrive(self, names: str, size: int = 100) -> list[str]:
        """Let packets come, and return what was done about them."""
        self.queue.arrive(*((name, packet(name, size)) for name in names))
        self.flow.take()
        return self.told()

    def at(self, time_ms: float) -> list[str]:
        """Let time pass, and return what was done then."""
        self.now_ns = int(time_ms * MS)
        self.flow.release(self.now_ns)
        return self.told()

    def awaited(self) -> int | None:
        """Return the number of the probe that is waited for."""
        return self.flow.awaited

    def told(self) -> list[str]:
        """Return what was done since this was asked last."""
        assert not self.queue.pending, "verdicts wait at the end of a turn"
        assert not self.sender.pending, "packets wait to be sent at the end of a turn"
        told = list(self.story)
        self.story.clear()
        return told


def packet(name: str, size: int) -> bytes:
    may_be_cut = bytearray(udp("10.0.0.1", "10.0.0.2", 9, bytes(size - 1) + name.encode()))
    may_be_cut[6] = 0
    return bytes(may_be_cut)


@pytest.fixture
def egress(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(EgressFlow, monkeypatch)


@pytest.fixture
def ingress(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(IngressFlow, monkeypatch)


@pytest.fixture(params=["egress", "ingress"])
def either(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def test_what_does_not_wait_goes_on_together(either: Bench) -> None:
    either.change("")
    assert either.arrive("abc") == ["accept through c"]


def test_those_that_are_lost_are_dropped_before_the_others_go_on(either: Bench) -> None:
    either.change("loss 10% seed 42424242")
    assert either.arrive("abcdefghijklmnopqrstuvwxy") == ["drop e", "drop l", "drop x", "accept through y"]
    either.change("loss 100%")
    assert either.arrive("ab") == ["drop a", "drop b"]


def test_a_copy_leaves_behind_what_came_before(either: Bench) -> None:
    either.change("duplicate 30% seed 6")  # the second of three is doubled
    assert either.arrive("abc") == ["accept through a", "accept b", "send b", "accept through c"]


def test_a_damaged_packet_goes_on_in_its_place_or_is_never_seen(either: Bench) -> None:
    either.change("corrupt 100% seed 1")
    done = [either.arrive("a") for _ in range(300)]
    # Of 142 bytes, 28 of a frame are where its damage is noticed by the network layer, and 6 do not matter.
    assert done.count(["replace a by 128 bytes"]) > 200
    assert 20 < done.count(["drop a"]) < 100
    assert 0 < done.count(["accept a"]) < 40
    assert all(told in (["replace a by 128 bytes"], ["drop a"], ["accept a"]) for told in done)


def test_damage_draws_no_number_of_the_models(either: Bench) -> None:
    either.change("loss 10% corrupt 100% seed 42424242")
    model: Model[int] = Model(parse("loss 10% corrupt 100% seed 42424242"))
    expected = [number for number in range(100) if not model.enqueue(0, 142, number) or not model.dequeue(0)]
    lost = [number for number in range(100) if either.arrive("a") == ["drop a"]]
    assert set(expected) <= set(lost)
    assert either.flow.counters().dropped == len(expected)


def test_egress_that_waits_is_dropped_and_sent_when_due(egress: Bench) -> None:
    egress.change("delay 10ms")
    assert egress.arrive("ab") == ["drop through b"]
    egress.now_ns = 4 * MS
    assert egress.arrive("c") == ["drop through c"]
    assert egress.at(9.999) == []
    assert egress.at(10) == ["send a", "send b"]
    assert egress.at(20) == ["send c"]


def test_ingress_that_waits_is_held_and_goes_on_when_due(ingress: Bench) -> None:
    ingress.change("delay 10ms")
    assert ingress.arrive("ab") == []
    assert ingress.at(9.999) == []
    assert ingress.at(10) == ["accept a", "accept b"]


def test_ingress_that_is_lost_is_dropped_at_once(ingress: Bench) -> None:
    ingress.change("delay 10ms limit 2")
    assert ingress.arrive("abcd") == ["drop c", "drop d"]


def test_of_a_doubled_ingress_packet_the_first_goes_on_and_the_copy_is_sent(ingress: Bench) -> None:
    ingress.change("delay 10ms duplicate 100%")
    assert ingress.arrive("ab") == []
    assert ingress.at(10) == ["accept a", "send a", "accept b", "send b"]


def test_of_a_doubled_egress_packet_both_are_sent(egress: Bench) -> None:
    egress.change("delay 10ms duplicate 100%")
    assert egress.arrive("ab") == ["drop through b"]
    assert egress.at(10) == ["send a", "send a", "send b", "send b"]


def test_damaged_ingress_is_replaced_when_it_is_due(ingress: Bench) -> None:
    ingress.change("delay 10ms corrupt 100% seed 1")
    for _ in range(20):
        assert ingress.arrive("a") == []
    ingress.now_ns = 10 * MS
    told = ingress.at(10)
    assert told.count("replace a by 128 bytes") > 10
    assert set(told) <= {"replace a by 128 bytes", "drop a", "accept a"}


@pytest.mark.parametrize("verb", ["send", "accept"])
def test_packets_sent_ahead_do_not_overtake_each_other(egress: Bench, ingress: Bench, verb: str) -> None:
    bench = egress if verb == "send" else ingress
    bench.change("delay 10ms reorder 100%")
    # Each is alone when it comes to the kernel's queue, though we read three at once.
    assert [told for told in bench.arrive("abc") if told.startswith(verb)] == [
        f"{verb} {name}" for name in "abc"
    ]


def test_what_waits_keeps_its_time_when_the_impairment_changes(either: Bench) -> None:
    either.change("delay 30ms")
    either.arrive("a")
    either.now_ns = 1 * MS
    either.change("delay 5ms")
    either.arrive("b")
    assert [told[-1] for told in either.at(6)] == ["b"]
    either.change("")
    # Something waits: so this one takes its place in the queue, and not the way past it.
    either.now_ns = 7 * MS
    assert {"send c", "accept c"} & set(either.arrive("c"))
    assert [told[-1] for told in either.at(30)] == ["a"]
    assert either.arrive("d") == ["accept through d"]


def test_a_datagram_that_does_not_fit_is_impaired_by_fragment(egress: Bench) -> None:
    egress.change("loss 10% seed 42424242")  # of the packets 5, 12 and 24
    assert egress.arrive("a", 5000) == ["accept a"]  # packets 1 to 4
    told = egress.arrive("b", 5000)
    assert told[0] == "drop b"
    assert len(told) == 4  # three fragments are left
    assert egress.flow.counters().packets == 8


def test_a_datagram_that_came_whole_is_not_cut(ingress: Bench) -> None:
    ingress.change("")
    assert ingress.arrive("a", 5000) == ["accept through a"]


NOT_SHOWN_WHOLE = 65_507  # bytes of payload, 4 of which the kernel does not copy


def test_egress_that_is_not_shown_whole_is_held_by_the_kernel_until_it_is_due(egress: Bench) -> None:
    egress.change("delay 10ms")
    egress.queue.arrive(("a", packet("a", 100)), ("b", packet("b", NOT_SHOWN_WHOLE)), ("c", packet("c", 100)))
    egress.flow.take()
    # Not "drop through": the kernel would drop with them what it holds for us.
    assert egress.told() == ["drop a", "drop c"]
    assert egress.arrive("d") == ["drop d"]
    assert egress.at(9.999) == []
    assert egress.at(10) == ["send a", "accept b", "send c", "send d"]
    assert egress.arrive("e") == ["drop through e"]
    assert egress.flow.counters().packets == 4 + 45


def test_what_is_not_shown_whole_is_due_with_the_last_of_its_fragments(egress: Bench) -> None:
    egress.change("rate 12mbit limit 2000")  # 1.01 ms a fragment
    assert egress.arrive("a", NOT_SHOWN_WHOLE) == []
    assert egress.at(40) == []
    assert egress.flow.counters().queued == 6
    assert egress.at(46) == ["accept a"]


def test_what_is_not_shown_whole_goes_on_behind_those_before_it(either: Bench) -> None:
    either.change("")
    either.queue.arrive(("a", packet("a", 100)), ("b", packet("b", NOT_SHOWN_WHOLE)), ("c", packet("c", 100)))
    either.flow.take()
    assert either.told() == ["accept through a", "accept b", "accept through c"]


@pytest.mark.parametrize(
    ("spec", "done"),
    [
        ("duplicate 100%", "accept a"),
        ("corrupt 100%", "drop a"),
        ("loss 100%", "drop a"),
        ("limit 1", "accept a"),
    ],
)
@pytest.mark.parametrize("delay", ["", " delay 10ms"])
def test_ingress_that_is_not_shown_whole_is_neither_copied_nor_damaged(
    ingress: Bench, spec: str, done: str, delay: str
) -> None:
    ingress.change(spec + delay)
    assert ingress.arrive("a", NOT_SHOWN_WHOLE) + ingress.at(10) == [done]
    assert ingress.flow.counters().too_long == spec.startswith(("duplicate", "corrupt"))
    ingress.change(spec)
    assert ingress.flow.counters().too_long == 0


@pytest.mark.parametrize("spec", ["", "delay 10ms", "loss 100%"])
def test_a_probe_is_no_packet_of_the_models(either: Bench, spec: str) -> None:
    either.change(spec)
    either.flow.awaited = 7
    probes = [(name, packet("x", 50) + path_probes.PAYLOAD.pack(TOKEN, number)) for name, number in
              (("o", 6), ("p", 7))]  # fmt: skip
    either.queue.arrive(probes[0])
    either.flow.take()
    assert either.told() == ["drop o"]
    assert either.awaited() == 7  # an old one
    either.queue.arrive(probes[1], ("a", packet("a", 50)))
    either.flow.take()
    assert either.told()[-1] != "drop o"
    assert either.awaited() is None
    assert either.flow.counters().packets == 1


def test_what_was_lost_unasked_is_counted_by_itself_until_the_next_change(either: Bench) -> None:
    either.change("")
    either.arrive("a")
    either.queue.lost += 3
    either.sender.refused += 2
    counters = either.flow.counters()
    assert (counters.packets, counters.overload, counters.over_limit, counters.dropped) == (6, 5, 0, 0)
    either.change("")
    assert either.flow.counters().overload == 0


def test_the_queue_may_hold_what_the_limit_allows(either: Bench) -> None:
    either.flow.change(Model(parse("delay 1s limit 5000")))
    assert either.told() == ["hold 5000"]


def test_waits_are_asked_for_in_the_models_own_order(either: Bench) -> None:
    either.change("delay 10ms 5ms seed 3")
    names: Sequence[str] = "abcdefgh"
    either.arrive("".join(names))
    model: Model[str] = Model(parse("delay 10ms 5ms seed 3"))
    for name in names:
        model.enqueue(0, 142, name)
    expected = []
    while due := model.dequeue(20 * MS):
        expected.append(due[0])
    assert [told[-1] for told in either.at(20)] == expected


class Draining(userspace_engine.UserspaceEngine):
    """An engine whose turns are a script: how long each takes in seconds, and whether it handles packets."""

    def __init__(self, *turns: tuple[float, bool], waiting: int) -> None:
        self.now, self._script = 0.0, deque(turns)
        queue = SimpleNamespace(statistics=lambda: Statistics(waiting, 0))
        self._flows = cast("Any", {"ingress": SimpleNamespace(queue=queue)})

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def _turn(self, _watch: object, _patience_s: float) -> list[int]:
        took_s, handled = self._script.popleft()
        self.now += took_s
        return [1] if handled else []


def test_turn_that_a_busy_machine_holds_up_is_no_queue_that_keeps_its_packets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Draining((2.0, True), (2.0, True), (0.005, False), waiting=0)
    monkeypatch.setattr(userspace_engine, "monotonic", engine.monotonic)
    engine._drain()
    assert engine.now == 4.005


def test_queue_that_keeps_its_packets_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Draining((0.1, True), (0.3, False), (0.3, False), waiting=1)
    monkeypatch.setattr(userspace_engine, "monotonic", engine.monotonic)
    with pytest.raises(Failure, match="packets are left in a queue"):
        engine._drain()
