"""The kernel's table of queues, and a queue of this machine where that is allowed."""

import errno
import os
import struct
import sys
from typing import Any, cast

import netlink
import pytest
from lab.failures import Failure
from netem_impairment.attributes import attribute
from userspace import nfqueue
from userspace.nfqueue import PacketQueue, Statistics, is_open, statistics


def told(identifier: bytes, payload: bytes, whole: int = 0) -> bytes:
    """Return what the kernel says of a packet: its header, where it was cut its length, and itself."""
    attributes = attribute(1, identifier + bytes(3))
    attributes += attribute(nfqueue.WHOLE_LENGTH, struct.pack("!I", whole)) if whole else b""
    return netlink.message(nfqueue.PACKET, 0, bytes(4) + attributes + attribute(10, payload))


class Slots:
    """Slots that a kernel has filled."""

    def __init__(self, messages: list[bytes]) -> None:
        self.buffer = bytearray(b"".join(message.ljust(nfqueue.SLOT, b"?") for message in messages))
        self.count = len(messages)

    def receive(self, _fd: int) -> int:
        """Return how many there are."""
        return self.count


@pytest.mark.parametrize("order", ["whole cut cut whole", "cut whole cut", "whole whole", "cut"])
def test_packet_that_was_not_copied_whole_has_the_length_that_it_has(order: str) -> None:
    sizes = {"whole": (nfqueue.COPIED, 0), "cut": (nfqueue.COPIED, 65_575)}
    packets = [(struct.pack("!I", n), *sizes[kind]) for n, kind in enumerate(order.split())]
    queue = PacketQueue.__new__(PacketQueue)
    slots = Slots([told(identifier, bytes(size), whole) for identifier, size, whole in packets])
    queue._fd, queue._slots, queue.buffer = -1, cast("Any", slots), slots.buffer
    queue._layout = queue._known(nfqueue._ATTRIBUTES + 12)
    found = queue.read()
    assert [(identifier, end - begin) for identifier, begin, end in found] == [
        (identifier, whole or size) for identifier, size, whole in packets
    ]
    for _identifier, begin, end in found:
        assert slots.buffer[begin : begin + nfqueue.COPIED] == bytes(nfqueue.COPIED)
        assert begin // nfqueue.SLOT == (end - 1) // nfqueue.SLOT


TABLE = """\
12000   1234     3 2 65531     0     0        7  1
12001   1234 17384 2 65531    20     4   100000  1
"""


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param(12_000, Statistics(waiting=3, lost=0), id="all-well"),
        pytest.param(12_001, Statistics(waiting=17_384, lost=24), id="lost-in-the-queue-and-at-the-socket"),
    ],
)
def test_statistics_are_read_from_the_kernels_table(number: int, expected: Statistics) -> None:
    assert statistics(TABLE, number) == expected


def test_a_queue_that_is_not_in_the_table_is_a_failure() -> None:
    with pytest.raises(Failure, match=r"expected queue 7 in .*, got \[12000, 12001\]"):
        statistics(TABLE, 7)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="a queue needs Linux and root")
def test_a_queue_belongs_to_one_program() -> None:
    number = 54_321
    try:
        queue = PacketQueue(number)
    except OSError as error:
        pytest.skip(f"no packet queue can be opened here: {error}")
    try:
        assert is_open(number)
        assert queue.statistics() == Statistics(waiting=0, lost=0)
        assert queue.read() == []
        queue.hold(10)
        with pytest.raises(OSError, match=r"Operation not permitted|Device or resource busy") as refused:
            PacketQueue(number)
        assert refused.value.errno in {errno.EPERM, errno.EBUSY}
    finally:
        queue.close()
    assert not is_open(number)
