"""TCP with asyncio's streams: a coroutine a connection."""

import asyncio

from bench.references.common import BACKLOG, options, run


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer what arrives on one connection; asyncio sets TCP_NODELAY itself."""
    try:
        while data := await reader.read(65536):
            writer.write(data.upper())
            await writer.drain()
    except ConnectionError:
        pass  # the client has gone, and with it whoever could be told
    finally:
        writer.close()


async def serve(host: str, port: int) -> None:
    """Serve for ever."""
    server = await asyncio.start_server(answer, host, port, backlog=BACKLOG)
    await server.serve_forever()


if __name__ == "__main__":
    host, port, loop = options(__doc__)
    run(loop, serve(host, port))
