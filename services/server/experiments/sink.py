"""A server that reads all that comes over TCP, and answers nothing: what a large upload meets.

    python3 sink.py [--host ADDR] [--port N]

It is for looking at TCP itself: where the sender has no answers to read, what arrives at the server is the
stream and what leaves it are acknowledgements alone.
"""

from socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket
from threading import Thread

from lab.failures import Failure, explain, run
from lab.journal import Address
from lab.journaled import JournaledSocket
from lab.lecture import serve_until_stopped

PIECE = 65_536


def drain(connection_socket: socket, client_address: Address) -> None:
    """Read until the client closes, or is gone."""
    room = bytearray(PIECE)
    drained, why = 0, "the client has closed"
    with connection_socket:
        try:
            while size := connection_socket.recv_into(room):
                drained += size
        except OSError as error:  # who breaks off a measurement resets the connection: no end of the world
            why = explain(error, "receive")
        JournaledSocket.journal.event(
            "close", connection_socket, peer=client_address, note=f"{drained} bytes; {why}"
        )


def serve(host: str, port: int) -> None:
    """Read from all clients at once, for ever."""
    journal = JournaledSocket.journal
    with socket(AF_INET, SOCK_STREAM) as welcoming_socket:
        # Start again at once after a stop, though old connections of this port are still in TIME_WAIT.
        welcoming_socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        try:
            welcoming_socket.bind((host, port))
            welcoming_socket.listen()
        except OSError as error:
            raise Failure(explain(error, f"bind to {host or 'every address'}, port {port}")) from error
        journal.event("listen", welcoming_socket, note="the welcoming socket", always=True)
        while True:
            connection_socket, client_address = welcoming_socket.accept()
            journal.event("accept", connection_socket, peer=client_address, note="a new connection socket")
            Thread(target=drain, args=(connection_socket, client_address), daemon=True).start()


def main() -> int:
    """Serve as the options and the environment say."""
    return serve_until_stopped("Reads all that comes over TCP, and answers nothing.", serve)


if __name__ == "__main__":
    run(main)
