"""What both clients have in common: lines in, answers out, the story beside them, and how they end."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, SOCK_STREAM, socket

import pytest

from tests.socket.conftest import Run, Running, Start
from tests.socket.programs import (
    LOCALHOST,
    Ended,
    accept,
    command,
    in_shell,
    listen,
    one_line,
    port_of,
    receive_line,
    udp_socket,
)

LONGEST = {"udp_client": 65_507, "tcp_client": 65_535}

Both = dict[str, Ended]
RunBoth = Callable[..., Both]

every_client = pytest.mark.parametrize("program", LONGEST)


@pytest.fixture
def port(running: Running) -> int:
    """The port of the concurrent server."""
    return running("server").port


@pytest.fixture
def run_both(start: Start) -> RunBoth:
    """Run both clients, side by side, each to its end."""

    def run_both(*arguments: object, wrap: str = '"$@"', stdin: bytes = b"", log: str = "") -> Both:
        clients = {}
        for program in LONGEST:
            argv = in_shell(f"exec {wrap}", command(program, *arguments))
            clients[program] = start(argv, stdin=stdin, LOG_FORMAT=log)
        return {program: client.finish() for program, client in clients.items()}

    return run_both


def test_clients_answer_each_line_exactly(port: int, run_both: RunBoth) -> None:
    both = run_both(LOCALHOST, port, stdin=b"hello, server\n\ncrlf\r\ncaf\xe9 \xff\xed\xa0\x80z\nlast")
    calls = {}
    for program, ended in both.items():
        assert ended.code == 0, program
        assert ended.stdout == b"HELLO, SERVER\n\nCRLF\r\nCAF\xe9 \xff\xed\xa0\x80Z\nLAST\n", program
        story = ended.stderr.decode().splitlines()
        assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d{6} .+", line) for line in story), story
        calls[program] = [line[20:].split()[0] for line in story]  # after the time and the protocol
    assert calls == {
        "udp_client": ["resolve", "sendto", "recvfrom"] * 5,
        "tcp_client": ["connect", *["send", "recv"] * 5],
    }


def test_clients_without_input_end_well(port: int, run_both: RunBoth) -> None:
    assert run_both(LOCALHOST, port, "--quiet") == dict.fromkeys(LONGEST, (0, b"", b""))


def test_clients_ask_once(port: int, start: Start) -> None:
    both = [
        start(program, LOCALHOST, port, "--once", "--quiet", stdin=subprocess.PIPE) for program in LONGEST
    ]
    for client in both:
        client.type(b"first\nsecond\n")  # and they do not wait for the end of the input
    assert [client.finish() for client in both] == [(0, b"FIRST\n", b"")] * 2


def test_clients_in_json_say_all_in_json(port: int, run_both: RunBoth) -> None:
    calls = {"udp_client": ("sendto", "recvfrom"), "tcp_client": ("send", "recv")}
    sizes = {"udp_client": [1, 4], "tcp_client": [2, 5]}  # on a stream with the newline
    for program, ended in run_both(LOCALHOST, port, stdin=b"a\ncaf\xe9", log="json").items():
        assert (ended.code, ended.stderr) == (0, b"")
        records = [json.loads(line) for line in ended.stdout.splitlines()]
        assert {record["program"] for record in records} == {program}
        answers = [(r["line"], r["bytes"], r["text"]) for r in records if r["event"] == "answer"]
        assert answers == [(1, 1, "A"), (2, 4, "CAF\\xe9")]
        for event in calls[program]:
            assert [r["bytes"] for r in records if r["event"] == event] == sizes[program]
            assert {r["peer"] for r in records if r["event"] == event} == {f"{LOCALHOST}:{port}"}


def test_client_takes_the_server_from_the_environment(port: int, run: Run) -> None:
    variables = {"SERVER_HOST": LOCALHOST, "SERVER_PORT": str(port)}
    assert run("udp_client", "--quiet", stdin=b"a", **variables) == (0, b"A\n", b"")


@every_client
def test_line_that_is_too_long_is_refused_and_the_next_is_sent(port: int, run: Run, program: str) -> None:
    longest = LONGEST[program]
    lines = [b"a" * longest, b"b" * (longest + 1), b"c" * (3 * longest), b"next", b"d" * (longest + 1)]
    ended = run(program, LOCALHOST, port, "--quiet", stdin=b"\n".join(lines))
    assert ended.code == 3
    assert ended.stdout == b"A" * longest + b"\nNEXT\n"
    assert ended.stderr.decode().splitlines() == [
        f"{program}: line {n}: at most {longest:,} bytes can be sent at once, this line is longer: not sent"
        for n in (2, 3, 5)
    ]


def test_closed_standard_input_is_an_empty_one(port: int, run_both: RunBoth) -> None:
    both = run_both(LOCALHOST, port, "--quiet", wrap='"$@" <&-')
    assert both == dict.fromkeys(LONGEST, (0, b"", b""))


def test_standard_input_that_cannot_be_read_is_told_in_one_line(port: int, run: Run) -> None:
    argv = command("udp_client", LOCALHOST, port, "--quiet")
    ended = run(in_shell('exec "$@" 0>/dev/null', argv))  # open, but for writing
    assert one_line(ended, 1) == "udp_client: cannot read a line from standard input: Bad file descriptor"


def test_directory_as_standard_input_is_refused(port: int, run: Run, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        ended = run("udp_client", LOCALHOST, port, stdin=fd)
    finally:
        os.close(fd)
    # Python itself refuses it, before our first line runs.
    assert (ended.code, ended.stdout) == (1, b"")
    assert b"is a directory" in ended.stderr


@pytest.mark.parametrize(
    ("program", "redirection", "reason"),
    [
        pytest.param("udp_client", ">/dev/full", "No space left on device", id="full-disk"),
        # Its number is free: the client's socket must not get it, or the answer would go to the server.
        pytest.param("udp_client", ">&-", "Bad file descriptor", id="closed-udp"),
        pytest.param("tcp_client", ">&-", "Bad file descriptor", id="closed-tcp"),
    ],
)
def test_standard_output_that_cannot_be_written_is_told_in_one_line(
    port: int, run: Run, program: str, redirection: str, reason: str
) -> None:
    argv = command(program, LOCALHOST, port, "--quiet")
    ended = run(in_shell(f'exec "$@" {redirection}', argv), stdin=b"a\nb\n")
    assert one_line(ended, 1) == f"{program}: cannot write to standard output: {reason}"


@every_client
def test_standard_error_that_is_closed_goes_to_nobody_else(start: Start, program: str) -> None:
    # Its number is free: the client's socket must not get it, or the journal would be sent to the server.
    if program == "udp_client":
        with udp_socket() as server:
            argv = command(program, LOCALHOST, port_of(server))
            client = start(in_shell('exec "$@" 2>&-', argv), stdin=b"a")
            message, address = server.recvfrom(1 << 16)
            assert message == b"a"
            server.sendto(b"A", address)
            assert client.finish() == (0, b"A\n", b"")
    else:
        with listen() as welcoming_socket:
            argv = command(program, LOCALHOST, port_of(welcoming_socket))
            client = start(in_shell('exec "$@" 2>&-', argv), stdin=b"a")
            with accept(welcoming_socket) as server:
                assert receive_line(server) == b"a\n"
                server.sendall(b"A\n")
                assert server.recv(1 << 16) == b""
            assert client.finish() == (0, b"A\n", b"")


def test_name_without_an_address_is_told_in_one_line(run_both: RunBoth) -> None:
    # An IPv6 address is no name that an IPv4 socket could use, and no DNS server is asked for it.
    for program, ended in run_both("::1", 12000, "--quiet", stdin=b"a\nb\n").items():
        assert one_line(ended, 1).startswith(f"{program}: cannot find a host named ::1: ")
        assert ended.stdout == b""


def test_refused_connection_is_told_in_one_line(run: Run) -> None:
    with socket(AF_INET, SOCK_STREAM) as nobody:
        nobody.bind((LOCALHOST, 0))  # the port is taken, but nobody listens
        port = port_of(nobody)
        ended = run("tcp_client", LOCALHOST, port, stdin=b"a\n")
    assert ended.stdout == b""
    assert one_line(ended, 1) == (
        f"tcp_client: cannot connect to {LOCALHOST}, port {port}: Connection refused "
        "(no program listens there: start the server first, and check the port)"
    )


def test_refused_datagram_is_told_for_each_line(run: Run) -> None:
    # A socket that talks to somebody else takes no datagram of ours: the system answers that nobody is there.
    with socket(AF_INET, SOCK_DGRAM) as other, udp_socket() as its_peer:
        other.bind((LOCALHOST, 0))
        other.connect(its_peer.getsockname())
        port = port_of(other)
        ended = run("udp_client", LOCALHOST, port, "--quiet", stdin=b"a\nb\n")
    assert (ended.code, ended.stdout) == (3, b"")
    assert ended.stderr.decode().splitlines() == [
        f"udp_client: line {line}: cannot exchange a datagram with {LOCALHOST}:{port}: Connection refused "
        "(no program listens there: start the server first, and check the port)"
        for line in (1, 2)
    ]


@every_client
@pytest.mark.parametrize(
    ("signum", "code"),
    [pytest.param(signal.SIGINT, 130, id="SIGINT"), pytest.param(signal.SIGTERM, 143, id="SIGTERM")],
)
def test_client_that_waits_for_an_answer_ends_at_a_signal(
    start: Start, program: str, signum: signal.Signals, code: int
) -> None:
    with udp_socket() if program == "udp_client" else listen() as server:
        client = start(program, LOCALHOST, port_of(server), "--quiet", "--timeout", 60, stdin=b"a\nb\n")
        if program == "udp_client":
            assert server.recv(10) == b"a"
            assert client.stop(signum) == (code, b"", b"")
        else:
            with accept(server) as connection_socket:
                assert receive_line(connection_socket) == b"a\n"
                assert client.stop(signum) == (code, b"", b"")


def test_answer_that_nobody_reads_yet_is_not_lost(running: Running, start: Start) -> None:
    # More than a pipe takes: unlike its journal, the client's answers wait for their reader.
    lines = [b"%d " % number + b"x" * 20_000 for number in range(20)]
    client = start("tcp_client", LOCALHOST, running("server").port, "--quiet", stdin=b"\n".join(lines))
    ended = client.finish()
    assert (ended.code, ended.stderr) == (0, b"")
    assert ended.stdout.splitlines() == [line.upper() for line in lines]
