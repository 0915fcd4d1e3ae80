"""Every program ends at any moment: SIGINT and SIGTERM are noticed wherever they come."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.socket.conftest import Start
from tests.socket.programs import (
    LOCALHOST,
    PROGRAMS,
    ROOT,
    SPEAKS,
    TCP,
    Program,
    connect,
    listen,
    port_of,
    port_of_process,
    udp_socket,
    wait_until,
)

# Python runs a signal's handler between two steps of the program. All that `late` makes is C: when the real
# call begins, the signal has come, its handler has not run, and no step is left before the call blocks.
LATE = """
import ctypes, functools, itertools, operator, os, signal, socket, sys

def late(call, *arguments):
    kill = functools.partial(ctypes.CDLL(None).kill, os.getpid(), signal.SIGTERM)
    nought = type("Nought", (), {"__index__": staticmethod(kill)})()
    signalled = map(functools.partial(operator.getitem, (arguments,)), itertools.repeat(nought))
    return functools.partial(next, itertools.islice(itertools.starmap(call, signalled), 1))

def late_method(name, *arguments):
    # A property: a journaled socket, too, finds it when it makes the real call.
    class Socket(socket.socket):
        pass
    setattr(Socket, name, property(lambda self: late(getattr(super(Socket, self), name), *arguments)))
    socket.socket = Socket
"""


def patched(program: str, patch: str, *arguments: object) -> list[str]:
    """Return the command that runs a program of services/ after a patch."""
    folder = ROOT / "services" / "capture" if program == "capture" else PROGRAMS[program].parent
    code = f"{LATE}\nsys.path.insert(0, {str(folder)!r})\n{patch}\nimport {program} as program\n"
    return [sys.executable, "-S", "-c", f"{code}program.run(program.main)", *map(str, arguments)]


def test_late_call_blocks_before_the_handler_has_run(start: Start) -> None:
    # Without this the other tests show nothing.
    with udp_socket() as server:
        code = f"""{LATE}
import time
late_method("recvfrom", 100)
signal.signal(signal.SIGTERM, lambda *_: print(time.monotonic_ns(), flush=True))
waiting = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
waiting.sendto(b"", ("{LOCALHOST}", {port_of(server)}))
waiting.recvfrom(100)
"""
        program = start([sys.executable, "-S", "-c", code])
        _nothing, address = server.recvfrom(100)
        wait_until_asleep(program)
        sent_ns = time.monotonic_ns()
        server.sendto(b"", address)
        assert int(program.finish().stdout) > sent_ns


def wait_until_asleep(program: Program) -> None:
    stat = Path(f"/proc/{program.pid}/stat")
    wait_until("the program to wait", lambda: stat.read_text().rpartition(")")[2].split()[0] == "S")


NEVER = ("--timeout", 3600)


@pytest.mark.parametrize(
    ("program", "call", "size"),
    [
        pytest.param("udp_server", "recvfrom", (65_507,), id="udp-recvfrom"),
        pytest.param("tcp_server", "_accept", (), id="tcp-accept"),
        pytest.param("tcp_server", "recv", (4096,), id="tcp-recv"),
        pytest.param("sink", "_accept", (), id="sink-accept"),
    ],
)
def test_server_ends_at_a_signal_that_comes_just_before_it_waits(
    start: Start, program: str, call: str, size: tuple[int, ...]
) -> None:
    argv = patched(program, f"late_method({call!r}, *{size})", "--host", LOCALHOST, "--port", 0)
    server = start(argv, LOG_FORMAT="json")
    if call == "recv":
        with connect(port_of_process(server.pid, TCP)):
            ended = server.finish()
    else:
        ended = server.finish()
    assert (ended.code, ended.stderr) == (0, b"")
    assert server.journal()[-1]["event"] == "stop"


@pytest.mark.parametrize(
    ("program", "patch"),
    [
        pytest.param("udp_client", "late_method('recvfrom', 100)", id="udp-recvfrom"),
        pytest.param("tcp_client", "late_method('recv', 100)", id="tcp-recv"),
        pytest.param(
            "udp_client",
            "from types import SimpleNamespace as N\n"
            "sys.stdin = N(buffer=N(readline=late(sys.stdin.buffer.readline)), isatty=lambda: False)",
            id="standard-input",
        ),
    ],
)
def test_client_ends_at_a_signal_that_comes_just_before_it_waits(
    start: Start, program: str, patch: str
) -> None:
    with ExitStack() as sockets:
        server = sockets.enter_context(listen() if program == "tcp_client" else udp_socket())
        stdin = subprocess.PIPE if "stdin" in patch else b"a\n"
        argv = patched(program, patch, LOCALHOST, port_of(server), "--quiet", *NEVER)
        client = start(argv, stdin=stdin)
        assert client.finish() == (143, b"", b"")


def test_idle_host_ends_at_a_signal_that_comes_just_before_it_waits(start: Start) -> None:
    assert start(patched("idle", "signal.pause = late(signal.pause)")).finish() == (143, b"", b"")


def test_remote_host_ends_its_programs_at_a_signal_that_comes_just_before_it_waits(start: Start) -> None:
    code = f"""{LATE}
sys.path.insert(0, {str(ROOT / "services" / "server")!r})
from types import SimpleNamespace as N
import lab.remote as program
program.PROGRAMS[0] = N(kill=lambda: print("killed", flush=True))
sys.stdin = N(buffer=iter(late(sys.stdin.buffer.readline), b""))
program.run(program.main)
"""
    host = start([sys.executable, "-S", "-c", code], stdin=subprocess.PIPE)
    assert host.finish() == (0, b"killed\n", b"")


@pytest.mark.parametrize(
    ("command", "code"),
    [pytest.param(("pcap",), 0, id="pcap"), pytest.param(("record", "/dev/null", "lo"), 143, id="record")],
)
def test_capture_ends_at_a_signal_that_comes_just_before_it_waits(
    start: Start, tmp_path: Path, command: Sequence[str], code: int
) -> None:
    tcpdump = tmp_path / "tcpdump"
    tcpdump.write_text("#!/bin/sh\nexec sleep 3600\n")
    tcpdump.chmod(0o755)
    patch = """
import capture, recorder
recorder.Marker = lambda interface: None
capture.whole_records = recorder.whole_records = lambda stream, limit: iter(late(stream.read, 100), None)
"""
    argv = patched("capture", patch, *command)
    assert start(argv, PATH=f"{tmp_path}:{os.environ['PATH']}").finish() == (code, b"", b"")


@pytest.mark.parametrize(
    ("signum", "code"),
    [pytest.param(signal.SIGINT, 130, id="SIGINT"), pytest.param(signal.SIGTERM, 143, id="SIGTERM")],
)
def test_client_ends_while_dns_is_silent(start: Start, signum: signal.Signals, code: int) -> None:
    # The C library's resolver waits on after a signal. So does who locks what it has locked already.
    patch = """
lock = functools.partial(ctypes.CDLL(None).pthread_mutex_lock, ctypes.create_string_buffer(64))
socket.gethostbyname = lambda name: print("asked", flush=True) or lock() or lock()
"""
    client = start(patched("udp_client", patch, "server", 12000, "--quiet", *NEVER), stdin=b"a\n")
    client.wait_for("a query", client.said)
    wait_until_asleep(client)
    client.send_signal(signum)
    assert client.finish() == (code, b"asked\n", b"")


def test_signal_whose_exception_is_lost_in_a_callback_comes_again(start: Start) -> None:
    code = f"""{LATE}
sys.path.insert(0, {str(ROOT / "services" / "server")!r})
import weakref
from lab import failures

def main():
    short_lived = set()
    watched = weakref.ref(short_lived, lambda _: signal.raise_signal(signal.SIGTERM))
    del short_lived
    while True:
        signal.pause()

failures.run(main)
"""
    assert start([sys.executable, "-S", "-c", code]).finish() == (143, b"", b"")


def test_program_that_holds_signals_off_is_waited_for(start: Start) -> None:
    code = f"""{LATE}
sys.path.insert(0, {str(ROOT / "services" / "server")!r})
import time
from lab import failures

def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, failures.SIGNALS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(failures.TRIES * failures.AGAIN_S * 2)
    print("restored", flush=True)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, failures.SIGNALS)

failures.run(main)
"""
    assert start([sys.executable, "-S", "-c", code]).finish() == (143, b"restored\n", b"")


def test_program_that_had_no_chance_to_notice_a_signal_is_not_taken_for_stuck(start: Start) -> None:
    # As on a busy machine: the signal has come, and for a long time the kernel delivers no other.
    code = f"""{LATE}
sys.path.insert(0, {str(ROOT / "services" / "server")!r})
from lab import failures

def main():
    seconds = (ctypes.c_long * 2)(int(failures.TRIES * failures.AGAIN_S) + 1, 0)
    every_signal = ctypes.create_string_buffer(b"\\xff" * 128)
    try:
        late(ctypes.CDLL(None).ppoll, None, 0, ctypes.byref(seconds), every_signal)()
    finally:
        print("restored", flush=True)

failures.run(main)
"""
    assert start([sys.executable, "-S", "-c", code]).finish() == (143, b"restored\n", b"")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT], ids=lambda signum: signum.name)
def test_second_signal_does_not_cut_the_last_line_short(start: Start, second: signal.Signals) -> None:
    patch = f"""
import lab.lecture
class Journal(lab.lecture.Journal):
    def event(self, event, *arguments, **more):
        if event in ("bind", "stop"):
            signal.raise_signal(signal.{second.name} if event == "stop" else signal.SIGTERM)
        super().event(event, *arguments, **more)
lab.lecture.Journal = Journal
"""
    server = start(patched("udp_server", patch, "--host", LOCALHOST, "--port", 0), LOG_FORMAT="json")
    assert server.finish()[::2] == (0, b"")
    assert [record["event"] for record in server.journal()] == ["stop"]


MOMENTS = 40  # for each program; `python -m tests.socket.moments PROGRAM SEED NUMBER` tries more


@pytest.mark.parametrize("program", [*SPEAKS, "udp_client", "tcp_client"])
def test_program_ends_at_any_moment(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.socket.moments", program, "1", str(MOMENTS)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    ended = json.loads(done.stdout)
    assert sum(ended.values()) == MOMENTS
