"""Show: packets in a file that Wireshark opens, with what is to be said of each as its comment.

scapy's writer has no names for interfaces beside the device's, and counts microseconds; so the three kinds of
blocks that it takes are written here.

Source: draft-ietf-opsawg-pcapng, sections 4.1 to 4.3 (section, interface, packet).
"""

import struct
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from socketlab.observe.packets import Packet

SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
ORDER_OF_BYTES = 0x1A2B3C4D
END, COMMENT, APPLICATION, NAME, DESCRIPTION, RESOLUTION = 0, 1, 4, 2, 3, 9  # options
NANOSECONDS = b"\x09"  # 10 to the minus 9
UNLIMITED, UNKNOWN_LENGTH = 0, -1
LONGEST_OPTION = 65_535  # bytes

PLACES = {
    "lo": "the loopback of the host {host}",
    "inside": "what programs and system of the host {host} send and receive, behind the impairment",
}
AT_THE_EDGE = "the interface {interface} of the host {host}"


def pcapng(packets: Sequence[Packet], notes: Mapping[int, str]) -> bytes:
    """Return a file with packets, an interface for each place where some were captured.

    Args:
        packets: in the order in which they are to stand there.
        notes: by the number of a packet, from 0: its comment.
    """
    blocks = [_section()]
    interfaces: dict[tuple[str, str, int], int] = {}
    for number, packet in enumerate(packets):
        place = (packet.where, packet.interface, packet.link)
        if place not in interfaces:
            interfaces[place] = len(interfaces)
            blocks.append(_interface(*place))
        blocks.append(_packet(packet, interfaces[place], notes.get(number, "")))
    return b"".join(blocks)


def _section() -> bytes:
    body = struct.pack("<IHHq", ORDER_OF_BYTES, 1, 0, UNKNOWN_LENGTH)
    return _block(SECTION, body, (APPLICATION, f"Socket Lab {version('socketlab')}".encode()))


def _interface(where: str, interface: str, link: int) -> bytes:
    description = PLACES.get(interface, AT_THE_EDGE).format(host=where, interface=interface)
    return _block(
        INTERFACE,
        struct.pack("<HHI", link, 0, UNLIMITED),
        (NAME, f"{where} {interface}".encode()),
        (DESCRIPTION, description.encode()),
        (RESOLUTION, NANOSECONDS),
    )


def _packet(packet: Packet, interface: int, note: str) -> bytes:
    length = len(packet.raw)
    head = struct.pack("<IIIII", interface, packet.time_ns >> 32, packet.time_ns & 0xFFFFFFFF, length, length)
    return _block(PACKET, head + packet.raw, *([(COMMENT, note.encode())] if note else []))


def _block(kind: int, body: bytes, *options: tuple[int, bytes]) -> bytes:
    content = _padded(body)
    for code, value in options:
        content += struct.pack("<HH", code, len(value[:LONGEST_OPTION])) + _padded(value[:LONGEST_OPTION])
    if options:
        content += struct.pack("<HH", END, 0)
    length = struct.pack("<I", len(content) + 12)
    return struct.pack("<I", kind) + length + content + length


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
