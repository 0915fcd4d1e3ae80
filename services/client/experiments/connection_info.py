"""TCP_INFO: what the kernel knows of one connection.

The kernel's structure grows at its end with every few versions. It is read up to where the kernel says that
it ends, and a field that lies behind that is left out, never guessed.

Source: `struct tcp_info` in Linux's <linux/tcp.h>; tcp(7).
"""

import struct
import sys
from socket import IPPROTO_TCP, socket

TCP_INFO = 11  # <netinet/tcp.h>; Python's socket module has it on Linux alone
ROOM = 512  # bytes, more than any kernel so far fills

# Name, offset in bytes, format. In the kernel's own order and types; times are in microseconds.
FIELDS = (
    ("state", 0, "B"),
    ("retransmits", 2, "B"),  # of the segment that waits now: how often its time-out has come in a row
    ("rto_us", 8, "I"),
    ("unacked", 24, "I"),  # segments on their way
    ("sacked", 28, "I"),
    ("lost", 32, "I"),
    ("rtt_us", 68, "I"),  # smoothed
    ("rttvar_us", 72, "I"),
    ("ssthresh", 76, "I"),
    ("cwnd", 80, "I"),  # segments
    ("reordering", 88, "I"),  # by how many segments order may be broken before a loss is assumed
    ("total_retrans", 100, "I"),
    ("bytes_acked", 120, "Q"),
    ("bytes_received", 128, "Q"),
    ("segs_out", 136, "I"),
    ("segs_in", 140, "I"),
    ("min_rtt_us", 148, "I"),
    ("delivered", 192, "I"),
    ("bytes_sent", 200, "Q"),
    ("bytes_retrans", 208, "Q"),
    ("dsack_dups", 216, "I"),  # segments that the other side got twice
    ("reord_seen", 220, "I"),
    ("snd_wnd", 228, "I"),  # bytes: the window that the other side has advertised last, after its scaling
)


def decode(structure: bytes) -> dict[str, int]:
    """Return the fields that the kernel has filled, by name."""
    return {
        name: struct.unpack_from(f"={kind}", structure, offset)[0]
        for name, offset, kind in FIELDS
        if offset + struct.calcsize(f"={kind}") <= len(structure)
    }


def sample(connection: socket) -> dict[str, int]:
    """Return what the kernel knows of a connection now; nothing where the system has no TCP_INFO."""
    if sys.platform != "linux":
        return {}
    return decode(connection.getsockopt(IPPROTO_TCP, TCP_INFO, ROOM))
