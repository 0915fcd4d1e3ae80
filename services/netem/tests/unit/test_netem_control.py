"""The control socket: what is wrong is answered in one line, and nobody makes the sidecar wait or end."""

import io
import json
import select
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from control import LONGEST_REQUEST, NAME, Answer, Refused, Request, Server, ask, relay
from lab.failures import Failure
from netem_impairment import SpecError

from tests.unit.blocking import must_not_block

SOON_S = 5.0


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's: the path of a UNIX socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="sl-") as name:
        yield Path(name) / "netem"


def echo(request: Request) -> Answer:
    return {"got": dict(request)}


@contextmanager
def serving(folder: Path, handle: Callable[[Request], Answer]) -> Iterator[Server]:
    """A server that answers in a thread, as it does in the packets' loop."""
    done, end = socket.socketpair()
    with Server(folder) as server, done, end:

        def loop() -> None:
            while end.fileno() not in select.select([server.fileno(), end.fileno()], [], [])[0]:
                server.answer(handle)

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield server
        finally:
            done.send(b"x")
            thread.join(SOON_S)
            assert not thread.is_alive()


class Client:
    """A socket with a name of its own, for requests that `ask` would never send."""

    def __init__(self, folder: Path, name: str = "client-test") -> None:
        self.path = folder / name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(SOON_S)
        self.socket.bind(str(self.path))
        self.socket.connect(str(folder / NAME))

    def answer(self, server: Server, data: bytes) -> dict[str, Any]:
        """Return what the server answers to this datagram."""
        self.socket.send(data)
        server.answer(echo)
        answer: dict[str, Any] = json.loads(self.socket.recv(1 << 16))
        return answer

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def test_request_reaches_the_handler_and_its_answer_the_client(folder: Path) -> None:
    with serving(folder, echo):
        assert ask({"command": "show", "spec": "loss 10% ß"}, folder) == {
            "got": {"command": "show", "spec": "loss 10% ß"}
        }
        assert [path.name for path in folder.iterdir()] == [NAME]


@pytest.mark.parametrize(
    ("error", "raised", "line"),
    [
        pytest.param(Refused("wrong"), Refused, "wrong", id="refused"),
        pytest.param(SpecError("no such word"), Refused, "no such word", id="spec"),
        pytest.param(Failure("this engine cannot"), Failure, "this engine cannot", id="failure"),
        pytest.param(OSError(1, "Not permitted"), Failure, "cannot do that: Not permitted", id="system"),
    ],
)
def test_what_the_handler_raises_is_raised_at_the_client(
    folder: Path, error: Exception, raised: type[Failure], line: str
) -> None:
    def handle(_request: Request) -> Answer:
        raise error

    with serving(folder, handle), pytest.raises(Failure) as failed:
        ask({"command": "set"}, folder)
    assert type(failed.value) is raised
    assert str(failed.value).startswith(line)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"set loss 10%", id="no-json"),
        pytest.param(b"\xff\xfe", id="no-text"),
        pytest.param(b'["set"]', id="no-object"),
        pytest.param(b'{"command": 1}', id="no-string"),
        pytest.param(b'{"command": {"a": []}}', id="nested"),
        pytest.param(b"[" * (LONGEST_REQUEST - 1), id="deep"),
        pytest.param(b'{"a": "b"}' + b" " * LONGEST_REQUEST, id="too-long"),
    ],
)
def test_bad_request_is_refused_in_one_line_and_the_next_is_answered(folder: Path, data: bytes) -> None:
    with Server(folder) as server, Client(folder) as client:
        refusal = client.answer(server, data)
        assert refusal["exit"] == 2
        assert "\n" not in refusal["error"]
        assert refusal["error"].startswith("expected a request")
        assert len(refusal["error"]) < 200
        assert client.answer(server, b'{"a": "b"}') == {"exit": 0, "answer": {"got": {"a": "b"}}}


def test_request_of_the_longest_length_is_read_whole(folder: Path) -> None:
    data = b'{"spec": "' + b"x" * (LONGEST_REQUEST - 12) + b'"}'
    assert len(data) == LONGEST_REQUEST
    with Server(folder) as server, Client(folder) as client:
        assert client.answer(server, data)["exit"] == 0


def test_clients_that_take_no_answer_never_make_the_sidecar_wait(folder: Path) -> None:
    with (
        must_not_block(),
        Server(folder) as server,
        Client(folder) as silent,
        Client(folder, "client-2") as client,
    ):
        # Never reads: its queue is full after some datagrams, and the answers to it are left out.
        for _ in range(200):
            silent.socket.send(b'{"a": "b"}')
            server.answer(echo)
        assert client.answer(server, b'{"a": "b"}')["exit"] == 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
            nameless.sendto(b'{"a": "b"}', str(folder / NAME))
            server.answer(echo)
        silent.socket.send(b'{"a": "b"}')
        silent.path.unlink()  # it is gone before the answer comes
        server.answer(echo)
        server.answer(echo)  # nothing there at all
        assert client.answer(server, b'{"a": "b"}')["exit"] == 0


def test_socket_is_for_its_owner_alone_and_goes_with_the_sidecar(folder: Path) -> None:
    with Server(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / NAME).is_socket()
    assert list(folder.iterdir()) == []


def test_socket_of_a_killed_sidecar_is_replaced_and_that_of_a_running_one_is_not(folder: Path) -> None:
    killed = Server(folder)
    with pytest.raises(Failure, match=r"^another sidecar runs in this container already: see netem show$"):
        Server(folder)
    killed._socket.close()  # as SIGKILL does: the file stays
    with serving(folder, echo):
        assert ask({"a": "b"}, folder) == {"got": {"a": "b"}}


def test_folder_that_cannot_be_made_is_a_failure_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match=r"^cannot make the control socket .*: Not a directory; .* a tmpfs at "):
        Server(tmp_path / "file" / "netem")


def test_no_sidecar_is_said_in_one_line(folder: Path) -> None:
    with pytest.raises(Failure, match=r"^no sidecar runs in this container: see its log$"):
        ask({"command": "show"}, folder)
    folder.mkdir()
    with pytest.raises(Failure, match=r"^no sidecar runs"):
        ask({"command": "show"}, folder)
    assert list(folder.iterdir()) == []


def test_sidecar_that_does_not_answer_is_said_in_one_line(folder: Path) -> None:
    with Server(folder):
        with pytest.raises(Failure, match=r"^the sidecar does not answer within 0.05 s: it is stopped$"):
            ask({"command": "health"}, folder, timeout_s=0.05)
        assert [path.name for path in folder.iterdir()] == [NAME]


def test_request_that_no_datagram_can_carry_is_a_failure(folder: Path) -> None:
    with Server(folder), pytest.raises(Failure, match=r"^cannot ask the sidecar by .*Message too long"):
        ask({"spec": "x" * (1 << 24)}, folder)


# --- netem control: the same, a line each


def answered(lines: bytes, handle: Callable[[Request], Answer] = echo) -> list[Any]:
    """Return the answers to some lines."""
    out = io.BytesIO()
    relay(io.BytesIO(lines), out, handle)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_each_line_is_answered_by_one_through_the_socket(folder: Path) -> None:
    def refuse(request: Request) -> Answer:
        if "spec" in request:
            raise SpecError("'lss': expected loss")
        return echo(request)

    lines = b'{"command": "stats"}\n{"command": "set", "spec": "lss"}\n{"command": "clear"}'  # cut at its end
    with serving(folder, refuse):
        assert answered(lines, lambda request: ask(request, folder)) == [
            {"exit": 0, "answer": {"got": {"command": "stats"}}},
            {"exit": 2, "error": "'lss': expected loss"},
            {"exit": 0, "answer": {"got": {"command": "clear"}}},
        ]


def test_line_without_a_sidecar_is_answered_and_so_is_the_next(folder: Path) -> None:
    lines = b'{"command": "stats"}\n' * 2
    expected = {"exit": 1, "error": "no sidecar runs in this container: see its log"}
    assert answered(lines, lambda request: ask(request, folder)) == [expected] * 2


@pytest.mark.parametrize("line", [b"", b"stats", b"[]", b'{"spec": 1}', b"\xff"])
def test_line_that_is_no_request_is_refused_and_the_next_answered(line: bytes) -> None:
    refused, next_one = answered(line + b'\n{"command": "show"}\n')
    assert refused["exit"] == 2
    assert refused["error"].startswith("expected a request ")
    assert next_one == {"exit": 0, "answer": {"got": {"command": "show"}}}


def test_longest_line_is_a_request() -> None:
    text = "x" * (LONGEST_REQUEST - len('{"spec": ""}'))
    (found,) = answered(json.dumps({"spec": text}).encode() + b"\n")
    assert found == {"exit": 0, "answer": {"got": {"spec": text}}}


@pytest.mark.parametrize("times", [1, 3])
def test_line_that_is_too_long_is_one_request_that_is_refused(times: int) -> None:
    refused, next_one = answered(b"x" * (times * LONGEST_REQUEST + 1) + b"\n{}\n")
    assert refused == {"exit": 2, "error": "expected a request of at most 16384 bytes, got more"}
    assert next_one["exit"] == 0
