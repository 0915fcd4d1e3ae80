"""TCP with plain sockets: a thread a connection."""

import socket
import threading

from bench.references.common import BACKLOG, no_delay, options


def answer(connection: socket.socket) -> None:
    """Answer what arrives on one connection, in upper case, until the client closes."""
    with connection:
        no_delay(connection)
        try:
            while data := connection.recv(65536):
                connection.sendall(data.upper())
        except ConnectionError:
            pass  # the client has gone, and with it whoever could be told


def serve(host: str, port: int) -> None:
    """Serve for ever."""
    with socket.create_server((host, port), backlog=BACKLOG) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    host, port, _ = options(__doc__)
    serve(host, port)
