"""The lecture's TCP client: connects, then sends lines from the keyboard and shows each answer.

python3 tcp_client.py [HOST [PORT]] [--once] [--timeout S]
"""

from select import select
from socket import AF_INET, MSG_PEEK, SOCK_STREAM, gaierror

from console import LONGEST_LINE, Console, is_complete, is_end, only_line
from lab.failures import Failure, explain, run
from lab.journaled import socket


def ask(client_socket: socket, sentence: bytes, server: str) -> bytes:
    """Send one line and return its answer; b"": the server has closed before it answered."""
    answer = b""
    try:
        # Without waiting, and without taking it: has the server closed since its last answer?
        if select([client_socket], [], [], 0)[0] and is_end(client_socket.recv(7, MSG_PEEK)):
            return answer
        # A byte stream has no messages: the newline says where the sentence ends. sendall(), for
        # send() may take just a part of it. No address: the connection knows its other end.
        client_socket.sendall(sentence + b"\n")
        while not is_complete(answer) and (piece := client_socket.recv(4096)):
            answer += piece  # as much as there was: perhaps a part of the answer
    except OSError as error:
        # Reset while our line was on its way: the server has closed before it answered.
        if answer or not isinstance(error, ConnectionError):
            raise Failure(explain(error, f"get an answer from {server}")) from error
    return answer


def main() -> int:
    """Ask the server for each line of input, over one connection as long as the server keeps it."""
    console = Console.open("tcp_client", "The lecture's TCP client.", 60.0, longest=LONGEST_LINE)
    server = f"{console.server_name}, port {console.server_port}"
    while not console.is_done:
        client_socket = socket(AF_INET, SOCK_STREAM)
        client_socket.settimeout(console.timeout)
        try:
            # DNS is asked for the name; then the two operating systems shake hands.
            client_socket.connect((console.server_name, console.server_port))
        except gaierror as error:
            raise Failure(explain(error, f"find a host named {console.server_name}")) from error
        except OSError as error:
            raise Failure(explain(error, f"connect to {server}")) from error
        for sentence in console.lines():
            modified_sentence = ask(client_socket, sentence, server)
            if not modified_sentence:
                # The lecture's server closes after each answer. To ask again does no harm: the
                # upper case of a line is the same each time. (To order a book twice is not.)
                console.ask_again()
                break
            console.answer(only_line(modified_sentence))
        client_socket.close()
    return console.exit_code


if __name__ == "__main__":
    run(main)
