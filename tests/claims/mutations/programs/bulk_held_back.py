"""In the place of the bulk sender: sends no faster than 0.4 Mbit/s, whatever TCP would allow it."""

import socket
import sys

sys.path.insert(0, "experiments")  # where the program stands, as seen from the host's folder

import bulk
from lab.failures import run

SO_MAX_PACING_RATE = 47  # <asm-generic/socket.h>
SLOW = 50_000  # bytes a second

right = bulk.open_connection


def wrong(server: tuple[str, int], congestion: str) -> socket.socket:
    """Return a connection that is held back."""
    connection = right(server, congestion)
    connection.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, SLOW)
    return connection


sys.argv[0] = "bulk.py"
bulk.open_connection = wrong
run(bulk.main)
