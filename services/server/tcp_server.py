"""The lecture's TCP server: a welcoming socket, and for each client in turn a connection socket.

    python3 tcp_server.py [--host ADDR] [--port N]

One client at a time: while one is connected and silent, all others wait. `server.py` does without that.
"""

from socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket

from lab.failures import Failure, explain, run
from lab.journal import Address, Journal
from lab.lecture import serve_until_stopped
from uppercase import UpperStream

PIECE = 4096  # bytes to read at a time; any number would do


def answer_a_line(connection_socket: socket, client_address: Address, journal: Journal) -> None:
    """Answer one line, or, where no newline comes, all that the client sends."""
    stream = UpperStream()
    while True:
        # TCP delivers a byte stream, not messages: one recv() may return half a line, or the whole of two.
        sentence = connection_socket.recv(PIECE)
        journal.event("recv", connection_socket, peer=client_address, data=sentence)
        # Nothing at all means that the client has closed its side.
        capitalized_sentence = stream.feed(sentence) if sentence else stream.end()
        # sendall(), for send() may take just a part of a long answer. No address: the connection has it.
        if capitalized_sentence:
            with journal.call("send", connection_socket, peer=client_address, data=capitalized_sentence):
                connection_socket.sendall(capitalized_sentence)
        if not sentence or b"\n" in sentence:
            return


def serve(host: str, port: int, journal: Journal) -> None:
    """Answer one client after the other, for ever."""
    # SOCK_STREAM: a byte stream, so TCP.
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
            # accept() blocks until a client comes, and returns a new socket for this client alone.
            connection_socket, client_address = welcoming_socket.accept()
            with connection_socket:  # closed at the end of this block; the welcoming socket stays
                journal.event(
                    "accept", connection_socket, peer=client_address, note="a new connection socket"
                )
                try:
                    answer_a_line(connection_socket, client_address, journal)
                except OSError as error:
                    journal.event(
                        "error", connection_socket, peer=client_address, note=explain(error, "answer")
                    )
                journal.event(
                    "close", connection_socket, peer=client_address, note="the welcoming socket stays"
                )


def main() -> int:
    """Serve as the options and the environment say."""
    return serve_until_stopped(
        "The lecture's TCP server: answers a line in upper case, one client at a time.", serve
    )


if __name__ == "__main__":
    run(main)
