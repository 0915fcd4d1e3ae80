"""The bulk transfer and the sink, and asking again over UDP, on this host."""

import json
from typing import Any

import pytest

from tests.socket.conftest import Run, Start, StartServer
from tests.socket.programs import LOCALHOST, connect, listen, port_of, reset, udp_socket


def journal(stdout: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines()]


def test_sink_reads_all_and_answers_nothing(start_server: StartServer) -> None:
    sink = start_server("sink")
    with connect(sink.port) as first, connect(sink.port) as second:
        first.sendall(b"a" * 100_000)
        second.sendall(b"b")
        second.close()
        sink.wait_for_event("close", note="1 bytes; the client has closed")
        reset(first)
        record = sink.wait_for_event("close", peer=sink.wait_for_event("accept")["peer"])
        assert "cannot receive" in str(record["note"])
    assert sink.is_running()
    assert sink.stop().code == 0


def test_sink_says_which_port_is_taken(start: Start) -> None:
    with listen() as other:
        ended = start("sink", "--host", LOCALHOST, "--port", port_of(other)).finish()
    assert ended.code == 1
    assert b"cannot bind to" in ended.stderr
    assert ended.stderr.count(b"\n") == 1


def test_bulk_looks_at_each_connection(run: Run, start_server: StartServer) -> None:
    port = start_server("sink", "--quiet").port
    ended = run(
        "bulk", LOCALHOST, port, "--seconds", 0.2, "--connections", 2, "--congestion", "reno",
        LOG_FORMAT="json",
    )  # fmt: skip
    assert ended.code == 0, ended.stderr
    events = journal(ended.stdout)
    start, end = events[0], events[-1]
    assert (start["event"], start["congestion"], start["connections"]) == ("start", "reno", 2)
    assert end["event"] == "end"
    for number in (1, 2):
        looks = [event for event in events if event.get("connection") == number]
        assert len(looks) >= 5
        assert looks[-1]["bytes_acked"] > looks[0]["bytes_acked"]
        assert all(look["cwnd"] > 0 for look in looks)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(("--congestion", "nonesuch"), b"knows no congestion control nonesuch", id="algorithm"),
        pytest.param((), b"no program listens there", id="nobody"),
    ],
)
def test_bulk_says_in_a_line_why_it_cannot(run: Run, arguments: tuple[str, ...], complaint: bytes) -> None:
    with listen() as closed:
        port = port_of(closed)
    ended = run("bulk", LOCALHOST, port, *arguments)
    assert ended.code == 1
    assert complaint in ended.stderr
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "arguments", [("--connections", 0), ("--seconds", 0), ("--connections", "two")], ids=str
)
def test_bulk_refuses_wrong_arguments(run: Run, arguments: tuple[object, ...]) -> None:
    assert run("bulk", LOCALHOST, 1, *arguments).code == 2


def test_datagrams_are_sent_again_until_they_are_answered(start: Start) -> None:
    with udp_socket() as server:
        client = start(
            "stream", "udp", LOCALHOST, port_of(server), "--count", 3, "--rate", 1000, "--tries", 5,
            LOG_FORMAT="json",
        )  # fmt: skip
        asked = [server.recvfrom(100) for _ in range(3)]
        for message, address in asked[1:]:  # the first one is taken for lost
            server.sendto(message.upper(), address)
        for _ in range(2):
            message, address = server.recvfrom(100)
            assert (message, address) == asked[0]
        server.sendto(message.upper(), address)
        ended = client.finish()
    assert ended.code == 0
    events = journal(ended.stdout)
    assert [event["seq"] for event in events if event["event"] == "sendto"] == [1, 2, 3, 1, 1]
    assert events[-1]["answered"] == 3


def test_datagrams_are_given_up_after_so_many_tries(run: Run) -> None:
    with udp_socket() as silent:
        ended = run(
            "stream", "udp", LOCALHOST, port_of(silent), "--count", 1, "--tries", 2, "--wait", 0.05,
            LOG_FORMAT="json",
        )  # fmt: skip
        assert ended.code == 3
        assert [silent.recv(100) for _ in range(2)]
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.recv(100)
