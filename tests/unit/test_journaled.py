"""The socket that writes the journal: it does what the standard one does, and writes what happened."""

import json
import os
import re
import socket as standard
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import AF_INET, MSG_PEEK, SHUT_WR, SO_LINGER, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET
from typing import Any

import pytest
from lab import journaled
from lab.failures import Failure
from lab.journal import Journal
from lab.journaled import JournaledSocket, gethostbyname, socket

LOCALHOST = ("127.0.0.1", 0)
Written = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    """Return what has been written since the last call."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    monkeypatch.setattr(JournaledSocket, "journal", Journal(as_json=True, quiet=False, fd=writer))

    def read() -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in os.read(reader, 1 << 16).splitlines()]
        except BlockingIOError:
            return []

    yield read
    os.close(reader)
    os.close(writer)


@pytest.fixture
def welcoming_socket() -> Iterator[socket]:
    with socket(AF_INET, SOCK_STREAM) as sock:
        sock.settimeout(10)
        sock.bind(LOCALHOST)
        sock.listen()
        yield sock


def client_of(server: standard.socket) -> socket:
    """Return a connected client socket."""
    client = socket(AF_INET, SOCK_STREAM)
    client.settimeout(10)
    client.connect(server.getsockname())
    return client


def events(records: list[dict[str, Any]]) -> list[str]:
    return [record["event"] for record in records]


def test_program_that_has_chosen_no_journal_writes_to_standard_error() -> None:
    code = (
        "from lab.journaled import *; s = socket(2, 2)\ns.bind(('127.0.0.1', 0))\n"
        "assert s.journal is s.journal"
    )
    folder = Path(journaled.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == ""
    assert re.fullmatch(r"\S+ UDP bind +127\.0\.0\.1:\d+  ready to receive\n", done.stderr)


def test_accept_returns_a_socket_that_is_journaled_too(welcoming_socket: socket, written: Written) -> None:
    with client_of(welcoming_socket) as client:
        connection_socket, client_address = welcoming_socket.accept()
        with connection_socket:
            assert type(connection_socket) is JournaledSocket
            assert client_address == client.getsockname()
            assert (connection_socket.family, connection_socket.type) == (AF_INET, SOCK_STREAM)
            assert not connection_socket.get_inheritable()
            client.sendall(b"a")
            assert connection_socket.recv(10) == b"a"
            assert connection_socket.send(b"bc") == 2
            assert client.recv(10, MSG_PEEK) == b"bc"  # no step of the story
            assert client.recv(10) == b"bc"
    assert events(written()) == ["connect", "accept", "send", "recv", "send", "recv", "close"]


def test_accepted_socket_blocks_as_the_standard_one_does(welcoming_socket: socket) -> None:
    with client_of(welcoming_socket):
        assert welcoming_socket.gettimeout() == 10
        connection_socket, _ = welcoming_socket.accept()
        with connection_socket:
            assert connection_socket.gettimeout() is None
            assert os.get_blocking(connection_socket.fileno())


def test_socket_that_listens_says_so_once(written: Written) -> None:
    with socket(AF_INET, SOCK_STREAM) as sock:
        sock.bind(LOCALHOST)
        assert written() == []  # bound, a TCP socket is not ready
        sock.listen(5)
    [record] = written()
    assert (record["event"], record["note"]) == ("listen", "the welcoming socket")


def test_port_of_a_client_that_has_bound_is_not_called_the_systems_choice(
    welcoming_socket: socket, written: Written
) -> None:
    with socket(AF_INET, SOCK_STREAM) as client:
        client.bind(LOCALHOST)
        client.connect(welcoming_socket.getsockname())
    [record] = written()
    assert (record["event"], record.get("note")) == ("connect", None)


def test_call_that_would_block_is_no_error(welcoming_socket: socket, written: Written) -> None:
    with client_of(welcoming_socket):
        connection_socket, _client_address = welcoming_socket.accept()
        written()
        with connection_socket:
            connection_socket.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection_socket.recv(10)
            assert written() == []


def test_error_of_a_servers_answer_is_written_and_raised(welcoming_socket: socket, written: Written) -> None:
    client = client_of(welcoming_socket)
    connection_socket, client_address = welcoming_socket.accept()
    client.setsockopt(SOL_SOCKET, SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    written()
    for call in (lambda: connection_socket.recv(10), lambda: connection_socket.sendall(b"a")):
        with pytest.raises(ConnectionError):
            call()
        [record] = written()
        assert (record["event"], record["peer"]) == ("error", "{}:{}".format(*client_address))
        assert record["note"].startswith("cannot answer: ")
    connection_socket.close()
    connection_socket.close()
    assert events(written()) == ["close"]


@pytest.mark.parametrize("is_bound", [True, False], ids=["server", "client"])
def test_datagram_that_cannot_be_sent_is_an_error_of_a_server_alone(written: Written, is_bound: bool) -> None:
    with socket(AF_INET, SOCK_DGRAM) as sock:
        if is_bound:
            sock.bind(LOCALHOST)
            written()
        with pytest.raises(OSError, match="Message too long"):
            sock.sendto(b"x" * 65_508, ("127.0.0.1", 9))
    assert events(written()) == (["error"] if is_bound else [])


def test_client_says_that_the_server_closed_where_no_answer_came(
    welcoming_socket: socket, written: Written
) -> None:
    for answer, closing in ((b"", ["close"]), (b"A", [])):
        client = client_of(welcoming_socket)
        connection_socket, _ = welcoming_socket.accept()
        client.sendall(b"a")
        connection_socket.recv(10)
        if answer:
            connection_socket.sendall(answer)
        connection_socket.shutdown(SHUT_WR)
        while client.recv(10):
            pass
        written()
        client.close()
        assert events(written()) == closing
        connection_socket.close()
        written()


def test_name_that_is_no_single_host_is_refused_before_it_is_written(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        standard, "gethostbyname", lambda name: "0.0.0.0" if name == "nobody" else "192.0.2.1"
    )
    with pytest.raises(Failure, match=r"cannot ask nobody: it is 0\.0\.0\.0"):
        gethostbyname("nobody")
    assert gethostbyname("server") == "192.0.2.1"
    [record] = written()
    assert (record["event"], record["note"]) == ("resolve", "DNS: server is 192.0.2.1")
