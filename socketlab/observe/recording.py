"""Observe, continued: conversations, by the packets and by the programs' journals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from socketlab.observe.packets import Packet
from socketlab.observe.socket_table import Row
from socketlab.observe.trace import Event


@dataclass(frozen=True)
class Recording:
    """What was said, and what went over the network.

    Attributes:
        client, server: the packets at each host, in order of time; of the server's none, unless both ends
            were wanted.
        client_near, server_near: those of the programs' side; see `Wire.near_packets`.
        addresses: of the client and of the server.
        journals: by address, what the programs on that host have logged.
        closing: the ends of connections that were still being closed when the capture was over.
    """

    client: Sequence[Packet]
    server: Sequence[Packet]
    client_near: Sequence[Packet]
    server_near: Sequence[Packet]
    addresses: tuple[str, str]
    journals: Mapping[str, Sequence[Event]]
    closing: Sequence[Row] = ()
