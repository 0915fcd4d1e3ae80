"""The load generator finds out servers that answer wrongly, or not at all."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from bench.build import build, compiler
from bench.errors import ServerFaultError, UnmeasurableError
from bench.load import Phase, loading

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        compiler()
    except UnmeasurableError as error:
        pytest.skip(str(error))
    return build(tmp_path_factory.mktemp("bench"), "load")["load"]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as resources:
        yield resources


def udp_server(stack: ExitStack, answer: Callable[[int, bytes], list[bytes]]) -> int:
    """Serve datagrams in a thread until the test ends; `answer` gets the count of those before."""
    server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    server.bind((HOST, 0))

    def serve() -> None:
        count = 0
        while True:
            data, address = server.recvfrom(1000)
            if not data:
                return
            for reply in answer(count, data):
                server.sendto(reply, address)
            count += 1

    thread = threading.Thread(target=serve)
    thread.start()
    stack.callback(thread.join)
    port: int = server.getsockname()[1]
    stack.callback(server.sendto, b"", (HOST, port))
    return port


def tcp_server(stack: ExitStack, answer: Callable[[bytes], bytes | None]) -> int:
    """Serve connections in turn, in a thread; where `answer` returns None the connection is closed."""
    server = stack.enter_context(socket.create_server((HOST, 0)))
    ended = threading.Event()

    def serve() -> None:
        while True:
            connection, _ = server.accept()
            with connection:
                if ended.is_set():
                    return
                try:
                    while data := connection.recv(1000):
                        reply = answer(data)
                        if reply is None:
                            break
                        connection.sendall(reply)
                except ConnectionError:
                    pass  # the load ends when it has seen enough

    thread = threading.Thread(target=serve)
    thread.start()
    port: int = server.getsockname()[1]

    def end() -> None:
        ended.set()
        socket.create_connection((HOST, port)).close()
        thread.join()

    stack.callback(end)
    return port


def measure(load: Path, kind: str, port: int, count: int, *more: str, seconds: float = 0.05) -> list[Phase]:
    """Run a load to its end."""
    with loading([str(load), kind, HOST, str(port), str(seconds), str(count), *more]) as running:
        return list(running.phases)


def test_udp_counts_right_answers(load: Path, stack: ExitStack) -> None:
    [phase] = measure(load, "udp", udp_server(stack, lambda _, data: [data.upper()]), 16)
    assert phase.values["answers"] > 0
    assert phase.values["seconds"] >= 0.05
    assert (phase.values["lost"], phase.values["late"]) == (0, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda data: data, id="not-changed"),
        pytest.param(lambda data: data.upper()[:-1], id="cut"),
        pytest.param(lambda data: data.upper() + b"!", id="longer"),
        pytest.param(lambda data: data.upper().replace(b"CASE", b"Case"), id="a-letter-in-the-middle"),
        pytest.param(lambda data: b"F" * 8 + data.upper()[8:], id="an-answer-to-nothing"),
        pytest.param(lambda _data: b"", id="empty"),
    ],
)
def test_udp_wrong_answers_are_found_even_if_the_first_were_right(
    load: Path, stack: ExitStack, wrong: Callable[[bytes], bytes]
) -> None:
    port = udp_server(stack, lambda count, data: [wrong(data) if count == 100 else data.upper()])
    with pytest.raises(ServerFaultError, match="wrong answer"):
        measure(load, "udp", port, 16)


def test_udp_lost_replies_are_counted(load: Path, stack: ExitStack) -> None:
    # Warm-up: 0.2 s. A window of one, and every reply but the first missing: each costs 0.2 s of waiting.
    port = udp_server(stack, lambda count, data: [data.upper()] if count % 2 else [])
    [phase] = measure(load, "udp", port, 1, seconds=0.5)
    assert phase.values["lost"] >= 2
    assert phase.values["answers"] >= 1


def test_udp_second_replies_are_not_counted_as_answers(load: Path, stack: ExitStack) -> None:
    seen: list[bytes] = []

    def twice(_count: int, data: bytes) -> list[bytes]:
        seen.append(data)
        return [data.upper(), data.upper()]

    [phase] = measure(load, "udp", udp_server(stack, twice), 4)
    assert phase.values["late"] > 0
    assert phase.values["answers"] <= len(seen) == len(set(seen))


def test_udp_without_a_server_is_a_fault(load: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind((HOST, 0))
        port = unused.getsockname()[1]
    with pytest.raises(ServerFaultError, match="Connection refused"):
        measure(load, "udp", port, 4)


@pytest.mark.parametrize("kind", ["kept", "line"])
def test_tcp_counts_right_answers_also_in_pieces(load: Path, stack: ExitStack, kind: str) -> None:
    pieces: list[bytes] = []

    def answer(data: bytes) -> bytes:
        pieces.append(data)
        return data.upper()

    [phase] = measure(load, kind, tcp_server(stack, answer), 1)
    assert 0 < phase.values["answers"] <= phase.values["all_answers"] <= len(pieces)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda data: data, id="not-changed"),
        pytest.param(lambda data: data.upper() + b"x", id="longer"),
        pytest.param(lambda data: data.upper().replace(b"CASE", b"Case"), id="a-letter-in-the-middle"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        pytest.param("kept", [], id="kept"),
        pytest.param("line", [], id="line"),
        pytest.param("idle", [], id="idle"),
        pytest.param("slow", ["drip"], id="slow"),
    ],
)
def test_tcp_wrong_answers_are_found(
    load: Path, stack: ExitStack, kind: str, more: list[str], wrong: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(ServerFaultError, match="wrong answer"):
        measure(load, kind, tcp_server(stack, wrong), 1, *more)


def test_tcp_an_answer_that_ends_early_is_a_fault(load: Path, stack: ExitStack) -> None:
    calls = iter([True])
    port = tcp_server(stack, lambda data: data.upper() if next(calls, False) else None)
    with pytest.raises(ServerFaultError, match="closed a connection after 0 of 64 bytes"):
        measure(load, "kept", port, 1)


def test_tcp_without_a_server_is_a_fault(load: Path) -> None:
    with closing(socket.create_server((HOST, 0))) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ServerFaultError, match="closed a connection after 0"):
        measure(load, "kept", port, 1)


def test_slow_says_who_got_no_answer(load: Path, stack: ExitStack) -> None:
    # The server takes one connection after the other, as the lecture's does: the first client keeps it.
    alone, beside = measure(load, "slow", tcp_server(stack, bytes.upper), 2, "drip", seconds=0.1)
    assert (alone.name, alone.values["unanswered"]) == ("alone", 1)
    assert (beside.name, beside.values["unanswered"]) == ("beside", 1)
    # The oldest question that is still open counts: it has waited for both phases.
    assert beside.values["longest_us"] >= 150_000


def test_a_load_that_is_called_wrongly_is_no_fault_of_a_server(load: Path) -> None:
    with pytest.raises(UnmeasurableError, match='status 2: unknown load "nonsense"'):
        measure(load, "nonsense", 1, 1)
