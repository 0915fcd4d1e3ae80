"""How servers are run: what they do wrong is found, and none is left behind."""

import os
import sys
from pathlib import Path

import pytest

from bench import servers
from bench.errors import ServerFaultError, UnmeasurableError
from bench.experiments import Experiment
from bench.machine import Cores
from bench.measure import run
from bench.samples import Bench, Settings
from bench.servers import Kind, Protocol, Server, catalogue, serving
from bench.stats import Sample

# Takes --host and --port, as all do.
PROGRAM = """
import signal, socket, sys
{first}
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[2], int(sys.argv[4])))
while True:
    data, address = server.recvfrom(1000)
    {answer}
"""
RIGHT = "server.sendto(data.upper(), address)"


def program(answer: str = RIGHT, first: str = "") -> Server:
    command = (sys.executable, "-c", PROGRAM.format(first=first, answer=answer))
    return Server("x", "a server", Kind.PYTHON, command)


def test_serving_waits_for_the_answer_and_ends_the_server() -> None:
    with serving(program(), Protocol.UDP) as running:
        pid = running.pid
        assert running.memory().rss > 0
        assert running.cpu_seconds() >= 0
        assert running.waited_seconds() >= 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_serving_ends_the_server_when_the_caller_fails() -> None:
    pids: list[int] = []

    def fail() -> None:
        with serving(program(), Protocol.UDP) as running:
            pids.append(running.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_serving_finds_a_wrong_answer() -> None:
    expected = r"wrong answer: expected b'READY\?\\n', got b'ready\?\\n'"
    with (
        pytest.raises(ServerFaultError, match=expected),
        serving(program("server.sendto(data, address)"), Protocol.UDP),
    ):
        pass


def test_serving_finds_a_server_that_dies_at_its_start_and_gives_its_last_words() -> None:
    server = program(first="sys.exit('cannot go on')")
    with (
        pytest.raises(ServerFaultError, match="died with status 1; its last words: cannot go on"),
        serving(server, Protocol.UDP),
    ):
        pass


def test_serving_finds_a_server_that_dies_later() -> None:
    server = program(f"{RIGHT}; sys.exit('enough')")
    with (
        pytest.raises(ServerFaultError, match="no reply; it died with status 1; its last words: enough"),
        serving(server, Protocol.UDP),
    ):
        raise ServerFaultError("no reply")


def test_serving_finds_a_server_that_does_not_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "STOP_S", 0.1)
    monkeypatch.setattr(servers, "DYING_S", 0.1)
    server = program(first="signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    with (
        pytest.raises(ServerFaultError, match=r"still ran 0\.1 s after SIGTERM"),
        serving(server, Protocol.UDP),
    ):
        pass


def test_catalogue_says_why_uvloop_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "find_spec", lambda _name: None)
    missing = {
        key: server.missing
        for key, server in catalogue({"udp_loop": Path("a"), "tcp_epoll": Path("b")}).items()
        if server.missing
    }
    assert missing == {"uvloop-udp": "uvloop not installed", "uvloop-tcp": "uvloop not installed"}


def bench(rounds: int, second_tries: int = 0) -> Bench:
    settings = Settings(rounds=rounds, second_tries=second_tries)
    return Bench(Path("unused"), Cores(None, None, "not pinned"), settings)


def test_run_measures_all_in_turn_and_leaves_out_those_that_cannot() -> None:
    calls: list[str] = []

    def measure(_bench: Bench, server: Server) -> Sample:
        calls.append(server.key)
        if server.key == "wrong":
            raise ServerFaultError("wrong answer")
        if server.key == "odd":
            raise UnmeasurableError("no room")
        return {"rate": float(len(calls))}

    known = {key: Server(key, key, Kind.PYTHON, ()) for key in ("good", "wrong", "odd")}
    known["absent"] = Server("absent", "absent", Kind.PYTHON, (), missing="not installed")
    experiment = Experiment("udp", "", tuple(known), (), (), measure)
    shown: list[str] = []
    rows = run(experiment, known, bench(rounds=3), shown.append)
    assert calls == ["good", "wrong", "odd", "good", "good"]
    assert len(shown) == 12
    assert sorted(rows["good"].samples) == [0, 1, 2]
    assert (rows["wrong"].fault, rows["wrong"].not_measured) == ("wrong answer", "")
    assert (rows["odd"].fault, rows["odd"].not_measured) == ("", "no room")
    assert rows["absent"].not_measured == "not installed"


@pytest.mark.parametrize(
    ("left", "held_up", "kept", "tries"),
    [
        pytest.param(9, [1.0], 1.0, 1, id="undisturbed"),
        pytest.param(9, [50.0, 2.0], 2.0, 2, id="second-is-good"),
        pytest.param(9, [50.0, 40.0, 60.0], 40.0, 3, id="least-of-three"),
        pytest.param(1, [50.0, 40.0], 40.0, 2, id="none-left"),
    ],
)
def test_run_repeats_a_sample_that_was_held_up(
    left: int, held_up: list[float], kept: float, tries: int
) -> None:
    values = iter(held_up)
    taken: list[float] = []

    def measure(_bench: Bench, _server: Server) -> Sample:
        taken.append(next(values))
        return {"held_up_percent": taken[-1]}

    experiment = Experiment("udp", "", ("x",), (), (), measure)
    rows = run(experiment, {"x": program()}, bench(rounds=1, second_tries=left), lambda _text: None)
    assert rows["x"].samples == {0: {"held_up_percent": kept}}
    assert len(taken) == tries
