"""The servers of a host side by side: started, checked and ended together."""

import os
import signal
from pathlib import Path
from socket import SHUT_WR

import pytest

from tests.socket.conftest import Run, Start, StartServer
from tests.socket.programs import (
    LOCALHOST,
    TCP,
    UDP,
    Program,
    Server,
    ask,
    connect,
    listen,
    one_line,
    port_of,
    receive_all,
    sockets,
    wait_until,
)
from tests.socket.test_signals import patched

READY = {UDP: "bind", TCP: "listen"}


def started(start: Start, which: str = "lecture") -> tuple[Program, dict[str, int]]:
    """Start the servers of a host, each on a port that the system chooses; return the ports by protocol."""
    host = start("start_servers", which, LOG_FORMAT="json", SERVER_HOST=LOCALHOST, SERVER_PORT="0")
    lines = {protocol: host.wait_for_event(event) for protocol, event in READY.items()}
    return host, {protocol: int(str(line["local"]).rpartition(":")[2]) for protocol, line in lines.items()}


def processes(host: Program) -> dict[str, int]:
    """Return the process ids of the programs that a host runs, by their names."""
    children = Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text().split()
    lines = {
        child: Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[1].decode() for child in children
    }
    return {Path(file).stem: int(child) for child, file in lines.items()}


def state(pid: int) -> str:
    """Return a process's state, as /proc/PID/stat has it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=lambda signum: signum.name)
def test_both_servers_of_the_lecture_serve_and_end_at_a_signal(start: Start, signum: signal.Signals) -> None:
    host, ports = started(start)
    assert sorted(processes(host)) == ["tcp_server", "udp_server"]
    assert [ask(protocol, port, b"hello\n") for protocol, port in ports.items()] == [b"HELLO\n"] * 2
    ended = host.stop(signum)
    assert (ended.code, ended.stderr) == (0, b"")
    stops = [record["program"] for record in host.journal() if record["event"] == "stop"]
    assert sorted(map(str, stops)) == ["tcp_server", "udp_server"]


def test_concurrent_server_is_started_alone(start: Start) -> None:
    host, ports = started(start, "concurrent")
    assert list(processes(host)) == ["server"]
    assert len(set(ports.values())) == 1
    assert host.stop()[::2] == (0, b"")


@pytest.mark.parametrize(("victim", "other"), [("udp_server", "tcp_server"), ("tcp_server", "udp_server")])
@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGKILL, 137), (signal.SIGTERM, 1)], ids=["killed", "ended"]
)
def test_server_that_ends_by_itself_ends_the_host(
    start: Start, victim: str, other: str, signum: signal.Signals, code: int
) -> None:
    host, _ports = started(start)
    pids = processes(host)
    os.kill(pids[victim], signum)
    said = 137 if signum is signal.SIGKILL else 0
    assert one_line(host.finish(), code) == (
        f"start_servers: {victim}.py has ended with exit code {said}, and so the host's servers end"
    )
    assert not Path(f"/proc/{pids[other]}").exists()
    assert host.journal()[-1] | {"time_ns": 0} == {"time_ns": 0, "program": other, "event": "stop"}


def test_server_that_cannot_have_its_port_ends_the_host(start: Start) -> None:
    with listen() as other:
        port = str(port_of(other))
        ended = start("start_servers", "lecture", SERVER_HOST=LOCALHOST, SERVER_PORT=port).finish()
    assert ended.code == 1
    lines = ended.stderr.decode().splitlines()
    assert lines[0].startswith(f"tcp_server: cannot bind to {LOCALHOST}, port {port}: Address already in use")
    assert lines[1:] == [
        "start_servers: tcp_server.py has ended with exit code 1, and so the host's servers end"
    ]


def test_host_ends_its_servers_at_a_signal_that_comes_just_before_it_waits(start: Start) -> None:
    # At the first call; there is a second one, for the program that is ended.
    patch = "wait = os.wait\ncalls = iter([late(wait)])\nos.wait = lambda: next(calls, wait)()"
    host = start(patched("start_servers", patch, "idle"))
    # A program that waits for a signal ends with its number.
    assert host.finish() == (143, b"", b"")


def test_server_that_cannot_be_started_is_told_and_the_one_before_it_ends(start: Start) -> None:
    patch = """
spawn, spawned = os.posix_spawn, []
def one(*arguments, **more):
    if spawned:
        raise OSError(11, "Resource temporarily unavailable")
    spawned.append(spawn(*arguments, **more))
    return spawned[0]
os.posix_spawn = one
"""
    host = start(patched("start_servers", patch, "lecture"), SERVER_HOST=LOCALHOST, SERVER_PORT="0")
    assert one_line(host.finish(), 1) == (
        "start_servers: cannot start the servers: Resource temporarily unavailable"
    )


def test_unknown_servers_are_refused(run: Run) -> None:
    assert "argument WHICH: invalid choice: 'apache'" in one_line(run("start_servers", "apache"), 2)


@pytest.fixture
def lecture(start_server: StartServer) -> dict[str, Server]:
    """The lecture's two servers on one port number, as the healthcheck finds them."""
    tcp_server = start_server("tcp_server")
    udp_server = start_server("udp_server", "--port", tcp_server.port)
    assert udp_server.port == tcp_server.port
    return {"tcp_server": tcp_server, "udp_server": udp_server}


def test_host_is_healthy_while_a_silent_client_makes_others_wait(
    lecture: dict[str, Server], run: Run
) -> None:
    server = lecture["tcp_server"]
    with connect(server.port) as silent, connect(server.port) as waiting:
        server.wait_for_event("accept")
        waiting.sendall(b"am I waiting?\n")
        for _ in range(3):
            assert run("healthcheck", "lecture", SERVER_PORT=str(server.port)) == (0, b"", b"")
        # And no check stands in the queue, where it would take a client's place.
        rows = [row for row in sockets(TCP, server.port) if row.peer_port]
        assert {row.peer_port for row in rows} == {port_of(silent), port_of(waiting)}
        silent.shutdown(SHUT_WR)
        assert receive_all(waiting) == b"AM I WAITING?\n"


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        pytest.param("udp_server", "cannot get an answer (SOCK_DGRAM): timed out", id="udp"),
        pytest.param("tcp_server", "the process that listens on TCP port {port} is stopped", id="tcp"),
    ],
)
def test_host_with_a_stopped_server_is_not_healthy(
    lecture: dict[str, Server], run: Run, program: str, complaint: str
) -> None:
    server = lecture[program]
    server.send_signal(signal.SIGSTOP)
    try:
        wait_until("the server to stop", lambda: state(server.pid) == "T")
        line = one_line(run("healthcheck", "lecture", SERVER_PORT=str(server.port)), 1)
    finally:
        server.send_signal(signal.SIGCONT)
    assert line == f"healthcheck: {complaint.format(port=server.port)}"


def test_host_without_a_tcp_server_is_not_healthy(start: Start, run: Run) -> None:
    server = start("udp_server", "--host", LOCALHOST, "--port", 0, LOG_FORMAT="json")
    port = str(server.wait_for_event("bind")["local"]).rpartition(":")[2]
    ended = run("healthcheck", "lecture", SERVER_PORT=port)
    assert one_line(ended, 1) == f"healthcheck: no process listens on TCP port {port}"
