"""The kernel's table of queues, and a queue of this machine where that is allowed."""

import errno
import os
import sys

import pytest
from lab.failures import Failure
from nfqueue import PacketQueue, Statistics, is_open, statistics

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
