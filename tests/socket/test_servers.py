"""What all three servers have in common: how they start, what they refuse, how they end."""

import fcntl
import os
import shutil
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from socket import AF_INET, SO_REUSEADDR, SOCK_DGRAM, SOL_SOCKET, socket

import pytest

from tests.socket.conftest import Run, Running, Start, StartServer
from tests.socket.programs import (
    LOCALHOST,
    PROGRAMS,
    SPEAKS,
    TCP,
    UDP,
    ask,
    assert_serves,
    command,
    connect,
    one_line,
    port_of,
    port_of_process,
    receive_all,
    receive_line,
    sockets,
    udp_socket,
)

every_server = pytest.mark.parametrize("program", SPEAKS)
either_signal = pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)


@every_server
def test_server_answers_and_the_kernel_knows_its_sockets(running: Running, program: str) -> None:
    port = running(program).port
    assert_serves(program, port)
    for protocol in SPEAKS[program]:
        state = "LISTEN" if protocol == TCP else "CLOSED"
        assert [row.state for row in sockets(protocol, port) if row.peer_port == 0] == [state]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("udp_server", "udp_server", id="udp-udp"),
        pytest.param("tcp_server", "tcp_server", id="tcp-tcp"),
        pytest.param("server", "server", id="both-both"),
        pytest.param("udp_server", "server", id="udp-both"),
        pytest.param("tcp_server", "server", id="tcp-both"),
    ],
)
def test_second_server_is_refused_and_the_first_keeps_serving(
    running: Running, run: Run, first: str, second: str
) -> None:
    port = running(first).port
    ended = run(second, "--host", LOCALHOST, "--port", port)
    assert one_line(ended, 1) == (
        f"{second}: cannot bind to {LOCALHOST}, port {port}: Address already in use "
        "(another program has this port: stop it, or choose another port)"
    )
    assert ended.stdout == b""
    assert_serves(first, port)


@pytest.mark.parametrize("program", ["udp_server", "server"])
def test_udp_port_cannot_be_taken_from_under_the_server(running: Running, program: str) -> None:
    # Had the server set SO_REUSEADDR too, this would succeed, and the datagrams would come here.
    with socket(AF_INET, SOCK_DGRAM) as rival:
        rival.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="Address already in use"):
            rival.bind((LOCALHOST, running(program).port))


def test_udp_and_tcp_server_share_a_port_number(running: Running, start_server: StartServer) -> None:
    port = running("tcp_server").port
    udp_server = start_server("udp_server", "--port", port)
    assert udp_server.port == port
    assert ask(UDP, port, b"a") == b"A"
    assert ask(TCP, port, b"b\n") == b"B\n"


@pytest.mark.parametrize("program", ["tcp_server", "server"])
def test_server_starts_again_at_once(start_server: StartServer, program: str) -> None:
    first = start_server(program)
    port = first.port
    with connect(port) as client:
        client.sendall(b"hello\n")
        assert receive_line(client) == b"HELLO\n"
        first.send_signal(signal.SIGTERM)
        assert receive_all(client) == b""  # the server closes first: its end of the connection lingers
    assert first.finish().code == 0
    assert "TIME-WAIT" in {row.state for row in sockets(TCP, port)}
    again = start_server(program, "--port", port)
    assert again.port == port
    assert_serves(program, port)


@either_signal
def test_servers_end_at_a_signal(start_server: StartServer, signum: signal.Signals) -> None:
    for server in [start_server(program) for program in SPEAKS]:
        assert server.port
        ended = server.stop(signum)
        assert (ended.code, ended.stderr) == (0, b""), server.program
        assert server.journal()[-1]["event"] == "stop"


@every_server
def test_server_ends_well_from_the_moment_it_says_that_it_is_ready(start: Start, program: str) -> None:
    # A signal in the very call that says so: no other process could hit this moment for certain.
    code = f"""
import signal, sys
sys.path.insert(0, {str(PROGRAMS[program].parent)!r})
import lab.journal, lab.lecture
import {program} as program
class Journal(lab.journal.Journal):
    def event(self, event, *arguments, **more):
        super().event(event, *arguments, **more)
        if event == {"bind" if program == "udp_server" else "listen"!r}:
            signal.raise_signal(signal.SIGTERM)
program.Journal = lab.lecture.Journal = Journal
program.run(program.main)
"""
    server = start([sys.executable, "-S", "-c", code, "--port", "0"], LOG_FORMAT="json")
    ended = server.finish()
    assert (ended.code, ended.stderr) == (0, b"")
    assert server.journal()[-1]["event"] == "stop"


@pytest.mark.parametrize("program", ["tcp_server", "server"])
def test_server_goes_on_where_a_connection_has_no_address_any_more(start: Start, program: str) -> None:
    # So it is on macOS once a client has reset its connection.
    code = f"""
import errno, socket, sys
class Socket(socket.socket):
    def getsockname(self):
        try:
            self.getpeername()
        except OSError:  # not connected
            return super().getsockname()
        raise OSError(errno.EINVAL, "Invalid argument")
socket.socket = Socket
sys.path.insert(0, {str(PROGRAMS[program].parent)!r})
import {program} as program
program.run(program.main)
"""
    argv = [sys.executable, "-S", "-c", code, "--host", LOCALHOST, "--port", "0"]
    server = start(argv, LOG_FORMAT="json")
    port = int(str(server.wait_for_event("listen")["local"]).rpartition(":")[2])
    for _client in range(2):
        assert ask(TCP, port, b"a\n") == b"A\n"
    server.wait_for_number("close", 2)
    assert server.stop()[::2] == (0, b"")
    assert not any("local" in record for record in server.journal() if record["event"] == "accept")


def test_servers_end_though_a_client_is_silent(start_server: StartServer) -> None:
    signals = {"tcp_server": signal.SIGINT, "server": signal.SIGTERM}
    servers = {program: start_server(program) for program in signals}
    for program, server in servers.items():
        with connect(server.port) as silent:
            server.wait_for_event("accept")
            ended = server.stop(signals[program])
            assert (ended.code, ended.stderr) == (0, b""), program
            assert receive_all(silent) == b""


def test_server_says_how_many_lines_of_its_log_nobody_read(start_server: StartServer) -> None:
    server = start_server("server")
    port = server.port
    fcntl.fcntl(server.output, fcntl.F_SETPIPE_SZ, 8192)  # room for sixty lines or so
    exchanges = 40
    for _ in range(exchanges):
        assert_serves("server", port)
    assert not any(record["event"] == "left_out" for record in server.journal())
    # There is room again, and with the next line comes the number of those that were left out.
    assert_serves("server", port)
    count = int(server.wait_for_event("left_out")["lines"])
    ended = server.stop()
    assert (ended.code, ended.stderr) == (0, b"")
    written = [str(record["event"]) for record in server.journal()]
    assert (written[:2], written[-1], written.count("left_out")) == (["bind", "listen"], "stop", 1)
    # Two lines for a datagram, five for a connection: accept, recv, send, recv of the end, close.
    assert len(written) - 4 + count == (exchanges + 1) * (2 + 5)


@every_server
def test_server_ends_though_its_log_is_full(start: Start, program: str) -> None:
    reader, writer = os.pipe()
    with ExitStack() as pipe:
        pipe.callback(os.close, reader)
        pipe.callback(os.close, writer)
        os.set_blocking(writer, False)
        for size in (1 << 12, 1):
            try:
                while os.write(writer, b"x" * size):
                    pass
            except BlockingIOError:
                pass
        os.set_blocking(writer, True)
        server = start(program, "--host", LOCALHOST, "--port", 0, stdout=writer)
        assert_serves(program, port_of_process(server.pid, SPEAKS[program][0]))
        assert server.stop() == (0, b"", b"")


@pytest.mark.parametrize(
    ("program", "redirection"),
    [
        pytest.param("server", ">/dev/full", id="full-disk"),
        *(pytest.param(program, "<&- >&- 2>&-", id=f"all-closed-{program}") for program in SPEAKS),
    ],
)
def test_server_serves_without_standard_output(
    start_server: StartServer, program: str, redirection: str
) -> None:
    server = start_server(program, wrap=["sh", "-c", f'exec "$@" {redirection}', "sh"])
    assert_serves(program, port_of_process(server.pid, SPEAKS[program][0]))
    assert server.stop() == (0, b"", b"")


def test_servers_need_a_privilege_for_a_well_known_port(start: Start) -> None:
    limit = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    port = 1023
    if not limit.exists() or int(limit.read_text()) <= port:
        pytest.skip(f"this system lets every program bind port {port}")
    drop: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("run by root, and there is no setpriv to drop the privilege with")
        drop = ["setpriv", "--inh-caps=-net_bind_service", "--bounding-set=-net_bind_service"]
    servers = {name: start([*drop, *command(name, "--host", LOCALHOST, "--port", port)]) for name in SPEAKS}
    for name, server in servers.items():
        assert one_line(server.finish(), 1) == (
            f"{name}: cannot bind to {LOCALHOST}, port {port}: Permission denied "
            "(not allowed: a port below 1024 needs a privilege where the system protects it, "
            "and a broadcast address is no server's)"
        )


def test_servers_say_that_an_address_is_not_this_hosts(start: Start) -> None:
    if Path("/proc/sys/net/ipv4/ip_nonlocal_bind").read_text().strip() != "0":
        pytest.skip("this system lets programs bind addresses that it does not have")
    servers = {name: start(name, "--host", "192.0.2.1", "--port", 0) for name in SPEAKS}
    for name, server in servers.items():
        assert one_line(server.finish(), 1) == (
            f"{name}: cannot bind to 192.0.2.1, port 0: Cannot assign requested address "
            "(no network interface of this host has that address: leave it out to use every one)"
        )


def test_server_says_that_a_name_has_no_address(run: Run) -> None:
    line = one_line(run("udp_server", "--host", "::1", "--port", 0), 1)
    assert line.startswith("udp_server: cannot bind to ::1, port 0: ")


def test_programs_refuse_a_wrong_variable_in_one_line(start: Start) -> None:
    # Each program once; what else they refuse, tests/unit/test_options.py shows.
    for program in [start(name, SERVER_PORT="65536") for name in (*SPEAKS, "udp_client", "tcp_client")]:
        ended = program.finish()
        assert "environment variable SERVER_PORT: expected a port" in one_line(ended, 2)
        assert ended.stdout == b""


def test_server_binds_every_address_unless_told(start: Start) -> None:
    server = start("udp_server", "--port", 0, LOG_FORMAT="json")
    assert str(server.wait_for_event("bind")["local"]).startswith("0.0.0.0:")
    assert server.stop().code == 0


def test_server_takes_address_and_port_from_the_environment(start: Start) -> None:
    server = start("server", LOG_FORMAT="json", SERVER_HOST="127.0.0.3", SERVER_PORT="0")
    assert str(server.wait_for_event("listen")["local"]).startswith("127.0.0.3:")
    assert server.stop().code == 0


def test_quiet_server_logs_start_and_stop_alone(start_server: StartServer) -> None:
    server = start_server("server", "--quiet")
    assert_serves("server", server.port)
    server.stop()
    assert [record["event"] for record in server.journal()] == ["bind", "listen", "stop"]


def test_healthcheck_is_true_only_of_a_server_that_answers_and_stays_out_of_its_log(
    start_server: StartServer, start: Start, run: Run
) -> None:
    server = start_server("server")
    port = str(server.port)
    both = [start("healthcheck", which, SERVER_PORT=port) for which in ("concurrent", "lecture")]
    assert [program.finish() for program in both] == [(0, b"", b"")] * 2
    server.stop()
    assert {str(record["event"]) for record in server.journal()} == {"bind", "listen", "stop"}
    for which in ("concurrent", "lecture"):
        ended = run("healthcheck", which, SERVER_PORT=port)
        assert "Connection refused" in one_line(ended, 1)


def test_healthcheck_is_false_where_the_answer_is_wrong(start: Start) -> None:
    with udp_socket() as server:
        healthcheck = start("healthcheck", "concurrent", SERVER_PORT=str(port_of(server)))
        question, address = server.recvfrom(100)
        assert (question, address[0]) == (b"healthcheck\n", "127.0.0.2")
        server.sendto(b"healthcheck\n", address)
        assert one_line(healthcheck.finish(), 1).startswith("healthcheck: expected the answer ")
