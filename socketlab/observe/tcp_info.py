"""Observe: what TCP_INFO says of a connection, of what the host side asks for by itself.

The programs on the hosts read more of it: `connection_info.py` of the client.

Source: `struct tcp_info` in Linux's <linux/tcp.h>.
"""

import struct

TCP_INFO = 11  # <netinet/tcp.h>; the host side may run where Python's socket module has no such name
ROOM = 512  # bytes, more than any kernel so far fills
SEND_WINDOW = struct.Struct("=I"), 228  # tcpi_snd_wnd, since Linux 5.4


def send_window(structure: bytes) -> int | None:
    """Return the window that the other side has advertised last, in bytes; None: this kernel does not say."""
    field, offset = SEND_WINDOW
    return field.unpack_from(structure, offset)[0] if len(structure) >= offset + field.size else None
