"""Packets cut and damaged, byte by byte."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from userspace.ip_packets import ETHERNET, corrupt, fragments, udp

IPV4 = udp("10.0.0.1", "10.0.0.2", 9, bytes(range(200)) * 20)
MAY_BE_CUT = IPV4[:6] + b"\0\0" + IPV4[8:]
IPV6 = (
    struct.pack("!IHBB", 6 << 28, 4008, 17, 64)
    + ipaddress.IPv6Address("fd00::1").packed
    + ipaddress.IPv6Address("fd00::2").packed
    + struct.pack("!HHHH", 9, 9, 4008, 0)
    + bytes(range(250)) * 16
)


def test_udp_makes_a_datagram_that_no_router_passes_on() -> None:
    packet = udp("127.0.0.1", "192.0.2.1", 9, b"hello")
    assert len(packet) == 33
    assert packet[0] == 0x45
    assert packet[8] == 1  # time to live
    assert packet[12:20] == bytes([127, 0, 0, 1, 192, 0, 2, 1])
    assert packet[20:] == struct.pack("!HHHH", 9, 9, 13, 0) + b"hello"


@pytest.mark.parametrize("packet", [MAY_BE_CUT, IPV6])
def test_a_packet_that_fits_is_not_cut(packet: bytes) -> None:
    assert fragments(packet, len(packet)) == [packet]
    assert len(fragments(packet, len(packet) - 1)) == 2


def test_a_packet_that_must_not_be_cut_is_not() -> None:
    assert fragments(IPV4, 1500) == [IPV4]


@given(mtu=st.integers(68, 5000))
def test_ipv4_fragments_put_together_are_the_packet(mtu: int) -> None:
    whole = bytearray()
    cut = fragments(MAY_BE_CUT, mtu)
    for number, fragment in enumerate(cut):
        assert len(fragment) <= mtu
        more_and_offset = struct.unpack_from("!H", fragment, 6)[0]
        assert bool(more_and_offset & 0x2000) == (number < len(cut) - 1)
        assert (more_and_offset & 0x1FFF) * 8 == len(whole)
        assert fragment[:4] + fragment[8:20] == MAY_BE_CUT[:4] + MAY_BE_CUT[8:20] or len(cut) == 1
        whole += fragment[20:]
    assert whole == MAY_BE_CUT[20:]


def test_a_fragment_can_be_cut_again() -> None:
    _first, second, _last = fragments(MAY_BE_CUT, 2020)
    again = fragments(second, 1020)
    # More fragments follow each of them; offsets are in units of 8 bytes.
    assert [struct.unpack_from("!H", fragment, 6)[0] for fragment in again] == [0x2000 | 250, 0x2000 | 375]
    assert b"".join(bytes(fragment[20:]) for fragment in again) == second[20:]


@given(mtu=st.integers(1280, 5000))
def test_ipv6_fragments_put_together_are_the_packet(mtu: int) -> None:
    whole = bytearray()
    cut = fragments(IPV6, mtu)
    if len(cut) == 1:
        assert cut == [IPV6]
        return
    names = set()
    for number, fragment in enumerate(cut):
        assert len(fragment) <= mtu
        length, header = struct.unpack_from("!HB", fragment, 4)
        assert (length, header) == (len(fragment) - 40, 44)
        assert fragment[:4] + fragment[7:40] == IPV6[:4] + IPV6[7:40]
        following, offset_and_more, name = struct.unpack_from("!BxHI", fragment, 40)
        names.add(name)
        assert following == 17
        assert bool(offset_and_more & 1) == (number < len(cut) - 1)
        assert offset_and_more & ~7 == len(whole)
        whole += fragment[48:]
    assert whole == IPV6[40:]
    assert len(names) == 1


def fate(packet: bytes, byte: int, bit: int = 0) -> str:
    """Say what becomes of a packet when a bit of its frame is turned over."""
    damaged = corrupt(packet, 8 * byte + bit)
    if damaged is None:
        return "never seen"
    if damaged == packet:
        return "whole"
    different = [i for i, (a, b) in enumerate(zip(packet, damaged, strict=True)) if a != b]
    assert different == [byte - ETHERNET]
    assert damaged[different[0]] ^ packet[different[0]] == 1 << bit
    return "damaged"


@pytest.mark.parametrize("packet", [IPV4, IPV6])
@pytest.mark.parametrize(
    ("bytes_", "expected"),
    [
        pytest.param(range(6), "never seen", id="for-another-interface"),
        pytest.param(range(6, 12), "whole", id="where-the-frame-came-from"),
        pytest.param(range(12, 14), "never seen", id="of-another-protocol"),
    ],
)
def test_a_bit_of_the_ethernet_header(packet: bytes, bytes_: range, expected: str) -> None:
    assert {fate(packet, byte, bit) for byte in bytes_ for bit in range(8)} == {expected}


def test_a_bit_of_the_ipv4_header_fails_its_checksum() -> None:
    assert {fate(IPV4, byte, bit) for byte in range(14, 34) for bit in range(8)} == {"never seen"}
    options = b"\x46" + IPV4[1:20] + bytes(4) + IPV4[20:]
    assert fate(options, 34) == "never seen"
    assert fate(options, 38) == "damaged"


def test_a_bit_of_the_ipv6_header_is_noticed_where_something_looks_at_it() -> None:
    fates = ["".join(sorted({fate(IPV6, 14 + byte, bit)[0] for bit in range(8)})) for byte in range(40)]
    # Version and class, flow label; length, next header; hop limit; source; destination.
    assert fates == ["dn", "d", "d", "d", "n", "n", "n", "d"] + ["d"] * 16 + ["n"] * 16
    assert [fate(IPV6, 14, bit) for bit in range(8)] == ["damaged"] * 4 + ["never seen"] * 4


@pytest.mark.parametrize(("packet", "header"), [(IPV4, 34), (IPV6, 54)])
def test_a_bit_behind_the_ip_header_is_the_receivers_to_find(packet: bytes, header: int) -> None:
    for byte in (header, header + 7, ETHERNET + len(packet) - 1):
        assert {fate(packet, byte, bit) for bit in range(8)} == {"damaged"}
