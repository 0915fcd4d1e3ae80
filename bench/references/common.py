"""What the Python references share: their command line and their event loops."""

import argparse
import asyncio
import importlib
import socket
from collections.abc import Coroutine

# Long enough that no reference refuses a connection because its queue was short.
BACKLOG = 4096


def options(doc: str | None) -> tuple[str, int, str]:
    """Return host, port and the name of the event loop, from the command line."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    chosen = parser.parse_args()
    return chosen.host, chosen.port, chosen.loop


def run(loop: str, serve: Coroutine[None, None, None]) -> None:
    """Run `serve` in the named event loop until the program is ended."""
    # By name, as uvloop need not be installed.
    factory = importlib.import_module("uvloop").new_event_loop if loop == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve)


def no_delay(connection: socket.socket) -> None:
    """Send short answers at once."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
