"""In the place of the concurrent server: reads on, whether its answers are taken or not, and keeps them."""

import sys
from socket import SO_REUSEADDR, SOL_SOCKET, create_server, socket
from threading import Condition, Thread


def serve(connection: socket) -> None:
    """Read in this thread, answer in another."""
    kept, more = bytearray(), Condition()

    def answer() -> None:
        while True:
            with more:
                more.wait_for(lambda: kept)
                piece, kept[:] = bytes(kept), b""
            connection.sendall(piece)

    Thread(target=answer, daemon=True).start()
    while piece := connection.recv(65_536):
        with more:
            kept.extend(piece.upper())
            more.notify()


welcoming = create_server(("", 12_000), backlog=16)
welcoming.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
print("listen", file=sys.stdout, flush=True)
while True:
    Thread(target=serve, args=(welcoming.accept()[0],), daemon=True).start()
