"""In the place of the concurrent server: answers no message over UDP that it has answered before."""

import sys

import server
import uppercase
from concurrent_server import datagrams
from lab.failures import run

right = uppercase.answer_to_datagram
answered: set[bytes] = set()


def wrong(message: bytes | bytearray) -> bytes | bytearray:
    """Answer, or complain."""
    if bytes(message) in answered:
        return b"error: this was answered before"
    answered.add(bytes(message))
    return right(message)


sys.argv[0] = "server.py"
setattr(datagrams, "answer_to_datagram", wrong)  # noqa: B010 - the name under which that module knows it
run(server.main)
