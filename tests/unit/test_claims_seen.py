"""What claims look for in a capture, and how packets are told."""

from typing import Any

from socketlab.claims import seen
from socketlab.observe.packets import Dns, Icmp, Packet

CLIENT, SERVER = "172.18.0.3", "172.18.0.2"
NAMES = {CLIENT: "client", SERVER: "server", "127.0.0.11": "Docker's DNS"}


def packet(protocol: str, source: str | None, destination: str | None, **more: Any) -> Packet:
    return Packet(0, "client", "eth0", protocol, source, destination, length=60, raw=b"", **more)


HELLO = packet("udp", f"{CLIENT}:5000", f"{SERVER}:12000", payload=b"hello")
SYN = packet("tcp", f"{CLIENT}:5001", f"{SERVER}:12000", flags=frozenset({"SYN"}))
REFUSED = packet("icmp", SERVER, CLIENT, icmp=Icmp(3, 3, f"{CLIENT}:5000", f"{SERVER}:12001"))
PONG = packet("icmp", SERVER, CLIENT, icmp=Icmp(0, 0))
WHO_HAS = packet("arp", CLIENT, SERVER)
QUERY = packet("udp", "127.0.0.1:4000", "127.0.0.11:53", dns=Dns(1, "server", "A", False, (), "NOERROR"))
ANSWER = packet(
    "udp", "127.0.0.11:53", "127.0.0.1:4000", dns=Dns(1, "server", "A", True, (SERVER,), "NOERROR")
)
UNKNOWN = packet("udp", "127.0.0.11:53", "127.0.0.1:4000", dns=Dns(2, "x", "A", True, (), "NXDOMAIN"))
OF_OTHERS = packet("udp", "172.18.0.4:5000", f"{SERVER}:12000")
OF_IPV6 = packet("other", "fe80::1", "ff02::2")


def test_packets_between_two_are_those_of_both_and_no_arp() -> None:
    packets = [WHO_HAS, HELLO, OF_OTHERS, QUERY, OF_IPV6, REFUSED, SYN, packet("other", None, None)]
    assert seen.between(packets, CLIENT, SERVER) == seen.between(packets, SERVER, CLIENT)
    assert seen.between(packets, CLIENT, SERVER) == [HELLO, REFUSED, SYN]


def test_packets_of_a_host_to_itself() -> None:
    to_itself = packet("udp", f"{SERVER}:5000", f"{SERVER}:12000")
    assert seen.between([HELLO, to_itself], SERVER, SERVER) == [to_itself]


def test_lookups_are_those_of_the_name() -> None:
    assert seen.lookups([HELLO, UNKNOWN, QUERY, ANSWER], "server") == ([QUERY], [ANSWER])
    assert seen.lookups([HELLO, QUERY, ANSWER], "other") == ([], [])


def test_packets_are_told_by_the_names_of_hosts() -> None:
    packets = [QUERY, ANSWER, UNKNOWN, HELLO, SYN, REFUSED, PONG, OF_OTHERS]
    assert seen.all_told(packets, NAMES).splitlines() == [
        "127.0.0.1:4000 to Docker's DNS:53: DNS, server?",
        "Docker's DNS:53 to 127.0.0.1:4000: DNS, server?, the answer: 172.18.0.2",
        "Docker's DNS:53 to 127.0.0.1:4000: DNS, x?, the answer: NXDOMAIN",
        "client:5000 to server:12000: UDP, 5 bytes of data",
        "client:5001 to server:12000: TCP SYN, 0 bytes of data",
        "server to client: ICMP, type 3, code 3, about client:5000 to server:12001",
        "server to client: ICMP, type 0, code 0",
        "172.18.0.4:5000 to server:12000: UDP, 0 bytes of data",
    ]


def test_equal_packets_are_told_once_with_their_number() -> None:
    assert seen.all_told([SYN, SYN, HELLO, SYN], NAMES).splitlines() == [
        "client:5001 to server:12000: TCP SYN, 0 bytes of data (2 times)",
        "client:5000 to server:12000: UDP, 5 bytes of data",
        "client:5001 to server:12000: TCP SYN, 0 bytes of data",
    ]
    assert seen.all_told([], NAMES) == "none"
