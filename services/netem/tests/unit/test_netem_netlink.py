"""Netlink messages and attributes, byte by byte; requests, against the kernel of this machine."""

import errno
import socket
import struct
import sys

import netlink
import pytest
from netem_impairment.attributes import attribute, attributes, nested, text

linux = pytest.mark.skipif(sys.platform != "linux", reason="netlink is Linux's alone")


def test_attribute_is_padded_and_its_length_is_not() -> None:
    assert attribute(3, b"abcde") == struct.pack("=HH", 9, 3) + b"abcde\0\0\0"


def test_attributes_are_read_back_without_the_flags_of_their_kinds() -> None:
    inner = attribute(1, b"\1") + text(2, "eth0")
    outer = nested(7, inner) + attribute(9)
    assert attributes(outer) == {7: inner, 9: b""}
    assert attributes(attributes(outer)[7]) == {1: b"\1", 2: b"eth0\0"}


def test_attributes_may_begin_behind_a_structure() -> None:
    assert attributes(b"12345678" + attribute(5, b"x"), 8) == {5: b"x"}


@pytest.mark.parametrize("length", [3, 9, 0xFFFF])
def test_an_attribute_of_impossible_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"got {length}$"):
        attributes(struct.pack("=HH", length, 1) + b"abcd")


def test_messages_are_read_one_after_the_other() -> None:
    data = netlink.message(16, 5, b"abc", 7) + netlink.message(17, 0, b"")
    assert list(netlink.messages(data)) == [
        netlink.Message(16, 5, 7, b"abc"),
        netlink.Message(17, 0, 0, b""),
    ]


@pytest.mark.parametrize("length", [15, 17, 0xFFFFFFFF])
def test_a_message_of_impossible_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"got {length}$"):
        list(netlink.messages(struct.pack("=IHHII", length, 1, 0, 0, 0)))


def answer(number: int, flags: int = 0, behind: bytes = b"") -> netlink.Message:
    header = struct.pack("=IHHII", 24, 36, 5, 1, 0)
    return netlink.Message(netlink.ERROR, flags, 1, struct.pack("=i", -number) + header + behind)


def test_the_error_zero_is_an_acknowledgement() -> None:
    assert netlink.error_of(answer(0)) is None


def test_an_error_without_reason_has_the_words_of_its_number() -> None:
    error = netlink.error_of(answer(errno.EBUSY))
    assert error is not None
    assert (error.errno, error.strerror) == (errno.EBUSY, "Device or resource busy")


@pytest.mark.parametrize(
    ("flags", "request_body"),
    [
        pytest.param(netlink.HAS_ATTRIBUTES | netlink.CAPPED, b"", id="without-the-request"),
        pytest.param(netlink.HAS_ATTRIBUTES, b"\xff" * 8, id="behind-the-request"),
    ],
)
def test_the_reason_of_an_error_is_told(flags: int, request_body: bytes) -> None:
    reason = text(1, "Specified qdisc kind is unknown.")
    error = netlink.error_of(answer(errno.ENOENT, flags, request_body + reason))
    assert error is not None
    assert error.strerror == "No such file or directory (Specified qdisc kind is unknown)"


@linux
def test_a_list_of_links_has_every_interface() -> None:
    with netlink.Netlink(netlink.ROUTE) as route:
        links = route.request(18, struct.pack("=BxHiII", 0, 0, 0, 0, 0), netlink.DUMP)  # RTM_GETLINK
    names = {attributes(link.body, 16)[3].rstrip(b"\0").decode() for link in links}
    assert names == {name for _index, name in socket.if_nameindex()}


@linux
def test_a_refusal_is_an_oserror_and_the_socket_goes_on() -> None:
    with netlink.Netlink(netlink.ROUTE) as route:
        nobody = struct.pack("=BxHiII", 0, 0, 0x7FFFFFFF, 0, 0)
        with pytest.raises(OSError, match="No such device") as refused:
            route.request(18, nobody)
        assert refused.value.errno == errno.ENODEV
        loopback = struct.pack("=BxHiII", 0, 0, socket.if_nametoindex("lo"), 0, 0)
        assert len(route.request(18, loopback)) == 1
