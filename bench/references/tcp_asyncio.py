"""TCP with a Protocol, in asyncio's loop or in uvloop's."""

import asyncio
from typing import cast

from bench.references.common import BACKLOG, options, run


class Upper(asyncio.Protocol):
    """Answers what arrives on one connection; asyncio sets TCP_NODELAY itself, and so does uvloop."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport that answers go through."""
        # Not isinstance(): uvloop's transports are no subclass of asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer in upper case."""
        self.transport.write(data.upper())

    def pause_writing(self) -> None:
        """Read no more from a client that does not read, or its answers would fill the memory."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on when the client has read."""
        self.transport.resume_reading()


async def serve(host: str, port: int) -> None:
    """Serve for ever."""
    server = await asyncio.get_running_loop().create_server(Upper, host, port, backlog=BACKLOG)
    await server.serve_forever()


if __name__ == "__main__":
    host, port, loop = options(__doc__)
    run(loop, serve(host, port))
