"""The numbered stream against real servers on this host."""

import fcntl
import json
import os
import signal
import socket
from contextlib import ExitStack
from typing import Any

import pytest

from tests.socket.conftest import Run, Running, Start
from tests.socket.programs import LOCALHOST, accept, listen, one_line, port_of, receive, udp_socket

Journal = list[dict[str, Any]]


def journal(stdout: bytes) -> Journal:
    return [json.loads(line) for line in stdout.splitlines()]


def of(events: Journal, event: str) -> Journal:
    return [each for each in events if each["event"] == event]


@pytest.mark.parametrize("size", [8, 64, 1472])
def test_datagrams_are_sent_at_their_rate_and_all_answered(run: Run, running: Running, size: int) -> None:
    ended = run(
        "stream",
        "udp",
        LOCALHOST,
        running("server").port,
        "--count",
        20,
        "--rate",
        400,
        "--size",
        size,
        LOG_FORMAT="json",
    )
    assert ended.code == 0, ended.stderr
    events = journal(ended.stdout)
    assert (events[0]["event"], events[-1]["event"], events[-1]["answered"]) == ("start", "end", 20)
    sent, answers = of(events, "sendto"), of(events, "recvfrom")
    assert [each["seq"] for each in sent] == list(range(1, 21))
    assert sorted(each["seq"] for each in answers) == list(range(1, 21))
    assert {each["bytes"] for each in sent + answers} == {size}
    # Each at its time or later: the last one 19 times 2.5 ms after the start.
    assert sent[-1]["time_ns"] - events[0]["time_ns"] >= 19 * 2_500_000
    assert len({each["local"] for each in sent}) == 1


def test_messages_do_not_wait_for_answers(run: Run) -> None:
    with udp_socket() as silent:
        ended = run(
            "stream",
            "udp",
            LOCALHOST,
            port_of(silent),
            "--count",
            10,
            "--rate",
            1000,
            "--wait",
            0.05,
            LOG_FORMAT="json",
        )
        assert ended.code == 3
        events = journal(ended.stdout)
        assert len(of(events, "sendto")) == 10
        assert of(events, "recvfrom") == []
        assert events[-1]["answered"] == 0
        assert [silent.recv(100)[:3] for _ in range(3)] == [b"#1 ", b"#2 ", b"#3 "]


def test_answers_of_other_bytes_and_of_nobody_are_told_apart(start: Start) -> None:
    with udp_socket() as server:
        client = start(
            "stream",
            "udp",
            LOCALHOST,
            port_of(server),
            "--count",
            3,
            "--rate",
            1000,
            "--size",
            16,
            "--wait",
            0.3,
            LOG_FORMAT="json",
        )
        requests = [server.recvfrom(100) for _ in range(3)]
        [(first, address), (second, _), (_third, _)] = requests
        server.sendto(first.upper(), address)
        server.sendto(second.upper()[:-1] + b"!", address)
        server.sendto(b"hello", address)
        server.sendto(b"#9 BUT THERE IS NONE", address)
        ended = client.finish()
    events = journal(ended.stdout)
    assert ended.code == 3
    assert [each["seq"] for each in of(events, "damaged")] == [2]
    assert len(of(events, "stray")) == 2
    assert events[-1]["answered"] == 1


def test_port_without_a_server_is_told_and_each_message_still_sent(run: Run) -> None:
    with udp_socket() as nobody:
        port = port_of(nobody)
    ended = run(
        "stream", "udp", LOCALHOST, port, "--count", 5, "--rate", 200, "--wait", 0.05, LOG_FORMAT="json"
    )
    events = journal(ended.stdout)
    assert ended.code == 3
    assert [each["seq"] for each in of(events, "sendto")] == [1, 2, 3, 4, 5]
    assert of(events, "refused")


def test_lines_come_back_as_the_same_bytes(run: Run, running: Running) -> None:
    ended = run(
        "stream",
        "tcp",
        LOCALHOST,
        running("server").port,
        "--count",
        50,
        "--rate",
        1000,
        "--size",
        3000,
        LOG_FORMAT="json",
    )
    assert ended.code == 0, ended.stderr
    events = journal(ended.stdout)
    [summed] = of(events, "bytes")
    assert summed["came"] == summed["expected"] == 150_000
    assert summed["sha256_came"] == summed["sha256_expected"]
    assert [each["message"] for each in of(events, "write")] == list(range(1, 51))
    assert sum(each["bytes"] for each in of(events, "recv")) == 150_000
    info = of(events, "info")
    assert info[-1]["cwnd"] > 0
    assert info[-1]["bytes_acked"] >= 150_000


def test_wrong_bytes_over_tcp_have_another_sum(start: Start) -> None:
    with listen() as door:
        client = start(
            "stream", "tcp", LOCALHOST, port_of(door), "--count", 2, "--size", 10, LOG_FORMAT="json"
        )
        with accept(door) as connection:
            got = receive(connection, 20)
            connection.sendall(got)  # not in upper case
            ended = client.finish()
    [summed] = of(journal(ended.stdout), "bytes")
    assert summed["came"] == 20
    assert summed["sha256_came"] != summed["sha256_expected"]


@pytest.mark.parametrize("how", ["close", "silence"])
def test_connection_that_ends_or_stands_still_is_given_up(start: Start, how: str) -> None:
    with listen() as door:
        client = start(
            "stream",
            "tcp",
            LOCALHOST,
            port_of(door),
            "--count",
            3,
            "--rate",
            1000,
            "--size",
            10,
            "--patience",
            0.3,
            LOG_FORMAT="json",
        )
        with accept(door) as connection:
            connection.sendall(receive(connection, 10).upper())
            if how == "close":
                receive(connection, 20)
                connection.shutdown(socket.SHUT_WR)
            ended = client.finish()
    events = journal(ended.stdout)
    assert ended.code == 3
    [gave_up] = of(events, "gave_up")
    assert gave_up["reason"] == (
        "the server closed the connection" if how == "close" else "no byte came for 0.3 s"
    )
    assert events[-1]["answered"] == 1


def test_no_connection_is_a_result_too(run: Run) -> None:
    with udp_socket() as nobody:  # a port that no TCP program has
        ended = run("stream", "tcp", LOCALHOST, port_of(nobody), LOG_FORMAT="json")
    assert ended.code == 3
    events = journal(ended.stdout)
    assert "refused" in of(events, "gave_up")[0]["reason"]
    assert events[-1]["event"] == "end"


def test_people_get_the_socket_calls_as_text(run: Run, running: Running) -> None:
    ended = run("stream", "udp", LOCALHOST, running("server").port, "--count", 2)
    assert ended.code == 0
    assert ended.stderr == b""
    assert b'"#1 abcdefghijk' in ended.stdout
    assert b'"#2 ABCDEFGHIJK' in ended.stdout


def test_progress_is_json_on_standard_error(run: Run, running: Running) -> None:
    ended = run("stream", "udp", LOCALHOST, running("server").port, "--count", 2, LOG_FORMAT="json")
    said = [json.loads(line) for line in ended.stderr.splitlines()]
    assert said[0] == {"of": 2, "sent": 0, "answered": 0}


def test_host_that_does_not_exist_ends_in_one_line(run: Run) -> None:
    ended = run("stream", "tcp", "no.such.host.invalid", 1)
    assert one_line(ended, 1).startswith("stream: cannot find a host named no.such.host.invalid: ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["sctp"], "argument protocol", id="protocol"),
        pytest.param(
            ["udp", "--count", "0"], "expected a number of messages from 1 to 50000, got '0'", id="count"
        ),
        pytest.param(["udp", "--size", "7"], "expected a size in bytes from 8 to 65507, got '7'", id="size"),
        pytest.param(
            ["tcp", "--rate", "x"], "expected messages a second from 1 to 100000, got 'x'", id="rate"
        ),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(run: Run, arguments: list[str], complaint: str) -> None:
    ended = run("stream", *arguments)
    assert complaint in one_line(ended, 2)


@pytest.mark.parametrize("program", [("stream", "udp"), ("bulk",)], ids=" ".join)
def test_signal_ends_it_also_where_nobody_reads_its_journal(start: Start, program: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    with ExitStack() as todo:
        todo.callback(os.close, reader)
        todo.callback(os.close, writer)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        os.write(writer, bytes(4096))
        server = todo.enter_context(listen() if program == ("bulk",) else udp_socket())
        name, *arguments = program
        running = start(name, *arguments, LOCALHOST, port_of(server), stdout=writer, LOG_FORMAT="json")
        if name == "bulk":
            todo.enter_context(accept(server)).recv(1)
        else:
            server.recv(100)
        running.send_signal(signal.SIGTERM)
        ended = running.finish()
    assert ended.code == 143
    assert b"Traceback" not in ended.stderr
