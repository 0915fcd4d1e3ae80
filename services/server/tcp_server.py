"""The lecture's TCP server: a welcoming socket, and for each client in turn a connection socket.

    python3 tcp_server.py [--host ADDR] [--port N]

One client at a time: while one is connected and silent, all others wait. In `server.py` none do.
"""

from socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET

from lab.failures import Failure, explain, run
from lab.journaled import socket
from lab.lecture import serve_until_stopped
from uppercase import UpperStream

PIECE = 4096  # bytes to read at a time; any number would do


def answer_a_line(connection_socket: socket) -> None:
    """Answer one line, or, where no newline comes, all that the client sends."""
    stream = UpperStream()
    while True:
        # TCP delivers a byte stream, not messages: one recv() may return half a line, or two.
        sentence = connection_socket.recv(PIECE)
        # Nothing at all means that the client has closed its side.
        capitalized_sentence = stream.feed(sentence) if sentence else stream.end()
        if capitalized_sentence:
            # sendall(), for send() may take just a part of a long answer. No address: the
            # connection has it.
            connection_socket.sendall(capitalized_sentence)
        if not sentence or b"\n" in sentence:
            return


def serve(host: str, port: int) -> None:
    """Answer one client after the other, for ever."""
    # SOCK_STREAM: a byte stream, so TCP.
    welcoming_socket = socket(AF_INET, SOCK_STREAM)
    # Start again at once after a stop, though old connections of this port are still in TIME_WAIT.
    welcoming_socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    try:
        welcoming_socket.bind((host, port))
        welcoming_socket.listen()
    except OSError as error:
        raise Failure(explain(error, f"bind to {host or 'every address'}, port {port}")) from error

    while True:
        # accept() blocks until a client comes, and returns a new socket for this client alone.
        connection_socket, client_address = welcoming_socket.accept()
        try:
            answer_a_line(connection_socket)
        except OSError:
            pass  # This client is gone, as the journal says: the next one is not.
        connection_socket.close()  # the welcoming socket stays


def main() -> int:
    """Serve as the options and the environment say."""
    description = "The lecture's TCP server: answers a line in upper case, one client at a time."
    return serve_until_stopped(description, serve)


if __name__ == "__main__":
    run(main)
