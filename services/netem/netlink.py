"""Netlink: how a program talks to the kernel about links, qdiscs and packet queues.

A message is a header (length, kind, flags, sequence number, sender) and a body: a structure that belongs to
the kind, then attributes (netem_impairment/attributes.py). Everything starts at a multiple of four bytes. A
request that asks for it is acknowledged: an error message with the error 0, or with what went wrong and, from
newer kernels, why in words.

Source: netlink(7), rtnetlink(7), linux/netlink.h.
"""

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from netem_impairment.attributes import aligned, attributes, unpacked

ROUTE, NETFILTER = 0, 12  # protocols of the family: NETLINK_ROUTE, NETLINK_NETFILTER

HEADER = struct.Struct("=IHHII")  # length with this header, kind, flags, sequence number, port of the sender
NUMBER = struct.Struct("=i")  # of an error, negative; 0: all went well
LARGEST_ERROR = 4095  # MAX_ERRNO

ERROR, DONE = 2, 3  # kinds that every protocol has
REQUEST, ACK = 0x001, 0x004
DUMP_INTERRUPTED = 0x010  # what was listed changed meanwhile
CAPPED, HAS_ATTRIBUTES = 0x100, 0x200  # of an error message: without the request's body; with reasons
DUMP = 0x300
EXCLUSIVE, CREATE = 0x200, 0x400

SOL_NETLINK = 270
ADD_MEMBERSHIP, NO_ENOBUFS, CAP_ACK, EXT_ACK = 1, 5, 10, 11  # options of a socket
REASON = 1  # attribute of an error message: what is wrong, in words

LONGEST_ANSWER = 1 << 20  # bytes; the kernel fills less than 64 KiB at once, but says so nowhere
PATIENCE_S = 5.0  # the kernel answers while we send; silence for so long is a fault


@dataclass(frozen=True)
class Message:
    """A message as it came: `body` is everything behind the header."""

    kind: int
    flags: int
    sequence: int
    body: bytes


def message(kind: int, flags: int, body: bytes, sequence: int = 0) -> bytes:
    """Return a message, padded; the kernel fills in who sent it."""
    return HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body + bytes(-len(body) % 4)


def messages(data: bytes) -> Iterator[Message]:
    """Yield the messages that one read returned.

    Raises:
        ValueError: one is longer than what was read, or shorter than its header.
    """
    start = 0
    while start + HEADER.size <= len(data):
        length, kind, flags, sequence, _port = HEADER.unpack_from(data, start)
        if not HEADER.size <= length <= len(data) - start:
            raise ValueError(f"expected a message of 16 to {len(data) - start} bytes, got {length}")
        yield Message(kind, flags, sequence, bytes(data[start + HEADER.size : start + length]))
        start += aligned(length)


def error_of(answer: Message) -> OSError | None:
    """Return what an error message says, or None where it says that all went well.

    Raises:
        ValueError: it is none.
    """
    number = -unpacked(NUMBER, answer.body)[0]
    if number == 0:
        return None
    if not 0 < number <= LARGEST_ERROR:
        raise ValueError(f"expected an error's number, below 0, got {-number}")
    reason = ""
    if answer.kind == ERROR and answer.flags & HAS_ATTRIBUTES:
        # Behind the error is the header of our request, and its body where that was not left out.
        length = unpacked(HEADER, answer.body, 4)[0]
        start = 4 + (HEADER.size if answer.flags & CAPPED else aligned(length))
        reason = attributes(answer.body, start).get(REASON, b"").rstrip(b"\0").decode(errors="replace")
    words = os.strerror(number)
    return OSError(number, f"{words} ({reason.rstrip('.')})" if reason else words)


class Netlink:
    """A netlink socket.

    Args:
        protocol: `ROUTE` or `NETFILTER`.
        groups: multicast groups to hear of, by number (RTNLGRP_LINK is 1).
    """

    def __init__(self, protocol: int, *groups: int) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        try:
            self.socket.bind((0, 0))
            # Reasons in words, and errors without the request that we know.
            for option in (CAP_ACK, EXT_ACK):
                self.socket.setsockopt(SOL_NETLINK, option, 1)
            for group in groups:
                self.socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
            self.socket.settimeout(PATIENCE_S)
        except OSError:
            self.socket.close()
            raise
        self._sequence = 0

    def __enter__(self) -> "Netlink":
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket: the kernel forgets what belonged to it."""
        self.socket.close()

    def fileno(self) -> int:
        """Return the descriptor: this object can be waited for."""
        return self.socket.fileno()

    def request(self, kind: int, body: bytes, flags: int = 0) -> list[Message]:
        """Send a request and return what the kernel answers, without the acknowledgement.

        Args:
            kind: of the request (RTM_NEWQDISC, ...).
            body: the structure of this kind, then attributes.
            flags: beside REQUEST and ACK: DUMP for a list, CREATE and the like for a change.

        Raises:
            OSError: the kernel refused; `strerror` has its reason where it gave one.
        """
        while True:
            self._sequence += 1
            self.socket.send(message(kind, flags | REQUEST | ACK, body, self._sequence))
            answers, interrupted = self._answers()
            if not interrupted:
                return answers

    def _answers(self) -> tuple[list[Message], bool]:
        """Return the answers to the last request, and whether what they list changed meanwhile."""
        answers: list[Message] = []
        interrupted = False
        while True:
            for answer in self.receive():
                if answer.sequence != self._sequence:
                    continue  # news of a group, or the end of a list that nobody waits for any more
                interrupted = interrupted or bool(answer.flags & DUMP_INTERRUPTED)
                if answer.kind in {ERROR, DONE}:
                    # The end of a list has a number too, where the kernel is not too old for it.
                    if len(answer.body) >= 4 and (error := error_of(answer)):
                        raise error
                    return answers, interrupted
                answers.append(answer)

    def receive(self) -> Iterator[Message]:
        """Wait for one read, and yield its messages."""
        return messages(self.socket.recv(LONGEST_ANSWER))
