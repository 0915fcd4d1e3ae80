"""Where packets of the lab's hosts get to: to each other, and nowhere else."""

import socket
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import docker
import pytest

from socketlab.describe.scenario import PORT
from socketlab.hosts.docker.compose_project import ComposeProject
from socketlab.hosts.docker.images import ROLES
from socketlab.hosts.lab import Lab
from socketlab.hosts.operated import Host, RemoteSocket
from socketlab.observe.packets import Packet, packets
from tests.security.conftest import Others
from tests.security.hosts import address_of, probe
from tests.unit.frames import ethernet, ipv4, pcap, record, udp

OUTSIDE = "192.0.2.1"  # for documentation, RFC 5737: nobody has it, and it is not on any network here
PATIENCE_S = 0.5  # what is allowed arrives within a millisecond
TRIED = b"let me out"


@dataclass
class Listener:
    """Who would hear somebody that got out: a UDP and a TCP socket, at every address of a host."""

    host: Host
    udp: RemoteSocket
    tcp: RemoteSocket
    port: int

    @classmethod
    def on(cls, host: Host) -> "Listener":
        """Listen on a host, at a port that is free for both."""
        tcp = host.tcp(port=0)
        port = tcp.getsockname()[1]
        return cls(host, host.udp(port=port), tcp, port)

    def heard(self) -> list[str]:
        """Return who has come since the last time, by address and protocol.

        We knock ourselves: whoever has come before that is before us in the queue.
        """
        found = []
        with self.host.udp() as ours:
            ours.sendto(b"knock", ("127.0.0.1", self.port))
            while (came := self.udp.recvfrom(100))[1][1] != ours.getsockname()[1]:
                found.append(f"udp {came[1][0]}")
        with self.host.tcp() as ours:
            ours.connect(("127.0.0.1", self.port))
            while True:
                connection, address = self.tcp.accept()
                connection.close()
                if address[1] == ours.getsockname()[1]:
                    return found
                found.append(f"tcp {address[0]}")


def knock(host: Host, *places: tuple[str, int]) -> list[str]:
    """Send a datagram to each place, and try to connect to it; return what came of the connections."""
    trying: list[tuple[RemoteSocket, Future[Any]]] = []
    for place in places:
        with host.udp() as datagram, suppress(OSError):  # no way there: the kernel knows
            datagram.sendto(TRIED, place)
        connection = host.tcp()
        connection.settimeout(PATIENCE_S)
        trying.append((connection, connection.begin("connect", place)))
    said = []
    for connection, attempt in trying:
        try:
            host.finished(attempt)
        except OSError as error:
            said.append(type(error).__name__)
        else:
            said.append("connected")
        connection.close()
    return said


@pytest.fixture(scope="module")
def compose(lab_name: str, lab: Lab) -> Iterator[ComposeProject]:
    """The lab's containers, by the engine."""
    del lab
    compose = ComposeProject(lab_name)
    yield compose
    compose.close()


@pytest.fixture(scope="module")
def subnet(compose: ComposeProject, engine: docker.DockerClient) -> dict[str, str]:
    """The lab's network as the engine has it: Subnet, Gateway."""
    found: dict[str, str] = engine.networks.get(f"{compose.name}_lab").attrs["IPAM"]["Config"][0]
    return found


def gateway(subnet: dict[str, str]) -> str:
    """Return the address that Docker keeps for the machine."""
    return subnet.get("Gateway") or str(ip_network(subnet["Subnet"])[1])


def test_hosts_reach_each_other(lab: Lab, others: Others) -> None:
    # What the other tests say that it does not happen, does here: they look in the right way.
    listener = Listener.on(lab.server)
    for host in (lab.client, others.guest()):
        assert knock(host, (lab.server.address, listener.port)) == ["connected"]
        assert listener.heard() == [f"udp {host.address}", f"tcp {host.address}"]
    lab.reset()


@pytest.mark.parametrize("who", ["server", "client", "guest"])
def test_machine_is_not_reached(
    who: str, lab: Lab, others: Others, machine: Host, plain: Host, subnet: dict[str, str]
) -> None:
    # A service of the machine's that listens at all its addresses, as many do on a laptop.
    host = {"server": lab.server, "client": lab.client, "guest": others.guest()}[who]
    listener = Listener.on(machine)
    dockers = plain.read("/proc/net/route").split()[13]  # the gateway of its default route, in hexadecimal
    bridge = str(ip_address(bytes.fromhex(dockers)[::-1]))
    said = knock(host, (gateway(subnet), listener.port), (bridge, listener.port))
    assert "connected" not in said
    assert listener.heard() == []
    # From a network with a way out the same service is reached, by the same knock.
    assert knock(plain, (bridge, listener.port)) == ["connected"]
    assert listener.heard() == [f"udp {address_of(plain)}", f"tcp {address_of(plain)}"]
    machine.reset()


@pytest.mark.parametrize("who", ["server", "client", "guest"])
def test_hosts_of_other_networks_are_not_reached(
    who: str, lab: Lab, others: Others, plain: Host, neighbour: Host
) -> None:
    host = {"server": lab.server, "client": lab.client, "guest": others.guest()}[who]
    plain_listens, neighbour_listens = Listener.on(plain), Listener.on(neighbour)
    places = (address_of(plain), plain_listens.port), (address_of(neighbour), neighbour_listens.port)
    assert "connected" not in knock(host, *places)
    assert plain_listens.heard() == neighbour_listens.heard() == []
    # And the other way round: nobody comes in from another network.
    ours = Listener.on(host)
    for other in (plain, neighbour):
        assert knock(other, (host.address, ours.port)) != ["connected"]
    assert ours.heard() == []
    for each in (host, plain, neighbour):
        each.reset()


@pytest.fixture(scope="module")
def neighbour(others: Others, engine: docker.DockerClient, lab_name: str) -> Iterator[Host]:
    """A host of another lab: on a network of its own, as internal as ours."""
    network = engine.networks.create(f"{lab_name}-neighbour", internal=True)
    host = others.plain(f"--network={network.name}")
    yield host
    others.remove(host)
    network.remove()


def test_network_is_closed_twice(compose: ComposeProject, engine: docker.DockerClient) -> None:
    # Each alone keeps packets in: nobody is there to forward them, and forwarding is forbidden.
    network = engine.networks.get(f"{compose.name}_lab").attrs
    assert network["Internal"] is True
    assert network["Options"]["com.docker.network.bridge.inhibit_ipv4"] == "true"


def test_nothing_comes_back_from_outside(lab: Lab, subnet: dict[str, str]) -> None:
    with lab.capture(lab.client) as wire:
        assert "connected" not in knock(lab.client, (OUTSIDE, 80), (OUTSIDE, 53), (gateway(subnet), 80))
        seen = [packet for packet in wire.packets() if packet.interface == "eth0"]
    ours = ip_network(subnet["Subnet"])
    assert to_us_from_others(seen, ours) == []
    # An engine that gives a default route (20.10) has us ask for the gateway, and nobody is there to answer:
    # not one packet leaves. Newer ones give none, and nothing is asked.
    leaving = [packet for packet in seen if packet.destination and not _within(packet.destination, ours)]
    assert leaving == []
    assert not any(_is_answer_of(gateway(subnet), packet) for packet in seen)


def to_us_from_others(seen: Sequence[Packet], ours: Any) -> list[Packet]:
    """Return the packets that somebody outside of a network has sent to a host of it.

    What an interface tells the whole link when it comes up is none of these: reports of multicast groups
    (RFC 3810), from an address of the link alone, which no router passes on.
    """
    return [
        packet
        for packet in seen
        if packet.source and not _within(packet.source, ours)
        if packet.destination and _address(packet.destination) in ours
    ]


def _within(end: str, network: Any) -> bool:
    """Tell whether an address, with a port or without, is on a network, or is one of everybody's."""
    address = _address(end)
    return address in network or address.is_multicast


def _address(end: str) -> IPv4Address | IPv6Address:
    """Return the address of an end that may have a port behind it."""
    try:
        return ip_address(end)
    except ValueError:
        return ip_address(end.rpartition(":")[0])


REPORT = (  # a multicast listener report of an interface that comes up: RFC 3810, section 5.2
    struct.pack("!IHBB", 6 << 28, 36, 0, 1)
    + socket.inet_pton(socket.AF_INET6, "fe80::42:acff:fe12:2")
    + socket.inet_pton(socket.AF_INET6, "ff02::16")
    + bytes.fromhex("3a000502 00000100 8f000000 00000001 04000000")
    + socket.inet_pton(socket.AF_INET6, "ff02::1:ff12:2")
)


def test_instrument_tells_a_packet_from_outside_from_what_an_interface_says_to_all() -> None:
    ours = ip_network("172.18.0.0/16")
    report = packets(pcap(record(ethernet(REPORT, 0x86DD))), "client", "eth0")
    ends = [(packet.source, packet.destination) for packet in report]
    assert ends == [("fe80::42:acff:fe12:2", "ff02::16")]
    assert to_us_from_others(report, ours) == []
    frames = [ethernet(ipv4(17, udp(b"in"), source=OUTSIDE)), ethernet(ipv4(17, udp(b"between us")))]
    seen = packets(pcap(*map(record, frames)), "client", "eth0")
    assert [packet.payload for packet in to_us_from_others(seen, ours)] == [b"in"]


def _is_answer_of(address: str, packet: Packet) -> bool:
    """Tell whether this is an ARP reply (RFC 826: opcode 2) with that address as its sender."""
    arp = packet.raw[14:42]
    return packet.protocol == "arp" and arp[6:8] == b"\0\2" and arp[14:18] == socket.inet_aton(address)


def test_questions_for_names_outside_stay_on_the_host(lab: Lab) -> None:
    # Docker's name server hands on what it does not know. To whom, is seen by being that one: it asks on the
    # host's own loopback, and nobody else (CVE-2024-29018 is what happened otherwise).
    question = b"\x07example\x07invalid\x00"
    with lab.client.udp(port=53, address="127.0.0.1") as name_server:
        asking = lab.client.begin("function", "socket", "gethostbyname", "example.invalid")
        asked, _who = name_server.recvfrom(512)
        with pytest.raises(OSError, match=r"[Nn]ame"):
            lab.client.finished(asking)
    assert question in asked
    assert "127.0.0.1" in lab.client.read("/etc/resolv.conf")


def test_nothing_is_published_on_the_machine(
    compose: ComposeProject, lab: Lab, machine: Host, others: Others, engine: docker.DockerClient
) -> None:
    del lab
    containers = [container for role in ROLES for container in compose.containers(role)]
    assert len(containers) >= 4
    addresses = set()
    for container in containers:
        assert not container.attrs["HostConfig"]["PortBindings"]
        assert not container.attrs["HostConfig"]["PublishAllPorts"]
        networks = container.attrs["NetworkSettings"]["Networks"].values()
        addresses |= {network["IPAddress"] for network in networks if network["IPAddress"]}
    # What listens on the machine for a container is a process that names the container's address.
    assert addresses & proxied(machine) == set()
    published = others.careless()
    assert address_of(published) in proxied(machine)
    rows = [row.local for row in machine.sockets("tcp") if row.state == "LISTEN"]
    attributes = engine.containers.get(published.function("socket", "gethostname")).attrs
    [binding] = attributes["NetworkSettings"]["Ports"][f"{PORT}/tcp"]
    assert f"127.0.0.1:{binding['HostPort']}" in rows
    assert f"0.0.0.0:{binding['HostPort']}" not in rows


def proxied(machine: Host) -> set[str]:
    """Return the addresses of containers for which a process of the machine's listens."""
    found = set()
    for pid in machine.function("os", "listdir", "/proc"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if pid.isdecimal():
                words = machine.read(f"/proc/{pid}/cmdline").split("\0")
                if words[0].endswith("docker-proxy"):
                    found.add(words[words.index("-container-ip") + 1])
    return found


ADDRESS = "192.0.2.77"


def test_what_the_sidecar_changes_is_the_servers_network_alone(
    lab: Lab, machine: Host, others: Others
) -> None:
    def has_it(host: Host) -> bool:
        return ADDRESS in host.read("/proc/net/fib_trie")

    hosts = {"server": lab.server, "client": lab.client, "guest": others.guest(), "machine": machine}
    lab.in_network("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
    try:
        assert {name for name, host in hosts.items() if has_it(host)} == {"server"}
    finally:
        lab.in_network("ip", "address", "delete", f"{ADDRESS}/32", "dev", "lo")
    assert not has_it(lab.server)
    assert lab.sidecar is not None
    assert probe(lab.sidecar, "calls", 1)["join a network namespace"] == "EPERM"


@pytest.mark.parametrize("who", ["server", "client", "guest"])
def test_hosts_change_nothing_of_a_network(who: str, lab: Lab, others: Others) -> None:
    host = {"server": lab.server, "client": lab.client, "guest": others.guest()}[who]
    for command in (
        ("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"),
        ("ip", "link", "set", "eth0", "down"),
        ("ip", "route", "add", "192.0.2.0/24", "dev", "eth0"),
        ("tc", "qdisc", "add", "dev", "eth0", "root", "pfifo"),
    ):
        with host.start(*command) as program:
            assert program.wait() != 0
            assert "Operation not permitted" in program.written()[1]
