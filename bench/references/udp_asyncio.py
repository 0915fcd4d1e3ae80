"""UDP with a DatagramProtocol, in asyncio's loop or in uvloop's."""

import asyncio
from typing import cast

from bench.references.common import options, run


class Upper(asyncio.DatagramProtocol):
    """Answers each datagram."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport that answers go through."""
        # Not isinstance(): uvloop's transports are no subclass of asyncio's.
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer in upper case."""
        self.transport.sendto(data.upper(), addr)


async def serve(host: str, port: int) -> None:
    """Serve for ever."""
    await asyncio.get_running_loop().create_datagram_endpoint(Upper, local_addr=(host, port))
    await asyncio.Event().wait()


if __name__ == "__main__":
    host, port, loop = options(__doc__)
    run(loop, serve(host, port))
