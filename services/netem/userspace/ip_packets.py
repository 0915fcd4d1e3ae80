"""IP packets: cut as a link cuts them, and damaged as a link damages them.

A qdisc sees the frames that go onto the link: behind fragmentation, in front of Ethernet's own header. The
queue shows packets before that. What is different is made good here.
"""

import os
import socket
import struct
from collections.abc import Sequence

ETHERNET = 14  # bytes of its header: destination, source, type
IPV6_HEADER = 40
FRAGMENT, UDP = 44, 17  # protocol numbers
MORE_FRAGMENTS, DONT_FRAGMENT, OFFSET = 0x2000, 0x4000, 0x1FFF  # of an IPv4 header's third word


def fragments(packet: bytes | bytearray, mtu: int) -> Sequence[bytes | bytearray]:
    """Return a packet as it fits onto a link: itself, or its fragments.

    Source: RFC 791, section 3.2; RFC 8200, section 4.5.
    """
    if len(packet) <= mtu:
        return [packet]
    if packet[0] >> 4 == 4:
        return _fragments_4(packet, mtu)
    return _fragments_6(packet, mtu)


def _fragments_4(packet: bytes | bytearray, mtu: int) -> Sequence[bytes | bytearray]:
    header_length = (packet[0] & 15) * 4
    flags = struct.unpack_from("!H", packet, 6)[0]
    size = (mtu - header_length) & ~7
    if flags & DONT_FRAGMENT or size <= 0:
        return [packet]  # it is not allowed to fit
    header, data = packet[:header_length], packet[header_length:]
    cut = []
    for start in range(0, len(data), size):
        part = data[start : start + size]
        more = MORE_FRAGMENTS if start + size < len(data) else flags & MORE_FRAGMENTS
        fragment = bytearray(header + part)
        # Length and checksum are the kernel's to fill in.
        struct.pack_into("!H", fragment, 6, more | ((flags & OFFSET) + start // 8))
        cut.append(fragment)
    return cut


def _fragments_6(packet: bytes | bytearray, mtu: int) -> Sequence[bytes | bytearray]:
    size = (mtu - IPV6_HEADER - 8) & ~7
    # Behind other extension headers the kernel would cut elsewhere; programs do not send such packets.
    if packet[6] != UDP or size <= 0:
        return [packet]
    identification = os.urandom(4)
    data = packet[IPV6_HEADER:]
    cut = []
    for start in range(0, len(data), size):
        part = data[start : start + size]
        fragment = bytearray(packet[:IPV6_HEADER])
        struct.pack_into("!HB", fragment, 4, 8 + len(part), FRAGMENT)
        fragment += struct.pack("!BxH4s", packet[6], start | (start + size < len(data)), identification)
        cut.append(fragment + part)
    return cut


def corrupt(packet: bytes | bytearray, bit: int) -> bytes | bytearray | None:
    """Turn over one bit of the frame that carries a packet.

    Args:
        packet: it is not changed.
        bit: 0 is the first of the Ethernet header.

    Returns:
        What the receiver's network layer lets through; None where it takes no notice of the frame: the
        address or the type of the frame is another, the checksum of the IPv4 header is wrong, and so on.
    """
    byte = bit // 8 - ETHERNET
    if byte < 0:
        # Where a frame comes from is nobody's concern.
        return packet if 6 <= bit // 8 < 12 else None
    if packet[0] >> 4 == 4:
        if byte < (packet[0] & 15) * 4:
            return None
    elif 4 <= byte < 7 or 24 <= byte < IPV6_HEADER or (byte == 0 and bit % 8 >= 4):
        # IPv6 has no checksum of its own: a wrong version, length, next header or destination is noticed.
        return None
    damaged = bytearray(packet)
    damaged[byte] ^= 1 << bit % 8
    return damaged


def udp(source: str, destination: str, port: int, payload: bytes) -> bytes:
    """Return an IPv4 datagram that no router passes on (its time to live is 1), without UDP checksum."""
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    length = 28 + len(payload)
    header = struct.pack("!BBHHHBBH", 0x45, 0, length, 0, DONT_FRAGMENT, 1, UDP, 0) + addresses
    return header + struct.pack("!HHHH", port, port, length - 20, 0) + payload
