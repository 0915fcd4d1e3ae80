"""What the engine leaves alone, how it changes while packets fly, and what it says of itself."""

import os
import signal
import socket
import threading
import time

import pytest

from tests.impairment.hosts import PORT, QUIET_S, EngineProcess, Host, arrivals, numbered, reaches, send
from tests.namespaces import ip


def connects(client: Host, server: Host, port: int) -> bool:
    with client.tcp() as here, server.tcp() as welcoming:
        welcoming.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        welcoming.bind((server.address, port))
        welcoming.listen()
        here.settimeout(0.3)
        try:
            here.connect((server.address, port))
        except TimeoutError:
            return False
        return True


def test_loopback_and_dns_are_left_alone(engine: EngineProcess, near: Host, far: Host) -> None:
    engine.apply("loss 100%")
    assert reaches(near, near, PORT) == 3
    for here, there in ((near, far), (far, near)):
        assert reaches(here, there, 53) == 3
        assert connects(here, there, 53)
        assert reaches(here, there, PORT) == 0
        assert not connects(here, there, PORT)


def test_neighbour_discovery_is_left_alone(engine: EngineProcess, near: Host, far: Host) -> None:
    engine.apply("loss 100%")
    ip("-n", far.name, "neigh", "flush", "all")
    # The questions come in, the answers go out.
    for source, destination in ((far.address, near.address), (far.address_6, near.address_6)):
        with far.udp(address=source) as sender:
            send(sender, (destination, PORT), [1])
    give_up = time.monotonic() + 5
    while ip("-n", far.name, "neigh", "show", "dev", "eth0").count("lladdr") < 2:
        assert time.monotonic() < give_up, ip("-n", far.name, "neigh", "show")
    engine.wait_for("the datagrams", lambda counters: counters["ingress"]["packets"] >= 2)
    counters = engine.counters()
    # The two datagrams, and nothing of the network's own.
    assert [(one["packets"], one["dropped"]) for one in counters.values()] == [(2, 2), (0, 0)]


@pytest.mark.parametrize(
    ("traffic", "impaired"),
    [
        ("udp", {"udp 12000", "udp 4000"}),
        ("tcp", {"tcp 12000", "tcp 4000"}),
        ("udp:4000", {"udp 4000"}),
        ("tcp:12000", {"tcp 12000"}),
        (":12000", {"udp 12000", "tcp 12000"}),
        ("udp:53", {"udp 53"}),
        ("icmp", {"ping"}),
    ],
)
def test_only_the_traffic_asked_for_is_impaired(
    engine: EngineProcess, near: Host, far: Host, traffic: str, impaired: set[str]
) -> None:
    engine.apply("loss 100%", "both", traffic)
    assert engine.verify() == ""
    found = set()
    for port in (12_000, 4000, 53):
        # The port is at either end: of the answers it is the source.
        for here, there in ((near, far), (far, near)):
            if reaches(here, there, port, count=1) == 0:
                found.add(f"udp {port}")
        if not connects(near, far, port):
            found.add(f"tcp {port}")
    if not pings(near, far):
        found.add("ping")
    assert found == impaired


def pings(host: Host, other: Host) -> bool:
    """Tell whether a ping is answered; by a raw socket, for not every system has the command."""
    with host.entered(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.settimeout(0.2)
        raw.sendto(bytes.fromhex("0800 e5ca 1234 0001"), (other.address, 0))
        try:
            while raw.recv(100)[20] != 0:  # not an answer
                pass
        except TimeoutError:
            return False
        return True


def test_only_the_direction_asked_for_is_impaired(engine: EngineProcess, near: Host, far: Host) -> None:
    for direction, arriving in (("egress", (0, 3)), ("ingress", (3, 0)), ("both", (0, 0))):
        engine.apply("loss 100%", direction)
        assert engine.verify() == ""
        assert (reaches(near, far, PORT), reaches(far, near, PORT)) == arriving


def test_both_directions_have_draws_of_their_own(engine: EngineProcess, near: Host, far: Host) -> None:
    engine.apply("loss 50% seed 42424242")
    lost = []
    for here, there in ((near, far), (far, near)):
        with here.udp() as sender, there.udp(PORT) as receiver:
            send(sender, receiver.getsockname(), range(64))
            lost.append(set(range(64)) - set(arrivals(receiver)))
    assert lost[0] != lost[1]


@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_what_is_set_is_changed_without_losing_a_datagram(
    engine: EngineProcess, near: Host, far: Host, direction: str
) -> None:
    here, there = (near, far) if direction == "egress" else (far, near)
    count = 5000
    engine.apply("delay 20ms")
    changes = [
        ("delay 5ms", "both", "all"), ("", "both", "udp"), ("delay 10ms 5ms", direction, "udp:12000"),
        ("limit 2000", "both", ":12000"), ("rate 100mbit delay 1ms", direction, "all"),
        ("delay 20ms", "both", "all"),
    ]  # fmt: skip
    with here.udp() as sender, there.udp(PORT) as receiver:
        done = threading.Event()

        def pour() -> None:
            for number in range(count):
                sender.sendto(numbered(number, 100), (there.address, PORT))
                if number % 10 == 9:
                    time.sleep(0.002)  # 5,000 a second at most: what is tested is the change, not the speed
            done.set()

        pouring = threading.Thread(target=pour)
        pouring.start()
        made = 0
        while not done.is_set():
            engine.apply(*changes[made % len(changes)])
            assert made % 4 or engine.verify() == ""
            made += 1
        pouring.join()
        arrived = arrivals(receiver)
    assert sorted(arrived) == list(range(count))
    assert made > 5


def test_waiting_datagrams_keep_their_time_through_a_change(
    engine: EngineProcess, near: Host, far: Host
) -> None:
    for here, there in ((near, far), (far, near)):
        with here.udp() as sender, there.udp(PORT) as receiver:
            engine.apply("delay 400ms")
            begun = time.monotonic()
            send(sender, (there.address, PORT), [1])
            engine.wait_for("it to wait", lambda counters: any(one["queued"] for one in counters.values()))
            engine.apply("delay 1ms")
            send(sender, (there.address, PORT), [2])
            assert receiver.recv(100) == numbered(2, 64)
            assert receiver.recv(100) == numbered(1, 64)
            assert 0.4 <= time.monotonic() - begun < 2


def test_verify_finds_a_rule_that_is_missing(engine: EngineProcess, near: Host) -> None:
    engine.apply("delay 1ms")
    assert engine.verify() == ""
    near.run("iptables", "-t", "raw", "-D", "OUTPUT", "-o", "eth0", "-j", "netem-egress")
    assert "expected '-A OUTPUT -o eth0 -j netem-egress', it is not there" in engine.verify()
    engine.apply("delay 1ms")
    assert engine.verify() == ""
    near.run("ip6tables", "-t", "raw", "-I", "netem-ingress", "-j", "RETURN")
    assert "ip6tables (table raw) were changed" in engine.verify()


def test_verify_finds_that_packets_pass_by(engine: EngineProcess, near: Host) -> None:
    engine.apply("delay 1ms", "egress")
    near.run("iptables", "-t", "raw", "-I", "OUTPUT", "-m", "mark", "!", "--mark", "1", "-j", "ACCEPT")
    try:
        assert "a probe (egress) did not come to the impairment" in engine.verify()
    finally:
        near.run("iptables", "-t", "raw", "-D", "OUTPUT", "-m", "mark", "!", "--mark", "1", "-j", "ACCEPT")
    engine.apply("delay 1ms", "egress")
    assert engine.verify() == ""


def test_verify_says_that_nothing_is_impaired(engine: EngineProcess) -> None:
    assert engine.verify() == "nothing is impaired: expected an impairment to be set"


def test_a_probe_never_leaves_the_host(engine: EngineProcess, far: Host) -> None:
    with far.entered():
        everything = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))  # ETH_P_ALL
    with everything:
        everything.settimeout(QUIET_S)
        engine.apply("loss 50%")
        for _ in range(10):
            assert engine.verify() == ""
        seen = []
        try:
            while True:
                seen.append(everything.recv(2000))
        except TimeoutError:
            pass
    assert not [packet for packet in seen if socket.inet_aton("192.0.2.1") in packet]
    assert all(one["packets"] == 0 for one in engine.counters().values())


def test_what_is_lost_for_want_of_room_is_counted_as_overload(
    engine: EngineProcess, near: Host, far: Host
) -> None:
    engine.apply("", "egress")
    count = 20_000  # more than the kernel keeps for an engine that does not read
    with near.udp() as sender, far.udp(PORT) as receiver:
        os.kill(engine.process.pid, signal.SIGSTOP)
        try:
            send(sender, (far.address, PORT), range(count))
        finally:
            os.kill(engine.process.pid, signal.SIGCONT)
        engine.wait_for("all to come", lambda counters: counters["egress"]["packets"] == count)
        arrived = len(arrivals(receiver))
    counters = engine.counters()["egress"]
    assert 0 < arrived < count
    assert (counters["overload"], counters["over_limit"], counters["dropped"]) == (count - arrived, 0, 0)
    assert engine.verify() == ""  # packets pass through it
    assert engine.counters()["egress"]["overload"] == count - arrived  # whoever has asked before
    engine.apply("", "egress")
    assert engine.counters()["egress"]["overload"] == 0


def test_what_it_cannot_do_is_refused_and_nothing_changes(
    engine: EngineProcess, near: Host, far: Host
) -> None:
    engine.apply("loss 100%")
    rules = near.firewall()
    refused = engine.ask(apply="slot 10ms 20ms", directions="ingress")
    assert refused["failure"].startswith("slot: not in the user-space engine")
    assert near.firewall() == rules
    assert reaches(near, far, PORT) == 0
