"""The file for Wireshark, read back block by block."""

import struct
from collections.abc import Iterator

from socketlab.observe.packets import packets
from socketlab.show.pcapng import pcapng
from tests.unit.frames import ethernet, ipv4, pcap, record, udp

FRAME = ethernet(ipv4(17, udp(b"hello")))


def blocks(file: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(file):
        kind, length = struct.unpack_from("<II", file, at)
        assert length % 4 == 0
        assert struct.unpack_from("<I", file, at + length - 4) == (length,)
        yield kind, file[at + 8 : at + length - 4]
        at += length


def options(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        code, length = struct.unpack_from("<HH", data, at)
        found.append((code, data[at + 4 : at + 4 + length]))
        at += 4 + (length + 3) // 4 * 4
    return found


def test_file_has_its_places_and_packets_with_times_and_comments() -> None:
    time_ns = 1_795_422_475_751_392_975
    captured = packets(pcap(record(FRAME, time_ns)), "client", "eth0")
    captured += packets(pcap(record(ipv4(17, udp(b"x")), time_ns + 1), link=101), "server", "inside")
    captured += packets(pcap(record(FRAME, time_ns + 2)), "client", "eth0")
    found = list(blocks(pcapng(captured, {0: "first", 2: "größer"})))
    assert [kind for kind, _body in found] == [0x0A0D0D0A, 1, 6, 1, 6, 6]
    section, client, first, inside, second, third = (body for _kind, body in found)
    assert struct.unpack_from("<IHHq", section) == (0x1A2B3C4D, 1, 0, -1)
    assert struct.unpack_from("<HHI", client) == (1, 0, 0)
    assert options(client[8:]) == [
        (2, b"client eth0"), (3, b"the interface eth0 of the host client"), (9, b"\x09"), (0, b""),
    ]  # fmt: skip
    assert struct.unpack_from("<H", inside) == (101,)
    for number, (body, interface) in enumerate(((first, 0), (second, 1), (third, 0))):
        place, high, low, length, on_the_wire = struct.unpack_from("<IIIII", body)
        assert (place, high << 32 | low, length) == (interface, time_ns + number, on_the_wire)
        assert body[20 : 20 + length] == captured[number].raw
    padded = 20 + (len(FRAME) + 3) // 4 * 4
    assert options(first[padded:]) == [(1, b"first"), (0, b"")]
    assert options(third[padded:]) == [(1, "größer".encode()), (0, b"")]
    assert options(second[20 + 32 :]) == []
