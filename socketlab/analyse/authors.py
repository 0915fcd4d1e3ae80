"""Analyse: who sent a packet, a program by a call on its socket, or the operating system by itself.

The evidence is the programs' own journals: each call that sends, with its bytes. A packet that carries bytes
of such a call was sent for it. What carries none, no program has written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from socketlab.observe.packets import Packet
from socketlab.observe.trace import Event

SEQUENCES = 1 << 32


@dataclass(frozen=True)
class Author:
    """Who sent a packet.

    Attributes:
        program: whose call it was sent for; empty: the operating system's own.
        call: sendto or send.
        number: which of the program's calls of that kind, from 1.
        again: the system sent it before.
    """

    program: str = ""
    call: str = ""
    number: int = 0
    again: bool = False


SYSTEM = Author()


@dataclass
class _Stream:
    """One direction of a TCP connection: which bytes each call has given to it."""

    first: int | None = None  # the sequence number of its first byte
    highest: int = 0  # bytes that have left so far
    written: int = 0
    calls: list[tuple[int, Author]] = field(default_factory=list)  # the byte behind a call's last, the call


def authors(packets: Sequence[Packet], journals: Mapping[str, Sequence[Event]]) -> list[Author | None]:
    """Return who sent each packet; None: bytes that are in no journal, so nobody can tell.

    Args:
        packets: in the order in which they left, each once.
        journals: by the address of a host, what its programs have logged.
    """
    datagrams: dict[tuple[str, str, int], list[Author]] = {}
    streams: dict[tuple[str, str], _Stream] = {}
    for host, events in journals.items():
        numbers: dict[tuple[str, str], count[int]] = {}
        for event in events:
            if event.event not in {"sendto", "send"} or event.local is None or event.peer is None:
                continue
            number = next(numbers.setdefault((event.program, event.event), count(1)))
            author = Author(event.program, event.event, number)
            source = f"{host}:{event.local.rpartition(':')[2]}"
            length = event.bytes or 0
            if event.protocol == "udp":
                datagrams.setdefault((source, event.peer, length), []).append(author)
            else:
                stream = streams.setdefault((source, event.peer), _Stream())
                stream.written += length
                stream.calls.append((stream.written, author))
    return [_author(packet, datagrams, streams) for packet in packets]


def _author(
    packet: Packet,
    datagrams: Mapping[tuple[str, str, int], list[Author]],
    streams: dict[tuple[str, str], _Stream],
) -> Author | None:
    way = (packet.source or "", packet.destination or "")
    if packet.protocol == "udp":
        waiting = datagrams.get((*way, len(packet.payload)))
        return waiting.pop(0) if waiting else None
    if packet.protocol != "tcp" or packet.sequence is None:
        return SYSTEM
    return _of_segment(packet, packet.sequence, streams.setdefault(way, _Stream()))


def _of_segment(packet: Packet, sequence: int, stream: _Stream) -> Author | None:
    if "SYN" in packet.flags:
        first = (sequence + 1) % SEQUENCES
        again, stream.first = stream.first == first, first
        return Author(again=again)
    carried = len(packet.payload) + ("FIN" in packet.flags)
    if not carried:
        return SYSTEM
    if stream.first is None:
        return None  # where its bytes are in the stream, only the SYN tells
    begin = (sequence - stream.first) % SEQUENCES
    again = begin + carried <= stream.highest
    stream.highest = max(stream.highest, begin + carried)
    if not packet.payload:
        return Author(again=again)
    call = next((author for end, author in stream.calls if begin < end), None)
    return replace(call, again=again) if call else None
