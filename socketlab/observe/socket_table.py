"""Observe: a host's sockets, as its kernel lists them: /proc/net/tcp and /proc/net/udp.

Source: proc_pid_net(5); states are those of include/net/tcp_states.h.
"""

import sys
from dataclasses import dataclass
from ipaddress import IPv4Address

from socketlab.errors import TraceError

STATES = {
    "01": "ESTABLISHED",
    "02": "SYN-SENT",
    "03": "SYN-RECEIVED",
    "04": "FIN-WAIT-1",
    "05": "FIN-WAIT-2",
    "06": "TIME-WAIT",
    "07": "CLOSED",
    "08": "CLOSE-WAIT",
    "09": "LAST-ACK",
    "0A": "LISTEN",
    "0B": "CLOSING",
}


@dataclass(frozen=True)
class Row:
    """One socket of a host.

    Attributes:
        protocol: "udp" or "tcp".
        local, peer: "172.18.0.2:12000"; 0.0.0.0:0 as a peer is nobody in particular.
        state: of TCP, by RFC 9293's names; of UDP "ESTABLISHED" (it was connected) or "CLOSED".
        unsent, unread: bytes that wait in the kernel to be acknowledged, and to be read by the program; of a
            welcoming socket `unread` are the connections that wait to be accepted.
        inode: the socket's number, by which it is found among the descriptors of a process; 0: no process has
            it any more.
    """

    protocol: str
    local: str
    peer: str
    state: str
    unsent: int
    unread: int
    inode: int

    @property
    def port(self) -> int:
        """The local port."""
        return int(self.local.rpartition(":")[2])

    @property
    def peer_port(self) -> int:
        """The peer's; 0: nobody in particular."""
        return int(self.peer.rpartition(":")[2])


def parse(protocol: str, text: str) -> list[Row]:
    """Return the rows of /proc/net/tcp or /proc/net/udp.

    Raises:
        TraceError: it is no such list.
    """
    rows = []
    for line in text.splitlines()[1:]:
        words = line.split()
        try:
            local, peer, state, queues, inode = words[1], words[2], words[3], words[4], words[9]
            unsent, _colon, unread = queues.partition(":")
            row = Row(
                protocol, address(local), address(peer), STATES[state],
                _count(unsent, 16), _count(unread, 16), _count(inode, 10),
            )  # fmt: skip
        except (IndexError, ValueError, KeyError) as error:
            raise TraceError(f"expected a row of /proc/net/{protocol}, got {line[:80]!r}") from error
        rows.append(row)
    # Rows come and go while the kernel writes the list: then one can be there twice.
    return list(dict.fromkeys(rows))


def _count(text: str, base: int) -> int:
    if (number := int(text, base)) < 0:
        raise ValueError(f"expected a count, got {text!r}")
    return number


def address(text: str) -> str:
    """Return 0200A8C0:2EE0 as 192.168.0.2:12000: the address is a number in the host's order of bytes."""
    number, _colon, port = text.partition(":")
    octets = bytes.fromhex(number)
    if len(digits := bytes.fromhex(port)) != 2:
        raise ValueError(f"expected a port of four digits, got {port!r}")
    return f"{IPv4Address(octets[::-1] if sys.byteorder == 'little' else octets)}:{int.from_bytes(digits)}"
