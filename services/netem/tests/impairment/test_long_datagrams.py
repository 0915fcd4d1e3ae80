"""Datagrams of which the kernel does not show all to the engine: they leave whole, or not at all.

A queue copies 65,531 bytes of a packet at most, and a datagram may be 65,535 long, over IPv6 40 more. On the
way out it comes in one piece; on the way in, too, where connections are tracked, as in Docker's containers.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from model import Model
from netem_impairment import leases, parse

from tests.impairment.hosts import PORT, QUIET_S, EngineProcess, Host, numbered, send
from tests.namespaces import joined

COPIED = 65_531  # bytes of a packet
TRACKED = {
    "iptables": "-d 127.0.0.11/32 -p udp --dport 53 -j DNAT --to-destination 127.0.0.11:35001",
    "ip6tables": "-d ::1/128 -p udp --dport 53 -j DNAT --to-destination [::1]:35001",
}


@dataclass
class Way:
    """From a socket of one host to one of the other, in a direction as the engine's host sees it."""

    direction: str
    headers: int  # bytes of IP's and UDP's
    fragments: int  # of a datagram of 65,500 bytes and some, as they come to the impairment
    sender: socket.socket
    receiver: socket.socket
    engine: EngineProcess

    @property
    def cut(self) -> range:
        """Sizes of the datagrams that are not shown whole."""
        return range(COPIED - self.headers + 1, 65_535 - 8 - (self.headers == 28) * 20 + 1)

    def through(self, spec: str, sizes: Sequence[int]) -> list[int]:
        """Send datagrams of these sizes through an impairment; return the numbers of those that arrive."""
        self.engine.apply(spec, self.direction)
        self.sender.settimeout(5)
        for number, size in enumerate(sizes):
            send(self.sender, self.receiver.getsockname(), [number], size)
            # So few at a time that there is room for all of their fragments.
            self.wait(number + 1)
        return self.arrived(sizes)

    def wait(self, packets: int) -> None:
        """Wait until so many packets have come to the impairment and none waits any more."""
        self.engine.wait_for(
            f"{packets} packets, none waiting",
            lambda counters: (
                counters[self.direction]["packets"] >= packets and counters[self.direction]["queued"] == 0
            ),
        )

    def arrived(self, sizes: Sequence[int]) -> list[int]:
        """Return the numbers of the datagrams that have come; each is as it was sent, to the last byte."""
        numbers: list[int] = []
        self.receiver.settimeout(QUIET_S)
        while True:
            try:
                data = self.receiver.recv(70_000)
            except TimeoutError:
                return numbers
            number = int(data[1 : data.index(b" ")])
            assert len(data) == sizes[number], f"a torn datagram: {len(data)} bytes of {sizes[number]}"
            assert data == numbered(number, sizes[number])
            numbers.append(number)

    def counted(self) -> dict[str, int]:
        """Return the counters."""
        return self.engine.counters()[self.direction]


@pytest.fixture(scope="module")
def tracked() -> Iterator[tuple[Host, Host, EngineProcess]]:
    """Two hosts of which the first tracks connections, and its engine."""
    with joined(leases.take(), Host) as (near, far), ExitStack() as stack:
        for command, rule in TRACKED.items():
            near.run(f"{command}-nft-restore", "--noflush", text=f"*nat\n-A OUTPUT {rule}\nCOMMIT\n")
        engine = EngineProcess(near)
        stack.callback(engine.close)
        yield near, far, engine
        assert engine.stop() == (143, "")


@pytest.fixture(params=["egress", "ingress", "egress over IPv6", "ingress over IPv6"])
def way(
    request: pytest.FixtureRequest, hosts: object, tracked: tuple[Host, Host, EngineProcess]
) -> Iterator[Way]:
    del hosts  # it says why there may be none
    near, far, engine = tracked
    direction, _over, version = request.param.partition(" over ")
    here, there = (near, far) if direction == "egress" else (far, near)
    addresses = (here.address_6, there.address_6) if version else (here.address, there.address)
    headers = 48 if version else 28
    each = 1448 if version else 1480  # bytes of a fragment, of 1,500 with its headers
    fragments = -(-65_500 // each) if direction == "egress" else 1
    with here.udp(address=addresses[0]) as sender, there.udp(PORT, addresses[1]) as receiver:
        yield Way(direction, headers, fragments, sender, receiver, engine)


@pytest.mark.parametrize(
    "spec", ["", "loss 0%", "delay 5ms", "delay 5ms 4ms", "rate 500mbit", "delay 2ms reorder 50% seed 3"]
)
def test_datagram_of_any_size_arrives_to_the_last_byte(way: Way, spec: str) -> None:
    sizes = [64, way.cut[0] - 2, way.cut[0] - 1, 64, *way.cut[:2], 64, *way.cut[-2:], 1400, way.cut[-1]]
    assert way.through(spec, sizes) == list(range(len(sizes)))
    assert way.counted()["too_long"] == 0


def test_datagram_that_waits_keeps_its_place_among_others(way: Way) -> None:
    way.engine.apply("delay 100ms", way.direction)
    sizes = [64, way.cut[-1], 64, 3000, way.cut[0], 64]
    for number, size in enumerate(sizes):
        send(way.sender, way.receiver.getsockname(), [number], size)
    assert way.counted()["queued"] > 2 * way.fragments
    way.wait(len(sizes))
    assert way.arrived(sizes) == list(range(len(sizes)))


@pytest.mark.parametrize("delay", ["", "delay 2ms "])
def test_datagram_is_lost_with_one_of_its_fragments_and_the_draws_go_on(way: Way, delay: str) -> None:
    spec = f"{delay}loss {'1%' if way.fragments > 1 else '30%'} seed 7 limit 10000"
    sizes = [way.cut[-1]] * 25
    model: Model[int] = Model(parse(spec))
    passed = [[bool(model.enqueue(0, 100, 0)) for _ in range(way.fragments)] for _ in sizes]
    expected = [number for number, fates in enumerate(passed) if all(fates)]
    assert 5 < len(expected) < 20
    assert way.through(spec, sizes) == expected
    counted = way.counted()
    assert (counted["packets"], counted["dropped"]) == (
        25 * way.fragments, sum(not fate for fates in passed for fate in fates)
    )  # fmt: skip
    # The other fragments of those that are lost have not left either.
    assert counted["too_long"] == sum(sum(fates) for fates in passed if not all(fates))


@pytest.mark.parametrize("delay", ["", "delay 2ms "])
def test_copy_is_not_made_and_that_is_counted(way: Way, delay: str) -> None:
    assert way.through(f"{delay}duplicate 100%", [way.cut[0]] * 3) == [0, 1, 2]
    counted = way.counted()
    assert counted["duplicated"] == counted["too_long"] == 3 * way.fragments


@pytest.mark.parametrize("delay", ["", "delay 2ms "])
def test_corrupted_datagram_is_not_sent_and_that_is_counted(way: Way, delay: str) -> None:
    assert way.through(f"{delay}corrupt 100%", [way.cut[0], way.cut[-1]]) == []
    counted = way.counted()
    assert counted["corrupted"] == counted["too_long"] == 2 * way.fragments


def test_datagram_that_waits_at_the_end_is_sent_whole(way: Way) -> None:
    way.engine.apply("delay 30s", way.direction)
    sizes = [way.cut[-1], 64]
    for number, size in enumerate(sizes):
        send(way.sender, way.receiver.getsockname(), [number], size)
    way.engine.wait_for(
        "both to wait", lambda counters: counters[way.direction]["queued"] == way.fragments + 1
    )
    way.engine.clear()
    assert way.arrived(sizes) == [0, 1]
