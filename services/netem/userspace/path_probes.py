"""Probes: packets of our own that go the way of the others, to show that it leads through the queue."""

import os
import socket
import struct

from firewall.marks import PROBE
from lab.failures import Failure, explain
from netem_impairment import Direction

from .ip_packets import udp
from .raw_sender import raw_socket

PORT = 9  # discard
PAYLOAD = struct.Struct("=16sQ")  # the engine's token, the probe's number
HERE = "127.0.0.1"
NOWHERE = "192.0.2.1"  # of the addresses that no host has: RFC 5737


def number_of_probe(packet: bytes | bytearray, token: bytes) -> int | None:
    """Return the number of a probe; None: it is none of the engine with this token."""
    if len(packet) < PAYLOAD.size:
        return None
    found, number = PAYLOAD.unpack_from(packet, len(packet) - PAYLOAD.size)
    return int(number) if found == token else None


class PathProbes:
    """Sends probes.

    Args:
        interface: whose packets are impaired.

    Attributes:
        token: by which the probes of this engine are known.

    Raises:
        OSError: the system does not let us (the capabilities NET_RAW and NET_ADMIN are needed).
    """

    def __init__(self, interface: str) -> None:
        self.token, self._sent = os.urandom(16), 0
        self._sockets: dict[Direction, socket.socket] = {}
        try:
            self._sockets[Direction.EGRESS] = raw_socket(socket.AF_INET, PROBE, interface)
            self._sockets[Direction.INGRESS] = raw_socket(socket.AF_INET, PROBE, None)
        except OSError:
            self.close()
            raise

    def send(self, direction: Direction) -> int:
        """Send a probe the way of the packets of a direction, and return its number.

        Raises:
            Failure: the system does not take it.
        """
        self._sent += 1
        # The source of what leaves is the interface's address, which the kernel fills in.
        source, destination = ("0.0.0.0", NOWHERE) if direction is Direction.EGRESS else (HERE, HERE)  # noqa: S104
        packet = udp(source, destination, PORT, PAYLOAD.pack(self.token, self._sent))
        try:
            self._sockets[direction].sendto(packet, (destination, 0))
        except OSError as error:
            raise Failure(explain(error, f"send a probe through the rules ({direction})")) from error
        return self._sent

    def close(self) -> None:
        """Close the sockets."""
        for raw in self._sockets.values():
            raw.close()
