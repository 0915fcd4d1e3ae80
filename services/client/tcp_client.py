"""The lecture's TCP client: connects, then sends lines from the keyboard and shows each answer.

python3 tcp_client.py [HOST [PORT]] [--once] [--timeout S]
"""

from select import select
from socket import AF_INET, MSG_PEEK, SOCK_STREAM, gaierror, socket

from console import COMPLAINT, Console
from lab.failures import Failure, explain, run
from lab.journal import Address, Journal
from lab.options import parse_client

# With a longer line both could wait for ever: we until the server reads on, the server until we read.
LONGEST_LINE = 65_535  # bytes
LONGEST_ANSWER = 3 * LONGEST_LINE + 1  # upper case is at most three times as long; and the newline

MORE_THAN_A_LINE = "the server sent more than one line for a line: is it a server of the lecture?"


def connect(server_name: str, server_port: int, timeout: float, journal: Journal) -> tuple[socket, Address]:
    """Return a client socket that is connected to the server, and the server's address."""
    client_socket = socket(AF_INET, SOCK_STREAM)
    client_socket.settimeout(timeout)
    try:
        # DNS is asked for the name; then the two operating systems shake hands, before any data is sent.
        client_socket.connect((server_name, server_port))
        server_address = client_socket.getpeername()
    except gaierror as error:
        raise Failure(explain(error, f"find a host named {server_name}")) from error
    except OSError as error:
        raise Failure(explain(error, f"connect to {server_name}, port {server_port}")) from error
    journal.event("connect", client_socket, peer=server_address, note="our port is the system's choice")
    return client_socket, server_address


def closed_by_server(client_socket: socket) -> bool:
    """Tell, without waiting, whether the server has closed the connection since its last answer."""
    readable, _, _ = select([client_socket], [], [], 0)
    if not readable:
        return False
    early = client_socket.recv(len(COMPLAINT), MSG_PEEK)
    # Before a question only a complaint can come. All else would be taken for the answer to the next line.
    if not COMPLAINT.startswith(early):
        raise Failure(MORE_THAN_A_LINE)
    return early == b""


def ask(client_socket: socket, server_address: Address, sentence: bytes, journal: Journal) -> bytes | None:
    """Send one line and return its answer: all until the newline, or until the server closes.

    None stands for a connection that the server closed before it answered.
    """
    answer = b""
    try:
        if closed_by_server(client_socket):
            return None
        # A byte stream has no messages: the newline says where the sentence ends. No address: the connection
        # knows its other end. sendall(), for send() may take just a part of the line.
        with journal.call("send", client_socket, peer=server_address, data=sentence + b"\n"):
            client_socket.sendall(sentence + b"\n")
        while b"\n" not in answer and len(answer) <= LONGEST_ANSWER:
            piece = client_socket.recv(4096)  # as much as there is: perhaps a part of the answer
            journal.event("recv", client_socket, peer=server_address, data=piece)
            if not piece:  # the server has closed the connection
                return answer or None
            answer += piece
    except (ConnectionResetError, BrokenPipeError):  # closed while our line was on its way
        if answer:
            raise
        return None
    modified_sentence, newline, more = answer.partition(b"\n")
    if more or not newline:
        raise Failure(MORE_THAN_A_LINE)
    return modified_sentence


def main() -> int:
    """Ask the server for each line of input, over one connection as long as the server keeps it."""
    options = parse_client("The lecture's TCP client.", timeout=60.0)
    console = Console("tcp_client", options, longest=LONGEST_LINE)
    client_socket, server_address = connect(options.host, options.port, options.timeout, console.journal)
    connection_used = False
    for sentence in console.lines():
        try:
            answer = ask(client_socket, server_address, sentence, console.journal)
            if answer is None and connection_used:
                # The lecture's server closes after each answer. To ask again does no harm: the upper case of
                # a line is the same each time. (To order a book twice would not be the same.)
                console.journal.event("close", client_socket, note="the server has closed this connection")
                client_socket.close()
                client_socket, server_address = connect(
                    options.host, options.port, options.timeout, console.journal
                )
                answer = ask(client_socket, server_address, sentence, console.journal)
        except OSError as error:
            raise Failure(
                explain(error, f"get an answer from {options.host}, port {options.port}")
            ) from error
        if answer is None:
            raise Failure("the server closed the connection without an answer: look at its log")
        connection_used = True
        console.answer(answer)
    client_socket.close()
    return console.exit_code


if __name__ == "__main__":
    run(main)
