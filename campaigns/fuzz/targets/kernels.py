"""What a kernel says and is told: netlink messages, its queue of packets, packets themselves, /proc."""

import struct
from contextlib import suppress
from typing import Any, cast

import connection_info
import host_counters
import link
import netlink
from kernel import flower, netem_message, qdisc
from lab.failures import Failure
from netem_impairment.attributes import attribute, nested, text
from netem_impairment.attributes import attributes as read_attributes
from netem_impairment.options import loss
from userspace import ip_packets, nfqueue

from campaigns.fuzz.target import Draws, Target, one_line
from socketlab.errors import TraceError
from socketlab.observe import processes, socket_table
from socketlab.observe.tcp_info import send_window


def messages(data: bytes) -> None:
    """Any bytes as what one read of a netlink socket returned."""
    eth0 = link.Link.__new__(link.Link)
    eth0.interface, eth0.index, eth0.mtu = "eth0", 2, 1500
    with suppress(ValueError):
        for message in netlink.messages(data):
            with suppress(ValueError, Failure):
                eth0._note(message)
            for read in (qdisc.read_qdisc, flower.read_filter, netlink.error_of):
                with suppress(ValueError):
                    read(message)
    with suppress(ValueError):
        netem_message.read_netem(data)


def attributes(data: bytes) -> None:
    draws = Draws(data)
    values, body = {}, b""
    for _ in range(draws.number(0, 7)):
        kind, value = draws.number(0, 0x3FFF), draws.take(draws.number(0, 31))
        values[kind] = value
        body += attribute(kind, value)
    head = draws.take(draws.number(0, 3) * 4)
    assert read_attributes(head + body, len(head)) == values
    kind, flags, sequence = draws.number(0, 0xFFFF), draws.number(0, 0xFFFF), draws.number(0, 0xFFFFFFFF)
    sent = netlink.message(kind, flags, body, sequence)
    assert list(netlink.messages(sent + sent)) == [netlink.Message(kind, flags, sequence, body)] * 2
    anything = draws.rest()
    with suppress(ValueError):
        read = read_attributes(anything)
        assert sum(map(len, read.values())) <= len(anything)


class Filled:
    """Slots that a kernel has filled."""

    def __init__(self, received: list[bytes]) -> None:
        self.buffer = bytearray(nfqueue.SLOT * len(received))
        self.count = len(received)
        for number, message in enumerate(received):
            self.buffer[number * nfqueue.SLOT : number * nfqueue.SLOT + len(message)] = message

    def receive(self, _fd: int) -> int:
        return self.count


def queue(data: bytes) -> None:
    draws = Draws(data)
    received = [draws.take(draws.number(0, 80)) for _ in range(draws.number(1, 3))]
    opened = nfqueue.PacketQueue.__new__(nfqueue.PacketQueue)
    opened._fd = -1
    opened._slots = cast("Any", Filled(received))
    opened.buffer = opened._slots.buffer
    opened._layout = opened._known(nfqueue._ATTRIBUTES + 12)
    found = opened.read()
    assert len(found) <= len(received)
    for identifier, begin, end in found:
        slot = begin // nfqueue.SLOT * nfqueue.SLOT
        assert len(identifier) == 4
        assert slot <= begin <= end <= slot + nfqueue.SLOT, "a packet that is not in its slot"


def _assembled(cut: list[bytes], version: int, header: int) -> bytes:
    """Return the data of fragments put together again, as a receiver does it."""
    parts: dict[int, bytes] = {}
    for fragment in cut:
        if version == 4:
            word = struct.unpack_from("!H", fragment, 6)[0]
            at, more, part = (word & 0x1FFF) * 8, bool(word & 0x2000), fragment[header:]
        else:
            word = struct.unpack_from("!H", fragment, 42)[0]
            at, more, part = word & ~7, bool(word & 1), fragment[48:]
            assert struct.unpack_from("!H", fragment, 4)[0] == len(fragment) - 40
        assert more == (fragment is not cut[-1])
        parts[at] = part
    whole = b""
    for begin, part in sorted(parts.items()):
        assert begin == len(whole), "a hole between fragments, or two that overlap"
        whole += part
    return whole


def packet(data: bytes) -> None:
    """A packet with a header that a kernel lets through, and anything in it."""
    draws = Draws(data)
    six, mtu, bit = bool(draws.number(0, 1)), draws.number(60, 1500), draws.number(0, 0xFFFF)
    words = draws.number(5, 15)
    if six:
        header = bytearray(b"\x60" + draws.take(39).ljust(39, b"\0"))
        header[6] = ip_packets.UDP
    else:
        header = bytearray(bytes([0x40 | words]) + draws.take(4 * words - 1).ljust(4 * words - 1, b"\0"))
        header[6:8] = b"\0\0"
    body = draws.rest() * draws.number(1, 9)
    whole = bytes(header) + body
    cut = [bytes(one) for one in ip_packets.fragments(whole, mtu)]
    if len(cut) > 1 or (len(cut) == 1 and cut[0] != whole):
        assert all(len(one) <= mtu for one in cut)
        assert _assembled(cut, 6 if six else 4, len(header)) == body
    else:
        assert cut == [whole]
    bit %= 8 * (ip_packets.ETHERNET + len(whole))
    damaged = ip_packets.corrupt(whole, bit)
    if damaged is not None and bit // 8 >= ip_packets.ETHERNET:
        differ = int.from_bytes(damaged, "big") ^ int.from_bytes(whole, "big")
        assert differ.bit_count() == 1, "not one bit was turned over"


def lists(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    with suppress(TraceError):
        for row in socket_table.parse("tcp", text):
            assert 0 <= row.port <= 65_535
            assert min(row.unsent, row.unread, row.inode) >= 0
    for read in (lambda: processes.system_call(text, "x86_64"), lambda: processes.state(text),
                 lambda: processes.waits(text)):  # fmt: skip
        try:
            read()
        except TraceError as refusal:
            one_line(refusal)
    for read_table in (lambda: host_counters.parse(text), lambda: nfqueue.statistics(text, 1)):
        with suppress(ValueError, Failure):
            read_table()
    for value in connection_info.decode(data).values():
        assert 0 <= value < 2**64
    assert 0 <= (send_window(data) or 0) < 2**32


TARGETS = (
    Target(
        "netlink",
        "netlink messages from the kernel, and qdiscs and filters in them",
        "messages, or ValueError",
        messages,
        (
            netlink.message(qdisc.NEW_QDISC, 2, qdisc.qdisc(2, 0x10000, qdisc.ROOT, "netem", bytes(40))),
            netlink.message(netlink.ERROR, 0x300, struct.pack("=i", -22) + bytes(16) + text(1, "no.")),
            netlink.message(flower.NEW_FILTER, 2, qdisc.head(1) + text(1, "flower")),
            netlink.message(
                link.NEW,
                0,
                link.INFO.pack(0, 1, 2, 1, 0) + text(link.NAME, "eth0") + attribute(link.MTU, b"\xdc\5\0\0"),
            ),
            netem_message.STRUCTURE.pack(*range(6)) + nested(loss.LOSS, attribute(1, bytes(20))),
        ),
        500_000,
        256,
    ),
    Target(
        "attributes",
        "netlink attributes, written and read",
        "what is written is read back; anything else is attributes that are no longer than it, or ValueError",
        attributes,
        (b"\x02\x01\0\x04abcd\x02\0\x02xy\1aaaa\1\0\2\0\3\0\0\0" + bytes(8),),
        1_000_000,
        256,
    ),
    Target(
        "queue",
        "the kernel's queue of packets",
        "a packet lies in its own slot; what is no packet is passed over",
        queue,
        (
            b"\x01\x40"
            + struct.pack("=IHHII4xHH12s", 64, nfqueue.PACKET, 0, 0, 0, 16, 1, b"\0" * 12)
            + struct.pack("=HH", 28, nfqueue.PAYLOAD)
            + b"p" * 24,
        ),
        150_000,
        256,
    ),
    Target(
        "packet",
        "IP packets: fragments, damage",
        "fragments fit the link and give the packet when put together; damage is one bit",
        packet,
        (
            b"\0\x00\x02\0\0\x10\x05\0\0" + bytes(19) + b"datagram" * 9 + b"\x09",
            b"\1\x00\x02\0\0\x99\x05\0\0" + bytes(39) + b"datagram" * 9,
        ),
        700_000,
        512,
    ),
    Target(
        "proc",
        "/proc: sockets, processes, counters; TCP_INFO",
        "rows whose numbers can be, or a refusal",
        lists,
        (
            (
                b"  sl  local_address rem_address\n   0: 0100007F:2EE0 00000000:0000 0A 00000000:00000000"
                b" 00:00000000 00000000  0   0 4242 1 0\n"
            ),
            b"0 0x7 0x0 0x0 0x7ffd 0x7f",
            b"State:\tS (sleeping)\nvoluntary_ctxt_switches:\t7\n",
            b"Udp: InDatagrams NoPorts\nUdp: 5 7\n",
            b"    1  4242     0 2 65535     0     0       12  1\n",
            b"Tcp: InSegs\nTcp: -1 2\n",
        ),
        500_000,
        512,
    ),
)
