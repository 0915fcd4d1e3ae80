"""What the lecture's four programs write, byte for byte: the journal's format is a contract.

Each situation is kept in tests/socket/journals.txt, as text, as JSON and with --quiet, with times and ports
made equal. `RECORD_JOURNALS=1 pytest tests/socket/test_journals.py` writes it anew.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from socket import AF_INET, SHUT_WR, SOCK_DGRAM, SOCK_STREAM, socket

import pytest

from tests.socket.conftest import Start
from tests.socket.programs import (
    DEADLINE_S,
    LOCALHOST,
    PROGRAMS,
    TCP,
    UDP,
    Ended,
    Program,
    accept,
    ask,
    connect,
    listen,
    port_of,
    port_of_process,
    receive_all,
    receive_line,
    reset,
    udp_socket,
)

JOURNALS = Path(__file__).with_name("journals.txt")
LOGS = ("text", "json", "quiet")
HEALTHCHECK = ("127.0.0.2", 0)
PIECE = b'"bytes": 2}'

Situation = Callable[[Start, str, tuple[str, ...]], Ended]


def made_equal(text: str) -> str:
    """Return what a program has written without what differs from run to run."""
    text = re.sub(r'"time_ns": \d+', '"time_ns": 0', text)
    # The first line has both clocks; which later ones have, too, depends on how fast the machine is.
    text = re.sub(r', "unix_ns": \d+', ', "unix_ns": 0', text, count=1)
    text = re.sub(r', "unix_ns": [1-9]\d*', "", text)
    text = re.sub(r"^\d\d:\d\d:\d\d\.\d{6} ", "09:41:07.250613 ", text, flags=re.MULTILINE)
    ports: dict[str, str] = {}
    return re.sub(
        r"((?:127|0)\.0\.0\.[01](?::|, port ))(\d+)",
        lambda found: found[1] + ports.setdefault(found[2], f"PORT{len(ports) + 1}"),
        text,
    )


def shown(ended: Ended) -> str:
    """Return all that a program has left behind, as it is kept."""
    stdout = ended.stdout.decode("utf-8", "backslashreplace")
    return made_equal(f"exit code: {ended.code}\n--- stdout\n{stdout}--- stderr\n{ended.stderr.decode()}")


def serve(start: Start, program: str, log: str, *more: str) -> tuple[Program, int]:
    """Start a server, and return its port as well."""
    server = start(program, "--host", LOCALHOST, "--port", 0, *more, LOG_FORMAT=log)
    return server, port_of_process(server.pid, UDP if program == "udp_server" else TCP)


def wait_for_lines(program: Program, number: int) -> None:
    """Read on until the program's journal has so many lines."""
    program.wait_for(f"{number} lines", lambda: program.said().count(b"\n") >= number)


def udp_server(start: Start, log: str, more: tuple[str, ...]) -> Ended:
    """Answer two clients, and the healthcheck that stays out of the journal; end at a signal."""
    server, port = serve(start, "udp_server", log, *more)
    with udp_socket(connected_to=port) as one, udp_socket(connected_to=port) as two:
        for client, message in ((one, b"#7 hello"), (two, "naïve straße\n".encode()), (one, b"")):
            client.send(message)
            client.recv(100)
    with socket(AF_INET, SOCK_DGRAM) as check:
        check.settimeout(DEADLINE_S)
        check.bind(HEALTHCHECK)
        check.sendto(b"healthcheck\n", (LOCALHOST, port))
        assert check.recv(100) == b"HEALTHCHECK\n"
    ask(UDP, port, b"\x1b[2J" + b"x" * 60)
    wait_for_lines(server, 1 if more else 9)
    return server.stop()


def tcp_server(start: Start, log: str, more: tuple[str, ...]) -> Ended:
    """Answer a line, a line in pieces and one without an end; bear a reset, and a client without a word."""
    server, port = serve(start, "tcp_server", log, *more)
    with connect(port) as client:
        client.sendall(b"hello\n")
        assert receive_all(client) == b"HELLO\n"
    with connect(port) as client:
        for piece, answer in ((b"stra\xc3", b"STRA"), (b"\x9fe", b"SSE"), (b"!\nmore", b"!\nMORE")):
            client.sendall(piece)
            assert client.recv(100) == answer
    with connect(port) as client:
        client.sendall(b"cut \xe2")
        client.shutdown(SHUT_WR)
        assert receive_all(client) == b"CUT \xe2"
    client = connect(port)
    client.sendall(b"x")
    assert client.recv(1) == b"X"
    reset(client)
    with connect(port) as client:
        client.shutdown(SHUT_WR)
        assert receive_all(client) == b""
    with socket(AF_INET, SOCK_STREAM) as check:
        check.settimeout(DEADLINE_S)
        check.bind(HEALTHCHECK)
        check.connect((LOCALHOST, port))
        check.sendall(b"healthcheck\n")
        assert receive_all(check) == b"HEALTHCHECK\n"
    wait_for_lines(server, 1 if more else 27)
    return server.stop()


def tcp_server_with_a_silent_client(start: Start, log: str, more: tuple[str, ...]) -> Ended:
    """Wait for a client that says nothing, until a signal ends the server."""
    server, port = serve(start, "tcp_server", log, *more)
    with connect(port):
        wait_for_lines(server, 1 if more else 2)
        return server.stop()


def bind_is_refused(program: str) -> Situation:
    """Return a situation: another program has the port."""

    def situation(start: Start, log: str, more: tuple[str, ...]) -> Ended:
        with udp_socket() if program == "udp_server" else listen() as other:
            return start(
                program, "--host", LOCALHOST, "--port", port_of(other), *more, LOG_FORMAT=log
            ).finish()

    return situation


def udp_client(start: Start, log: str, more: tuple[str, ...]) -> Ended:
    """Get an answer, none, another one after a datagram of somebody else's, and a complaint."""
    with udp_socket() as server, udp_socket() as other:
        client = start(
            "udp_client", LOCALHOST, port_of(server), "--timeout", 0.3, *more,
            stdin=b"#1 hello\nlost\n\ncomplain", LOG_FORMAT=log,
        )  # fmt: skip
        _, address = server.recvfrom(100)
        server.sendto(b"#1 HELLO", address)
        assert server.recv(100) == b"lost"
        _, address = server.recvfrom(100)
        other.sendto(b"NOT FROM THE SERVER", address)
        server.sendto(b"", address)
        _, address = server.recvfrom(100)
        server.sendto(b"error: too large", address)
        return client.finish()


def udp_client_is_refused(start: Start, log: str, more: tuple[str, ...]) -> Ended:
    """Send to a port that takes nothing from us."""
    with socket(AF_INET, SOCK_DGRAM) as other, udp_socket() as its_peer:
        other.bind((LOCALHOST, 0))
        other.connect(its_peer.getsockname())
        return start("udp_client", LOCALHOST, port_of(other), *more, stdin=b"a\nb\n", LOG_FORMAT=log).finish()


def tcp_client(start: Start, log: str, more: tuple[str, ...]) -> Ended:
    """Ask three lines over one connection; one answer comes in pieces, one is a complaint."""
    with listen() as welcoming_socket:
        client = start(
            "tcp_client", LOCALHOST, port_of(welcoming_socket), *more,
            stdin=b"one\n\nthree\nfour", LOG_FORMAT=log,
        )  # fmt: skip
        with accept(welcoming_socket) as connection:
            for question, answer in ((b"one\n", b"ONE\n"), (b"\n", b"\n"), (b"three\n", b"error: no\n")):
                assert receive_line(connection) == question
                connection.sendall(answer)
            assert receive_line(connection) == b"four\n"
            connection.sendall(b"FO")
            if not more:  # else nothing says that the piece has come
                client.wait_for("a piece", lambda: b'"FO"' in client.complaints() or PIECE in client.said())
            connection.sendall(b"UR\n")
        return client.finish()


def tcp_client_whose_server_closes(end: bytes) -> Situation:
    """Return a situation: the server closes after each answer, which ends in this way."""

    def situation(start: Start, log: str, more: tuple[str, ...]) -> Ended:
        with listen() as welcoming_socket:
            client = start(
                "tcp_client", LOCALHOST, port_of(welcoming_socket), *more,
                stdin=subprocess.PIPE, LOG_FORMAT=log,
            )  # fmt: skip
            for question in (b"one", b"two"):
                if question == b"one":
                    client.type(question + b"\n")
                with accept(welcoming_socket) as connection:
                    assert receive_line(connection) == question + b"\n"
                    connection.sendall(question.upper() + end)
                    connection.shutdown(SHUT_WR)
                    client.wait_for("the answer", partial(has_shown, client, question.upper()))
                    if question == b"one":
                        client.type(b"two\n")
                    else:
                        client.type_no_more()
                    assert receive_all(connection) == b""
            return client.finish()

    return situation


def has_shown(client: Program, answer: bytes) -> bool:
    """Tell whether the client has shown this answer."""
    said = client.said()
    return answer + b"\n" in said or b'"text": "' + answer in said


def tcp_client_whose_line_is_on_its_way(start: Start, log: str, more: tuple[str, ...]) -> Ended:
    """The server closes when the next line has been sent already: it is sent again, by a new connection."""
    with listen() as welcoming_socket:
        client = start(
            "tcp_client", LOCALHOST, port_of(welcoming_socket), *more, stdin=b"one\ntwo\n", LOG_FORMAT=log
        )
        with accept(welcoming_socket) as connection:
            assert receive_line(connection) == b"one\n"
            connection.sendall(b"ONE\n")
            assert receive_line(connection) == b"two\n"
        with accept(welcoming_socket) as connection:
            assert receive_line(connection) == b"two\n"
            connection.sendall(b"TWO\n")
            return client.finish()


def tcp_client_whose_server(play: Callable[[socket], None]) -> Situation:
    """Return a situation: the server does this when it has got the first line."""

    def situation(start: Start, log: str, more: tuple[str, ...]) -> Ended:
        with listen() as welcoming_socket:
            client = start(
                "tcp_client", LOCALHOST, port_of(welcoming_socket), "--timeout", 0.3, *more,
                stdin=b"one\ntwo\n", LOG_FORMAT=log,
            )  # fmt: skip
            with accept(welcoming_socket) as connection:
                assert receive_line(connection) == b"one\n"
                play(connection)
                return client.finish()

    return situation


def tcp_client_is_refused(start: Start, log: str, more: tuple[str, ...]) -> Ended:
    """Connect to a port where nobody listens."""
    with socket(AF_INET, SOCK_STREAM) as nobody:
        nobody.bind((LOCALHOST, 0))
        return start("tcp_client", LOCALHOST, port_of(nobody), *more, stdin=b"a\n", LOG_FORMAT=log).finish()


def no_such_host(program: str) -> Situation:
    """Return a situation: the server's name has no address."""

    def situation(start: Start, log: str, more: tuple[str, ...]) -> Ended:
        return start(program, "::1", 12000, *more, stdin=b"a\nb\n", LOG_FORMAT=log).finish()

    return situation


SITUATIONS: dict[str, Situation] = {
    "udp_server": udp_server,
    "udp_server-bind": bind_is_refused("udp_server"),
    "tcp_server": tcp_server,
    "tcp_server-silent": tcp_server_with_a_silent_client,
    "tcp_server-bind": bind_is_refused("tcp_server"),
    "udp_client": udp_client,
    "udp_client-refused": udp_client_is_refused,
    "udp_client-name": no_such_host("udp_client"),
    "tcp_client": tcp_client,
    "tcp_client-closed": tcp_client_whose_server_closes(b"\n"),
    "tcp_client-ended": tcp_client_whose_server_closes(b""),
    "tcp_client-again": tcp_client_whose_line_is_on_its_way,
    "tcp_client-no-answer": tcp_client_whose_server(socket.close),
    "tcp_client-reset": tcp_client_whose_server(reset),
    "tcp_client-two-lines": tcp_client_whose_server(lambda connection: connection.sendall(b"ONE\nTWO\n")),
    "tcp_client-timeout": tcp_client_whose_server(lambda _connection: None),
    "tcp_client-refused": tcp_client_is_refused,
    "tcp_client-name": no_such_host("tcp_client"),
}


def journals() -> dict[str, str]:
    """Return what is kept, by its name: each begins with a line of its own."""
    _nothing, *parts = re.split(r"^=== (.+)\n", JOURNALS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("name", SITUATIONS)
def test_program_writes_what_it_always_wrote(start: Start, name: str, log: str) -> None:
    ended = SITUATIONS[name](start, "text" if log == "quiet" else log, ("--quiet",) if log == "quiet" else ())
    written = shown(ended)
    if os.environ.get("RECORD_JOURNALS"):
        kept = sorted((journals() | {f"{name}.{log}": written}).items())
        JOURNALS.write_text("".join(f"=== {each}\n{text}" for each, text in kept), encoding="utf-8")
    assert written == journals()[f"{name}.{log}"]


def test_each_journal_that_is_kept_has_a_situation() -> None:
    assert journals().keys() == {f"{name}.{log}" for name in SITUATIONS for log in LOGS}


PLAIN = """
import runpy, socket, sys
sys.path.insert(0, {folder!r})
import lab.journaled
lab.journaled.socket = socket.socket
lab.journaled.gethostbyname = socket.gethostbyname
sys.argv[0] = {program!r}
runpy.run_path({program!r}, run_name="__main__")
"""


@pytest.mark.parametrize("protocol", [UDP, TCP])
def test_program_with_the_standard_socket_does_the_same_without_a_journal(
    start: Start, protocol: str
) -> None:
    def plain(program: str, *arguments: object, stdin: bytes = b"") -> Program:
        file = PROGRAMS[program]
        code = PLAIN.format(folder=str(file.parent), program=str(file))
        return start([sys.executable, "-S", "-c", code, *map(str, arguments)], stdin=stdin)

    server = plain(f"{protocol}_server", "--host", LOCALHOST, "--port", 0)
    port = port_of_process(server.pid, protocol)
    client = plain(f"{protocol}_client", LOCALHOST, port, stdin="hello\nnaïve straße\n".encode())
    assert client.finish() == (0, "HELLO\nNAÏVE STRASSE\n".encode(), b"")
    ended = server.stop()
    assert (ended.code, ended.stderr) == (0, b"")
    assert [line.split()[1:] for line in ended.stdout.splitlines()] == [[b"stop"]]
