"""Every bit of a frame, turned over: which datagrams reach their program, and which counter has the others.

What `socketlab.analyse.corruption` says of a datagram that leaves through the kernel's netem, bit by bit.
"""

import socket
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from netem_impairment import Direction
from userspace.ip_packets import ETHERNET
from userspace.ip_packets import udp as packet_of

from socketlab.analyse.corruption import flips
from socketlab.describe.scenario import Engine
from tests.kernel.hosts import ADDRESSES, CLIENT, INTERFACE, PATIENCE_S, SERVER, hosts, udp
from tests.namespaces import on

PORT, SIZE = 12_000, 64
IPV4 = b"\x08\x00"
IP_HEADER, UDP_HEADER = 20, 8  # bytes
COUNTERS = (("Ip", "InHdrErrors"), ("Udp", "InErrors"))

CHECKS: dict[str, Callable[[], str]] = {}


def check(function: Callable[[], str]) -> Callable[[], str]:
    """Put a check on the list."""
    CHECKS[function.__name__.replace("_", " ")] = function
    return function


def summed(data: bytes | bytearray) -> int:
    """Return the Internet checksum of data (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def frame_of(destination: bytes, source: bytes, payload: bytes) -> bytes:
    """Return a frame with a datagram from the server to the client, all checksums right."""
    packet = bytearray(packet_of(ADDRESSES[SERVER], ADDRESSES[CLIENT], PORT, payload))
    struct.pack_into("!H", packet, 10, summed(packet[:IP_HEADER]))
    pseudo = packet[12:IP_HEADER] + struct.pack("!HH", socket.IPPROTO_UDP, len(packet) - IP_HEADER)
    struct.pack_into("!H", packet, 26, summed(pseudo + packet[IP_HEADER:]))
    return destination + source + IPV4 + bytes(packet)


def hardware_address(host: str) -> bytes:
    """Return the Ethernet address of a host."""
    with on(host), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as there:
        there.bind((INTERFACE, 0))
        address: bytes = there.getsockname()[4]
    return address


def counted() -> dict[str, int]:
    """Return what the client's kernel has thrown away, by the counter."""
    with on(CLIENT):
        lines = [line.split() for line in Path("/proc/thread-self/net/snmp").read_text("ascii").splitlines()]
    tables = {names[0][:-1]: dict(zip(names[1:], map(int, values[1:]), strict=True))
              for names, values in zip(lines[::2], lines[1::2], strict=True)}  # fmt: skip
    return {name: tables[group][name] for group, name in COUNTERS}


def ends(*, bridged: bool) -> dict[int, str]:
    """Return where each flip of a bit ends: "arrived", the name of a counter, or "uncounted"."""
    with hosts(bridged=bridged), udp(CLIENT, PORT) as receiver:
        receiver.settimeout(PATIENCE_S)
        here, there = hardware_address(SERVER), hardware_address(CLIENT)
        frame, mark = (frame_of(there, here, word.ljust(SIZE, b"u")) for word in (b"flip", b"mark"))
        with on(SERVER):
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        found = {}
        with wire:
            wire.bind((INTERFACE, 0))
            for bit in range(8 * len(frame)):
                before = counted()
                damaged = bytearray(frame)
                damaged[bit // 8] ^= 1 << bit % 8
                wire.send(damaged)
                wire.send(
                    mark
                )  # the same way, behind it: when that is there, the other one is or never will be
                arrived = 0
                while not receiver.recv(2 * SIZE).startswith(b"mark"):
                    arrived += 1
                grown = [name for name, value in counted().items() if value > before[name]]
                found[bit] = "arrived" if arrived else grown[0] if grown else "uncounted"
    return found


@check
def every_bit_of_a_frame_dies_where_it_is_expected_to() -> str:
    said = []
    bits = 8 * ETHERNET
    for bridged in (True, False):
        found = ends(bridged=bridged)
        group_of_destination, group_of_source = 0, 48
        arrive = {group_of_destination} | set(range(48, 96)) - ({group_of_source} if bridged else set())
        expected = {
            bit: "arrived" if bit in arrive
            else "uncounted" if bit < bits
            else "InHdrErrors" if bit < bits + 8 * IP_HEADER
            else "InErrors"
            for bit in found
        }  # fmt: skip
        wrong = {bit: (found[bit], expected[bit]) for bit in found if found[bit] != expected[bit]}
        assert not wrong, f"{'bridge' if bridged else 'cable'}: bit: (found, expected): {wrong}"
        if bridged:
            counts = Counter(found.values())
            formula = flips(SIZE, Engine.KERNEL, Direction.EGRESS)
            assert (len(found), counts["arrived"]) == (formula.frame, formula.harmless)
            # Another bridge may have a firewall, which counts what is wrong in the IP header elsewhere.
            assert counts["uncounted"] + counts["InHdrErrors"] == formula.uncounted
        said.append(f"{'bridge' if bridged else 'cable'}: {dict(Counter(found.values()))}")
    return "; ".join(said)
