"""Many clients at once, at the real servers."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.socket.conftest import Run, Running, StartServer
from tests.socket.programs import Ended, accept, listen, one_line, port_of

TCP, UDP = "tcp", "udp"


def rounds(ended: Ended) -> list[dict[str, Any]]:
    """Return what the crowd said of its rounds."""
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_all_are_answered_in_every_round(run: Run, running: Running, protocol: str) -> None:
    port = running("server").port
    ended = run(
        *("crowd", protocol, "127.0.0.1", port, "--think", "0.001", "--rounds", "2", "--clients", "1", "30"),
        LOG_FORMAT="json",
    )
    assert (ended.code, ended.stderr) == (0, b"")
    told = [(one["clients"], one["round"], one["answered"]) for one in rounds(ended)]
    assert told == [(1, 1, 1), (1, 2, 1), (30, 1, 30), (30, 2, 30)]
    assert all(0 < one["median_ms"] <= one["p95_ms"] for one in rounds(ended))


def test_lecture_loop_lets_each_wait_while_those_before_it_think(run: Run, start_server: StartServer) -> None:
    port = start_server("tcp_server").port
    ended = run(
        *("crowd", TCP, "127.0.0.1", port, "--think", "0.05", "--rounds", "1", "--clients", "5"),
        LOG_FORMAT="json",
    )
    assert ended.code == 0
    (told,) = rounds(ended)
    # The last has waited while four thought, 50 ms each; half of that, for they did not all come at once.
    assert told["p95_ms"] >= 100
    assert told["answers_per_s"] <= 10 / 0.25


def test_who_is_refused_goes_without_an_answer(run: Run) -> None:
    with socket.socket() as closed:  # bound, so nobody else has the port, and nobody listens
        closed.bind(("127.0.0.1", 0))
        ended = run("crowd", TCP, "127.0.0.1", port_of(closed), "--rounds", "1", LOG_FORMAT="json")
    assert ended.code == 3
    assert [one["answered"] for one in rounds(ended)] == [0]


def test_another_answer_than_the_sentence_in_capitals_is_none(run: Run) -> None:
    def answer(welcoming_socket: socket.socket) -> None:
        with accept(welcoming_socket) as connection_socket:
            connection_socket.sendall(b"TO SEE, ")
            assert connection_socket.recv(64) == b"to be, "
            connection_socket.recv(64)  # until the client goes

    with listen() as mistaken, ThreadPoolExecutor() as pool:
        answered = pool.submit(answer, mistaken)
        ended = run(
            *("crowd", TCP, "127.0.0.1", port_of(mistaken), "--rounds", "1", "--clients", "1"),
            LOG_FORMAT="json",
        )
        answered.result()
    assert ended.code == 3
    assert [one["answered"] for one in rounds(ended)] == [0]


def test_who_is_not_answered_goes_when_the_time_is_up(run: Run) -> None:
    with listen() as silent:
        ended = run("crowd", TCP, "127.0.0.1", port_of(silent), "--rounds", "1", "--timeout", "0.1",
                    LOG_FORMAT="json")  # fmt: skip
    assert ended.code == 3
    assert [one["answered"] for one in rounds(ended)] == [0]


def test_seats_that_are_taken_leave_the_others_unanswered(run: Run, start_server: StartServer) -> None:
    port = start_server("server", "--max-connections", 3).port
    # They think long enough that nobody has gone when the last one comes.
    ended = run(
        *("crowd", TCP, "127.0.0.1", port, "--think", "0.5", "--rounds", "1", "--clients", "10"),
        LOG_FORMAT="json",
    )
    assert ended.code == 3
    assert [one["answered"] for one in rounds(ended)] == [3]


def test_people_read_a_line_for_each_round(run: Run, running: Running) -> None:
    ended = run("crowd", UDP, "127.0.0.1", running("server").port, "--rounds", "2", "--clients", "4")
    lines = ended.stdout.decode().splitlines()
    assert ended.code == 0
    assert ["clients=4" in line and f"round={n}" in line for n, line in enumerate(lines, 1)] == [True] * 2


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("sctp",), id="protocol"),
        pytest.param((TCP, "--clients", "0"), id="nobody"),
        pytest.param((TCP, "--rounds", "x"), id="rounds"),
        pytest.param((TCP, "--think", "-1"), id="negative"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(run: Run, arguments: tuple[str, ...]) -> None:
    assert one_line(run("crowd", *arguments), 2).startswith("crowd.py: ")


def test_a_server_that_nobody_knows_ends_it(run: Run) -> None:
    assert "cannot find a host named" in one_line(run("crowd", UDP, "no.such.host.invalid"), 1)
