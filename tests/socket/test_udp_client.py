"""The UDP client and a server, played by the test, whose replies are lost, late, doubled or another's."""

import sys
import time

import pytest

from tests.socket.conftest import Run, Start
from tests.socket.programs import LOCALHOST, PROGRAMS, one_line, port_of, udp_socket


def lost(line: int, port: int, timeout: str) -> str:
    return (
        f"udp_client: line {line}: no reply from {LOCALHOST}:{port} within {timeout} s: "
        "request or reply is lost, or late"
    )


def test_lost_reply_is_told_after_the_time_out_and_the_next_line_is_sent(start: Start) -> None:
    with udp_socket() as mute:
        port = port_of(mute)
        client = start("udp_client", LOCALHOST, port, "--timeout", 0.1, stdin=b"a\nb", LOG_FORMAT="json")
        assert [mute.recv(10), mute.recv(10)] == [b"a", b"b"]
        ended = client.finish()
    assert ended.code == 3
    assert ended.stderr.decode().splitlines() == [lost(line, port, "0.1") for line in (1, 2)]
    journal = client.journal()
    assert [record["line"] for record in journal if record["event"] == "unanswered"] == [1, 2]
    first, second = (int(record["time_ns"]) for record in journal if record["event"] == "sendto")
    assert 0.1 <= (second - first) / 1e9 < 2


def test_late_and_double_replies_are_never_taken_for_an_answer_to_a_later_line(start: Start) -> None:
    with udp_socket() as server:
        client = start(
            "udp_client", LOCALHOST, port_of(server), "--quiet", "--timeout", 0.3, stdin=b"one\ntwo\nthree\n"
        )
        message, first = server.recvfrom(10)
        assert message == b"one"
        message, second = server.recvfrom(10)  # the client has given up the first
        assert message == b"two"
        server.sendto(b"ONE", first)
        server.sendto(b"TWO", second)
        server.sendto(b"TWO", second)
        message, third = server.recvfrom(10)
        assert message == b"three"
        for reply, address in ((b"ONE", first), (b"TWO", second), (b"THREE", third)):
            server.sendto(reply, address)
        ended = client.finish()
        assert len({first, second, third}) == 3  # a port for each question
        assert (ended.code, ended.stdout) == (3, b"TWO\nTHREE\n")
        assert ended.stderr.decode().splitlines() == [lost(1, port_of(server), "0.3")]


def test_port_of_an_earlier_question_is_not_given_to_a_later_one(start: Start) -> None:
    questions = 30
    with udp_socket() as server:
        client = start("udp_client", LOCALHOST, port_of(server), "--quiet", stdin=b"x\n" * questions)
        ports = set()
        for _ in range(questions):
            _, address = server.recvfrom(10)
            ports.add(address)
            server.sendto(b"X", address)
        assert client.finish() == (0, b"X\n" * questions, b"")
        assert len(ports) == questions


def test_reply_from_another_address_is_ignored(start: Start) -> None:
    with udp_socket() as server, udp_socket() as impostor:
        client = start("udp_client", LOCALHOST, port_of(server), "--quiet", stdin=b"a")
        _, address = server.recvfrom(10)
        impostor.sendto(b"NOT FROM THE SERVER", address)
        server.sendto(b"A", address)
        assert client.finish() == (0, b"A\n", b"")


def test_flood_from_another_address_does_not_put_off_the_time_out(start: Start) -> None:
    with udp_socket() as server, udp_socket() as impostor:
        client = start("udp_client", LOCALHOST, port_of(server), "--quiet", "--timeout", 0.1, stdin=b"a")
        _, address = server.recvfrom(10)
        begun = time.monotonic()
        while client.is_running():
            for _ in range(200):  # many: the client must find one whenever it looks
                impostor.sendto(b"NOT FROM THE SERVER", address)
            assert time.monotonic() < begun + 2, "the client is still waiting"
        ended = client.finish()
        assert (ended.code, ended.stdout) == (3, b"")
        assert ended.stderr.decode().splitlines() == [lost(1, port_of(server), "0.1")]


@pytest.mark.parametrize("address", ["0.0.0.0", "255.255.255.255", "224.0.0.1"])
def test_name_of_what_is_no_single_host_is_refused(run: Run, address: str) -> None:
    # A reply would come from another address than the one that was sent to, so it would be taken for lost.
    code = f"""
import socket, sys
socket.gethostbyname = lambda name: "{address}"
sys.path.insert(0, {str(PROGRAMS["udp_client"].parent)!r})
import udp_client
sys.argv[0] = "udp_client"
udp_client.run(udp_client.main)
"""
    ended = run([sys.executable, "-S", "-c", code, "blocked.example", "12000"], stdin=b"a\nb\n")
    assert ended.stdout == b""
    assert one_line(ended, 1).startswith(
        f"udp_client: cannot ask blocked.example: it is {address}, which stands for "
    )


def test_broadcast_address_of_a_network_is_said_to_be_one(run: Run) -> None:
    ended = run("udp_client", "127.255.255.255", 12_000, "--quiet", stdin=b"a")
    assert one_line(ended, 3) == (
        "udp_client: line 1: cannot exchange a datagram with 127.255.255.255:12000: Permission denied "
        "(not allowed: a port below 1024 needs a privilege where the system protects it, "
        "and a broadcast address is no server's)"
    )
