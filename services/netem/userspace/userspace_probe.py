"""What this engine needs of a kernel and of its rights, and why it does not get it."""

import errno
import socket
from contextlib import suppress

from firewall.marks import PROBE
from lab.failures import Failure, explain
from link import Link
from netem_impairment import Direction

from . import raw_table
from .nfqueue import PacketQueue, is_open
from .queue_rules import QUEUES
from .raw_sender import raw_socket

PROBE_QUEUE = 12_002
TAKEN = {errno.EPERM, errno.EBUSY}
NO_QUEUES = {errno.EPROTONOSUPPORT, errno.EINVAL, errno.EOPNOTSUPP, errno.EAFNOSUPPORT}


def open_queue(direction: Direction) -> PacketQueue:
    """Return the queue of a direction, opened.

    Raises:
        Failure: it is taken, or the system does not let us.
    """
    number = QUEUES[direction]
    try:
        return PacketQueue(number)
    except OSError as error:
        if error.errno in TAKEN and is_open(number):
            raise Failure(
                f"queue {number} of this network is taken: another sidecar is at work here, stop it first"
            ) from error
        raise Failure(reason(error, "open a queue for packets", "NET_ADMIN")) from error


def reason(error: OSError, what: str, capability: str) -> str:
    """Return why the system has refused something, in one line."""
    if error.errno in {errno.EPERM, errno.EACCES}:
        return f"not allowed to {what}: the capability {capability} is missing"
    if error.errno in NO_QUEUES:
        return f"cannot {what}: this kernel has none (nfnetlink_queue, {error.strerror})"
    return explain(error, what)


def sweep() -> None:
    """Remove what a killed sidecar with this engine has left in this network."""
    # Where the firewall cannot be read, none of ours is there. And without a program that has opened their
    # queue, rules do nothing.
    with suppress(Failure):
        raw_table.tidy(raw_table.sweep())


def probe(interface: str) -> str | None:
    """Return None where this engine can work, else the reason; nothing is left behind."""
    try:
        Link(interface).close()
        try:
            PacketQueue(PROBE_QUEUE).close()
        except OSError as error:
            raise Failure(reason(error, "open a queue for packets", "NET_ADMIN")) from error
        try:
            raw_socket(socket.AF_INET, PROBE, interface).close()
        except OSError as error:
            raise Failure(reason(error, "send packets as they are", "NET_RAW")) from error
        raw_table.usable(interface)
    except Failure as failure:
        return str(failure)
    return None
