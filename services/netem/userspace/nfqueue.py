"""The kernel's queue of packets to a program (NFQUEUE), over netlink.

A rule of the firewall sends packets to a queue by its number. The program reads each with an identifier,
and gives a verdict: it goes on its way, perhaps changed, or it is dropped. Until then the kernel holds it.
Without a program that has opened the queue, packets go on their way, where the rule says so
(`--queue-bypass`).

Of a packet longer than COPIED the kernel copies no more than that, and says how long it is. Such a packet
goes on as it is, from the kernel's queue, or not at all: what was copied is not all of it.

The kernel cuts what TCP left to the network card (GSO) into the segments that go onto the wire, and completes
their checksums, before we see them.

Source: linux/netfilter/nfnetlink_queue.h, net/netfilter/nfnetlink_queue.c.
"""

import errno
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import netlink
from lab.failures import Failure
from lab.slots import Slots, last_error
from netem_impairment.attributes import ATTRIBUTE, aligned, attribute

PACKET, VERDICT, CONFIG, VERDICT_THROUGH = (3 << 8 | kind for kind in range(4))  # NFNL_SUBSYS_QUEUE << 8
PAYLOAD, WHOLE_LENGTH = 10, 13  # attributes of a packet; its header comes first, the payload last
VERDICT_HEADER = 2
COMMAND, PARAMETERS, LONGEST = 1, 2, 3  # attributes of a configuration
BIND = 1
COPY_PACKET = 2
DROP, ACCEPT = 0, 1

COPIED = 65_531  # bytes of a packet at most: NFQNL_MAX_COPY_RANGE
AT_ONCE = 64  # packets a read
SLOT = 66_112  # bytes: the largest packet, and some attributes; not a power of two
LONGEST_PACKET = 65_575  # bytes: IPv6's header, and 65,535 more
LAST = SLOT - LONGEST_PACKET - 4  # where the packet's attribute begins at the latest: then all is in the slot
BURST = 16_384  # packets that the kernel keeps for us while we do something else
RECEIVE_BUFFER = 64 << 20  # bytes, for such a burst of full packets with the kernel's own overhead
SO_RCVBUFFORCE = 33

STATISTICS = Path("/proc/net/netfilter/nfnetlink_queue")
COLUMNS = 9  # of that table

_ANY = struct.Struct("=IH18x4s")  # length and kind of the message; the identifier, which always comes first
_BIG_ENDIAN = struct.Struct("!I")
_ATTRIBUTES = 20  # where they begin, behind the header and the family, version and queue

# Identifier, and where in the buffer the packet begins and ends; of one longer than COPIED, would end.
Packet: TypeAlias = tuple[bytes, int, int]


@dataclass(frozen=True)
class Statistics:
    """What the kernel counts of a queue: packets that wait, and those it lost since the queue was opened."""

    waiting: int
    lost: int


class PacketQueue:
    """One queue, opened.

    Args:
        number: of the queue.

    Attributes:
        buffer: what `read` returns is in here, until the next read.

    Raises:
        OSError: the kernel refuses: EBUSY or EPERM, another program has it; EPERM, NET_ADMIN is missing;
            EPROTONOSUPPORT, EINVAL or EOPNOTSUPP, it has no such queues.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._netlink = netlink.Netlink(netlink.NETFILTER)
        try:
            _receive_buffer(self._netlink.socket)
            # Where the buffer is full all the same the packet is lost and counted: no need to tell us too.
            self._netlink.socket.setsockopt(netlink.SOL_NETLINK, netlink.NO_ENOBUFS, 1)
            # In one message: so no packet comes in between, with half of this said.
            self._netlink.request(
                CONFIG,
                self._message(
                    attribute(COMMAND, struct.pack("!BxH", BIND, 0)),
                    attribute(PARAMETERS, struct.pack("!IB", 0xFFFF, COPY_PACKET)),
                    attribute(LONGEST, struct.pack("!I", BURST)),
                ),
            )
            self._netlink.socket.setblocking(False)
        except OSError:
            self._netlink.close()
            raise
        self._fd = self._netlink.fileno()
        self._slots = Slots(AT_ONCE, SLOT, 0)
        self.buffer = self._slots.buffer
        self._layout = self._known(_ATTRIBUTES + 12)
        self._verdicts: list[bytes] = []
        # All of a verdict but the identifier.
        self._accept, self._drop, self._accept_through, self._drop_through = (
            self._verdict(kind, verdict) for kind in (VERDICT, VERDICT_THROUGH) for verdict in (ACCEPT, DROP)
        )

    def close(self) -> None:
        """Close the queue: what the kernel still holds in it is dropped."""
        self._netlink.close()

    def fileno(self) -> int:
        """Return the descriptor: this object can be waited for."""
        return self._fd

    def hold(self, packets: int) -> None:
        """Let the kernel hold so many packets for us, beside a burst that we have not seen yet."""
        longest = min(packets + BURST, 2**32 - 1)
        body = self._message(attribute(LONGEST, struct.pack("!I", longest)))
        # Not acknowledged: packets would come in between. There is nothing in it that could be refused.
        self._netlink.socket.send(netlink.message(CONFIG, netlink.REQUEST, body))

    def read(self) -> list[Packet]:
        """Return the packets that have come, the first first; at most AT_ONCE.

        Of one longer than COPIED the end is not in the buffer: what is there instead belongs to nobody.
        """
        packets: list[Packet] = []
        slots = self._slots
        count = slots.receive(self._fd)
        if count < 0:
            if last_error() not in {errno.EAGAIN, errno.EINTR, errno.ENOBUFS}:
                raise OSError(last_error(), "the queue cannot be read")
            return packets
        unpack, at = self._layout
        buffer = self.buffer
        for start in range(0, count * SLOT, SLOT):
            length, kind, identifier, size, last = unpack(buffer, start)
            # The packet is the last attribute. Where it begins depends on the others, which seldom change.
            if last != PAYLOAD or not at + size <= length < at + size + 4 or kind != PACKET:
                packet = self._find(start)
                packets += [packet] if packet else []
                unpack, at = self._layout
                continue
            packets.append((identifier, start + at + 4, start + at + size))
        return packets

    def _find(self, start: int) -> Packet | None:
        """Return the packet of the message at `start`, if it is one, and remember where it was in it."""
        length, kind, identifier = _ANY.unpack_from(self.buffer, start)
        if kind != PACKET:
            return None  # the answer to a verdict that came too late
        at, whole = _ATTRIBUTES, 0
        while at + ATTRIBUTE.size <= length and at <= LAST:
            size, number = ATTRIBUTE.unpack_from(self.buffer, start + at)
            if number == PAYLOAD:
                if at < _ANY.size or not ATTRIBUTE.size <= size <= length - at:
                    return None  # without an identifier, or cut off
                if not whole:  # else the next one that is found at once would be taken for a whole one
                    self._layout = self._known(at)
                begin = start + at + ATTRIBUTE.size
                return identifier, begin, begin + (whole or size - ATTRIBUTE.size)
            if number == WHOLE_LENGTH:
                whole = min(_BIG_ENDIAN.unpack_from(self.buffer, start + at + 4)[0], LONGEST_PACKET)
            at += aligned(max(size, ATTRIBUTE.size))
        return None

    @staticmethod
    def _known(at: int) -> tuple[Callable[[bytearray, int], tuple[int, int, bytes, int, int]], int]:
        """Return how to read a message whose packet's attribute is at that place, and the place."""
        return struct.Struct(f"=IH18x4s{at - _ANY.size}xHH").unpack_from, at

    def accept(self, identifier: bytes) -> None:
        """Let a packet go on its way (with the next `flush`, as all verdicts)."""
        self._verdicts += (self._accept, identifier)

    def drop(self, identifier: bytes) -> None:
        """Drop a packet."""
        self._verdicts += (self._drop, identifier)

    def accept_through(self, identifier: bytes) -> None:
        """Let this packet go on its way and all before it that the kernel still holds."""
        self._verdicts += (self._accept_through, identifier)

    def drop_through(self, identifier: bytes) -> None:
        """Drop this packet and all before it that the kernel still holds."""
        self._verdicts += (self._drop_through, identifier)

    def replace(self, identifier: bytes, packet: bytes | bytearray) -> None:
        """Let a packet go on its way, changed."""
        self.flush()
        header = attribute(VERDICT_HEADER, struct.pack("!I", ACCEPT) + identifier)
        body = self._message(header, attribute(PAYLOAD, bytes(packet)))
        self._netlink.socket.send(netlink.message(VERDICT, netlink.REQUEST, body))

    def flush(self) -> None:
        """Send the verdicts that wait."""
        if self._verdicts:
            data = b"".join(self._verdicts)
            self._verdicts.clear()
            self._netlink.socket.send(data)

    def statistics(self) -> Statistics:
        """Return what the kernel counts."""
        return statistics(STATISTICS.read_text(encoding="ascii"), self.number)

    def _message(self, *attributes: bytes) -> bytes:
        return struct.pack("!BBH", socket.AF_UNSPEC, 0, self.number) + b"".join(attributes)

    def _verdict(self, kind: int, verdict: int) -> bytes:
        header = attribute(VERDICT_HEADER, struct.pack("!II", verdict, 0))
        return netlink.message(kind, netlink.REQUEST, self._message(header))[:-4]


def _receive_buffer(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
    except PermissionError:
        # In a user namespace: what the system's own limit allows (net.core.rmem_max).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)


def is_open(number: int) -> bool:
    """Tell whether a program has opened a queue."""
    try:
        return number in _rows(STATISTICS.read_text(encoding="ascii"))
    except OSError:
        return False


def statistics(table: str, number: int) -> Statistics:
    """Read the kernel's table of queues.

    Raises:
        Failure: the queue is not in it.
        ValueError: it is no such table.
    """
    rows = _rows(table)
    if number not in rows:
        raise Failure(f"expected queue {number} in {STATISTICS}, got {sorted(rows)}: this queue was closed")
    fields = rows[number]
    # Lost for want of room: in the queue itself, and in the buffer of the socket.
    return Statistics(waiting=fields[2], lost=fields[5] + fields[6])


def _rows(table: str) -> dict[int, list[int]]:
    """Return by number: number, owner, waiting, copy mode, copy range, lost, lost, last identifier, 1."""
    rows = ([int(word) for word in line.split()] for line in table.splitlines())
    return {row[0]: row for row in rows if len(row) == COLUMNS}
