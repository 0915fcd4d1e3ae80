"""The engine's beginnings and ends, gentle and not: what it leaves behind, and what it finds."""

import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress

import pytest
from lab.failures import Failure
from link import Link
from netem_impairment import leases

from tests.engine_process import NETEM, EngineProcessError
from tests.impairment.hosts import PORT, EngineProcess, Host, arrivals, reaches, send
from tests.namespaces import ip, joined

Start = Callable[[], EngineProcess]
RULE_OF_ANOTHER = "*raw\n-A OUTPUT -p udp --dport 4444 -j ACCEPT\nCOMMIT\n"


@pytest.mark.parametrize("end", ["clear", "SIGTERM", "end of input"])
def test_waiting_datagrams_are_sent_when_it_ends(start: Start, near: Host, far: Host, end: str) -> None:
    before = near.firewall()
    engine = start()
    engine.apply("delay 30s")
    with near.udp() as out, far.udp(PORT) as out_end, far.udp() as back, near.udp(PORT) as back_end:
        send(out, (far.address, PORT), range(100))
        send(back, (near.address, PORT), range(100))
        engine.wait_for(
            "them to wait", lambda counters: all(one["queued"] == 100 for one in counters.values())
        )
        begun = time.monotonic()
        if end == "clear":
            engine.clear()
        elif end == "SIGTERM":
            assert engine.stop() == (143, "")
        else:
            assert engine.process.stdin is not None
            engine.process.stdin.close()
            engine.process.stdin = None
            assert engine.ended() == (0, "")
        assert time.monotonic() - begun < 1
        assert near.firewall() == before
        assert arrivals(out_end) == arrivals(back_end) == list(range(100))


@pytest.mark.parametrize("spec", ["", "delay 20ms"])
def test_a_signal_in_the_middle_of_traffic_loses_and_doubles_nothing(
    start: Start, near: Host, far: Host, spec: str
) -> None:
    engine = start()
    engine.apply(spec)
    ended = threading.Event()
    count = 0
    with near.udp() as out, far.udp(PORT) as out_end, far.udp() as back, near.udp(PORT) as back_end:

        def pour() -> None:
            nonlocal count
            while not ended.wait(0.001):
                for sender, to in ((out, far), (back, near)):
                    send(sender, (to.address, PORT), range(count, count + 10))
                count += 10

        pouring = threading.Thread(target=pour)
        pouring.start()
        engine.wait_for("some to come", lambda counters: counters["egress"]["packets"] > 500)
        try:
            assert engine.stop() == (143, "")
        finally:
            ended.set()
            pouring.join()
        for receiver in (out_end, back_end):
            assert sorted(arrivals(receiver)) == list(range(count))


def test_clear_leaves_the_rules_of_others_alone(start: Start, near: Host) -> None:
    near.run("iptables-restore", "--noflush", text=RULE_OF_ANOTHER)
    try:
        before = near.firewall()
        assert "4444" in before
        engine = start()
        engine.apply("loss 10%")
        assert before not in near.firewall()
        engine.apply("loss 20%", "ingress", "udp:12000")
        engine.clear()
        assert near.firewall() == before
    finally:
        near.run("iptables-restore", "--noflush", text=RULE_OF_ANOTHER.replace("-A", "-D"))
        tidy = "from userspace import queue_rules, raw_table; raw_table.tidy(queue_rules.FAMILIES)"
        near.run("env", f"PYTHONPATH={NETEM}", sys.executable, "-c", tidy)


def test_a_killed_one_lets_packets_pass_and_the_next_cleans_up(start: Start, near: Host, far: Host) -> None:
    before = near.firewall()
    engine = start()
    engine.apply("loss 100%")
    rules = near.firewall()
    assert reaches(near, far, PORT) == reaches(far, near, PORT) == 0
    assert engine.stop(signal.SIGKILL) == (-9, "")
    assert near.firewall() == rules  # they lead to queues that nobody has opened
    for address in (None, far.address_6):
        assert reaches(near, far, PORT, address) == 3
    for address in (None, near.address_6):
        assert reaches(far, near, PORT, address) == 3
    engine = start()
    assert near.firewall() == before
    engine.apply("loss 100%")
    assert near.firewall() == rules
    assert engine.stop() == (143, "")
    assert near.firewall() == before


def test_a_second_one_is_refused_and_does_not_disturb(start: Start, near: Host, far: Host) -> None:
    engine = start()
    engine.apply("loss 100%")
    with pytest.raises(EngineProcessError, match="another sidecar is at work here, stop it first"):
        start()
    assert engine.verify() == ""
    assert reaches(near, far, PORT) == 0
    assert engine.stop() == (143, "")


def test_the_end_of_the_interface_is_the_end_of_the_engine(near: Host, far: Host) -> None:
    ip("-n", near.name, "link", "add", "short0", "type", "veth", "peer", "name", "short1", "netns", far.name)
    engine = EngineProcess(Host(near.name, "short0", "", ""))
    try:
        engine.apply("delay 10ms")
        ip("-n", near.name, "link", "del", "short0")
        code, complaint = engine.ended()
    finally:
        engine.close()
    assert code == 1
    assert complaint == (
        "engine: the network interface short0 is gone: its host was disconnected, restarted or stopped\n"
    )


def test_the_end_of_the_interface_is_not_forgotten(near: Host) -> None:
    with near.entered():
        ip("link", "add", "short0", "type", "veth", "peer", "name", "short1")
        link = Link("short0")
        assert (link.mtu, link.gone) == (1500, None)
        ip("link", "set", "short0", "mtu", "1400")
        link.hear()
        assert link.mtu == 1400
        ip("link", "del", "short1")
    with closing(link):
        while link.gone is None:  # that it is down is told first
            with suppress(Failure):
                link.hear()
    assert str(link.gone).startswith("the network interface short0 is gone")


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_it_works_where_connections_are_tracked(variant: str) -> None:
    # As in a container of Docker, whose name server is reached by address translation.
    rule = "-A OUTPUT -d 127.0.0.11/32 -p udp --dport 53 -j DNAT --to-destination 127.0.0.11:35001"
    translation = f"*nat\n{rule}\nCOMMIT\n"
    with joined(leases.take(), Host) as (near, far), ExitStack() as stack:
        near.run(f"iptables-{variant}-restore", "--noflush", text=translation)
        engine = EngineProcess(near)
        stack.callback(engine.close)
        for here, there, direction in ((near, far, "egress"), (far, near, "ingress")):
            sender, receiver = stack.enter_context(here.udp()), stack.enter_context(there.udp(PORT))
            for spec in ("delay 2ms", "", "duplicate 100% delay 1ms", "duplicate 100%"):
                engine.apply(spec, direction)
                assert engine.verify() == ""
                for size in (64, 8000):
                    send(sender, receiver.getsockname(), range(5), size)
                    # Of a datagram in fragments that are doubled, both can be put together, or only one.
                    assert sorted(set(arrivals(receiver))) == list(range(5))
            engine.apply("duplicate 100%", direction)
            send(sender, receiver.getsockname(), range(5))
            assert sorted(arrivals(receiver)) == sorted([*range(5), *range(5)])
        assert engine.stop() == (143, "")


@pytest.mark.parametrize(
    ("wrap", "interface", "reason"),
    [
        ((), "eth7", "no network interface 'eth7': expected one of eth0, lo"),
        (("--bounding-set=-net_admin", "--inh-caps=-net_admin"), "eth0",
         "not allowed to open a queue for packets: the capability NET_ADMIN is missing"),
        (("--bounding-set=-net_raw", "--inh-caps=-net_raw"), "eth0",
         "not allowed to send packets as they are: the capability NET_RAW is missing"),
        ((), "eth0", ""),
        (("--bounding-set=-all,+net_admin,+net_raw", "--inh-caps=-all,+net_admin,+net_raw"), "eth0", ""),
    ],
)  # fmt: skip
def test_probe_says_why_it_cannot_work_and_leaves_nothing(
    near: Host, wrap: tuple[str, ...], interface: str, reason: str
) -> None:
    before = near.firewall()
    code = f"import userspace; print(userspace.probe({interface!r}) or '', end='')"
    assert near.run("setpriv", *wrap, "env", f"PYTHONPATH={NETEM}", sys.executable, "-c", code) == reason
    assert near.firewall() == before
