"""The TCP client and a server, played by the test, that cuts, resets, repeats itself or says nothing."""

import time
from collections.abc import Callable
from socket import SHUT_WR, socket
from subprocess import PIPE

import pytest

from tests.socket.conftest import Run, Start, StartServer
from tests.socket.programs import (
    LOCALHOST,
    accept,
    connect,
    listen,
    one_line,
    port_of,
    receive_all,
    receive_line,
    reset,
)

Play = Callable[[socket], None]
MORE_THAN_A_LINE = "the server sent more than one line for a line: is it a server of the lecture?"
NO_ANSWER = "the server closed the connection without an answer: look at its log"


def play_reset(connection: socket) -> None:
    reset(connection)


def play_close(connection: socket) -> None:
    connection.close()


def play_two_lines(connection: socket) -> None:
    connection.sendall(b"ONE\nTWO\n")


def play_more_after_the_line(connection: socket) -> None:
    connection.sendall(b"ONE\nT")


def play_endless_line(connection: socket) -> None:
    connection.sendall(b"X" * 300_000)


@pytest.mark.parametrize(
    ("play", "complaint"),
    [
        pytest.param(play_close, NO_ANSWER, id="closes"),
        pytest.param(play_reset, NO_ANSWER, id="resets"),
        pytest.param(play_two_lines, MORE_THAN_A_LINE, id="two-lines"),
        pytest.param(play_more_after_the_line, MORE_THAN_A_LINE, id="a-line-and-more"),
        pytest.param(play_endless_line, MORE_THAN_A_LINE, id="a-line-without-end"),
    ],
)
def test_server_that_does_not_keep_the_protocol_is_told_in_one_line(
    start: Start, play: Play, complaint: str
) -> None:
    with listen() as welcoming_socket:
        client = start("tcp_client", LOCALHOST, port_of(welcoming_socket), "--quiet", stdin=b"one\ntwo\n")
        with accept(welcoming_socket) as connection:
            assert receive_line(connection) == b"one\n"
            play(connection)
            ended = client.finish()
    assert one_line(ended, 1) == f"tcp_client: {complaint}"
    assert ended.stdout == b""


def test_reset_within_an_answer_is_told_in_one_line(start: Start) -> None:
    with listen() as welcoming_socket:
        port = port_of(welcoming_socket)
        client = start("tcp_client", LOCALHOST, port, stdin=b"one\ntwo\n", LOG_FORMAT="json")
        with accept(welcoming_socket) as connection:
            assert receive_line(connection) == b"one\n"
            connection.sendall(b"ON")
            client.wait_for_event("recv", bytes=2)
            reset(connection)
            ended = client.finish()
    assert one_line(ended, 1) == (
        f"tcp_client: cannot get an answer from {LOCALHOST}, port {port}: Connection reset by peer "
        "(the other side ended the connection abruptly: check the server, then try again)"
    )


def test_line_that_nobody_asked_for_is_not_taken_for_the_next_answer(start: Start) -> None:
    with listen() as welcoming_socket:
        client = start("tcp_client", LOCALHOST, port_of(welcoming_socket), stdin=PIPE, LOG_FORMAT="json")
        with accept(welcoming_socket) as connection:
            client.type(b"one\n")
            assert receive_line(connection) == b"one\n"
            connection.sendall(b"ONE\n")
            client.wait_for_event("answer", line=1)
            connection.sendall(b"BY THE WAY\n")
            client.type(b"two\n")
            client.type_no_more()
            ended = client.finish()
    assert one_line(ended, 1) == f"tcp_client: {MORE_THAN_A_LINE}"
    assert [record["text"] for record in client.journal() if record["event"] == "answer"] == ["ONE"]


def test_answer_in_pieces_is_put_together(start: Start) -> None:
    with listen() as welcoming_socket:
        client = start(
            "tcp_client", LOCALHOST, port_of(welcoming_socket), stdin=b"one\ntwo", LOG_FORMAT="json"
        )
        received = 0
        with accept(welcoming_socket) as connection:
            for question, pieces in ((b"one\n", [b"O", b"N", b"E\n"]), (b"two\n", [b"TW\xc3", b"O", b"\n"])):
                assert receive_line(connection) == question
                for piece in pieces:
                    connection.sendall(piece)
                    received += 1
                    client.wait_for_number("recv", received)
        ended = client.finish()
    assert (ended.code, ended.stderr) == (0, b"")
    texts = [record["text"] for record in client.journal() if record["event"] == "answer"]
    assert texts == ["ONE", "TW\\xc3O"]


@pytest.mark.parametrize("end", [b"\n", b""], ids=["line", "no-newline"])
def test_server_that_closes_after_each_answer_is_asked_again(start: Start, end: bytes) -> None:
    with listen() as welcoming_socket:
        client = start(
            "tcp_client", LOCALHOST, port_of(welcoming_socket), "--quiet", stdin=b"one\ntwo\nthree"
        )
        for question in (b"one", b"two", b"three"):
            # With a line for an answer, the client may notice the end only after it has sent the next one.
            while True:
                with accept(welcoming_socket) as connection:
                    if not (line := receive_line(connection)):
                        continue
                    assert line == question + b"\n"
                    connection.sendall(question.upper() + end)
                break
        assert client.finish() == (0, b"ONE\nTWO\nTHREE\n", b"")


def test_server_that_has_closed_before_the_next_line_is_asked_again(start: Start) -> None:
    with listen() as welcoming_socket:
        client = start("tcp_client", LOCALHOST, port_of(welcoming_socket), "--quiet", stdin=PIPE)
        for question in (b"one\n", b"two\n"):
            if question == b"one\n":
                client.type(question)
            with accept(welcoming_socket) as connection:
                assert receive_line(connection) == question
                connection.sendall(question.upper())
                connection.shutdown(SHUT_WR)
                if question == b"one\n":
                    client.wait_for("the answer", lambda: client.said() == b"ONE\n")
                    client.type(b"two\n")
                else:
                    client.type_no_more()
                assert receive_all(connection) == b""  # nothing is sent into a connection that is closed
        assert client.finish() == (0, b"ONE\nTWO\n", b"")


def test_server_that_never_answers_is_told_after_the_time_out(start: Start) -> None:
    with listen() as welcoming_socket:
        port = port_of(welcoming_socket)
        client = start("tcp_client", LOCALHOST, port, "--quiet", "--timeout", 0.1, stdin=b"one\ntwo\n")
        with accept(welcoming_socket) as connection:
            assert receive_line(connection) == b"one\n"
            begun = time.monotonic()
            assert receive_all(connection) == b""
            assert time.monotonic() > begun + 0.05
        ended = client.finish()
    assert one_line(ended, 1) == f"tcp_client: cannot get an answer from {LOCALHOST}, port {port}: timed out"


def test_server_that_does_not_take_the_connection_is_told_after_the_time_out(run: Run) -> None:
    # A queue for one, and one that waits in it: the system ignores further connection requests.
    with listen(backlog=0) as welcoming_socket:
        port = port_of(welcoming_socket)
        with connect(port):
            ended = run("tcp_client", LOCALHOST, port, "--timeout", 0.1, stdin=b"one\n")
    assert one_line(ended, 1) == f"tcp_client: cannot connect to {LOCALHOST}, port {port}: timed out"


def test_server_that_is_full_is_no_answer_and_the_next_line_is_tried_again(
    start: Start, start_server: StartServer
) -> None:
    server = start_server("server", "--max-connections", 1)
    first = connect(server.port)
    with first:
        client = start("tcp_client", LOCALHOST, server.port, "--quiet", stdin=PIPE)
        client.type(b"one\n")
        client.wait_for("the complaint", lambda: client.complaints().endswith(b"\n"))
        first.shutdown(SHUT_WR)
        assert receive_all(first) == b""
        client.type(b"two\n")
        client.type_no_more()
        ended = client.finish()
    assert (ended.code, ended.stdout) == (3, b"TWO\n")
    assert ended.stderr.decode() == (
        "tcp_client: line 1: the server says: error: the server is full (1 connections), try again later\n"
    )
