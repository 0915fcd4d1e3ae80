"""Sending IP packets as they are, headers and all."""

import errno
import select
import socket
import struct
from functools import cached_property

from lab.slots import Slots, last_error

SO_MARK, SO_SNDBUFFORCE = 36, 32  # asm-generic/socket.h
IP_NODEFRAG, IPV6_HDRINCL = 22, 36  # linux/in.h, linux/in6.h

TOGETHER = 64  # packets a system call
SLOT = 65_600  # bytes: the largest packet fits
SEND_BUFFER = 16 << 20  # bytes of packets that are on their way through this host
PATIENCE_MS = 50  # for the send buffer to have room again; a device that takes nothing for so long is down
NOT_OURS = {errno.EPERM, errno.EACCES}  # the host's own firewall refuses it, as it would without us


def raw_socket(family: int, mark: int, interface: str | None) -> socket.socket:
    """Return a socket that sends IP packets with the headers they have, and never waits.

    Args:
        family: AF_INET or AF_INET6.
        mark: of all that is sent, so that rules can tell.
        interface: by which they leave, whatever the routes say; None: as the routes say.

    Raises:
        OSError: the system does not let us (the capabilities NET_RAW and NET_ADMIN are needed).
    """
    raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
    try:
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
        if interface is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        if family == socket.AF_INET:
            raw.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
            # Fragments are sent as they are, also where connections are tracked.
            raw.setsockopt(socket.IPPROTO_IP, IP_NODEFRAG, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        else:
            raw.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, 1)
    except OSError:
        raw.close()
        raise
    return raw


class _Sender:
    """Sends packets of one family.

    Args:
        raw: a raw socket of the family; ours to close.
        address: a socket address of the family; where packets are routed, the place for their destination.
    """

    def __init__(self, raw: socket.socket, address: bytes) -> None:
        self.socket = raw
        try:
            raw.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER)
        except PermissionError:
            # In a user namespace: what the system's own limit allows (net.core.wmem_max).
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._fd = self.socket.fileno()
        self._address = address
        self.waiting = 0
        # Where in a packet the destination is, and where in a socket address: the packet's is the route's.
        here, there = (slice(16, 20), 4) if raw.family == socket.AF_INET else (slice(24, 40), 8)
        self._destination = here
        self._first, self._step, self._width = there, len(address), here.stop - here.start
        self._writable = select.poll()
        self._writable.register(self._fd, select.POLLOUT)

    @cached_property
    def _slots(self) -> Slots:
        """Room for the packets, made for the first one: most hosts never have one of both families."""
        slots = Slots(TOGETHER, SLOT, len(self._address))
        slots.addresses[:] = self._address * TOGETHER
        return slots

    def add(self, packet: bytes | bytearray, *, routed: bool) -> None:
        """Put a packet beside those that wait to be sent."""
        slots, i = self._slots, self.waiting
        start = i * SLOT
        size = len(packet)
        slots.buffer[start : start + size] = packet
        slots.room[i] = size
        if routed:
            start = i * self._step + self._first
            slots.addresses[start : start + self._width] = packet[self._destination]
        self.waiting = i + 1

    def send(self) -> int:
        """Send what waits; return how many packets the system did not take, though nobody forbade them."""
        done = refused = 0
        count, self.waiting = self.waiting, 0
        while done < count:
            sent = self._slots.send(self._fd, done, count - done)
            if sent > 0:
                done += sent
                continue
            error = last_error()
            if error == errno.EINTR or (error == errno.EAGAIN and self._writable.poll(PATIENCE_MS)):
                continue
            # The error is that of the first packet that is left: go on behind it.
            refused += error not in NOT_OURS
            done += 1
        return refused


class Sender:
    """Sends IP packets as they are, headers and all, in the order in which they are added.

    Args:
        mark: of all that is sent, so that rules can tell.
        interface: by which they leave; None: they come back to this host, whatever their destination says,
            as if they had arrived.

    Attributes:
        refused: packets that the system did not take, though no firewall forbade them.

    Raises:
        OSError: the system does not let us (the capabilities NET_RAW and NET_ADMIN are needed).
    """

    def __init__(self, mark: int, interface: str | None) -> None:
        self._routed = interface is not None
        self.refused = 0
        local_4 = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton("127.0.0.1"))
        self._senders = [_Sender(raw_socket(socket.AF_INET, mark, interface), local_4)]
        try:
            # Addresses of the link alone need to be told which link.
            scope = socket.if_nametoindex(interface) if interface is not None else 0
            here = socket.inet_pton(socket.AF_INET6, "::1")
            local_6 = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, here, scope)
            self._senders.append(_Sender(raw_socket(socket.AF_INET6, mark, interface), local_6))
        except OSError as error:
            # A host without IPv6 has no such packets either.
            if error.errno not in {errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ENOPROTOOPT}:
                self.close()
                raise

    def add(self, packet: bytes | bytearray) -> None:
        """Send a packet, at once or with the next ones; `flush` sends what waits."""
        sender = self._senders[packet[0] >> 4 == 6]
        other = self._senders[sender is self._senders[0] and len(self._senders) > 1]
        if other is not sender and other.waiting:
            self.refused += other.send()
        sender.add(packet, routed=self._routed)
        if sender.waiting == TOGETHER:
            self.refused += sender.send()

    def flush(self) -> None:
        """Send what waits."""
        for sender in self._senders:
            if sender.waiting:
                self.refused += sender.send()

    def close(self) -> None:
        """Close the sockets."""
        for sender in self._senders:
            sender.socket.close()
