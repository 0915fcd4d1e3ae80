"""Runs the programs of services/ as processes of their own; reads what they say and what the kernel knows.

All waiting is for an event, at most DEADLINE_S; where it does not come, the error shows the program's output.
"""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeAlias, TypeVar

from socketlab.observe.socket_table import Row, parse

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    file.stem: file
    for side in ("server", "client", "server/experiments", "client/experiments")
    for file in (ROOT / "services" / side).glob("*.py")
}
TEXTBOOK = ROOT / "tests" / "textbook"

LOCALHOST = "127.0.0.1"
DEADLINE_S = 10.0
ENDS_WITHIN_S = 1.0  # what the programs promise after SIGINT and SIGTERM

UDP, TCP = "udp", "tcp"
SPEAKS = {"udp_server": (UDP,), "tcp_server": (TCP,), "server": (UDP, TCP)}

Record: TypeAlias = dict[str, str | int]
T = TypeVar("T")


class Ended(NamedTuple):
    """What a program leaves behind."""

    code: int
    stdout: bytes
    stderr: bytes


def command(program: str, *arguments: object) -> list[str]:
    """Return the command that runs a program of services/."""
    # -S: without the packages of this environment, as on a host where nothing is installed.
    return [sys.executable, "-S", str(PROGRAMS[program]), *map(str, arguments)]


def environment(**variables: str) -> dict[str, str]:
    """Return an environment with nothing but these variables and the way to the commands."""
    return {"PATH": os.environ.get("PATH", os.defpath), **variables}


def in_shell(script: str, argv: Sequence[str]) -> list[str]:
    """Return the command that runs `argv` where the shell script says `"$@"`."""
    return ["sh", "-c", script, "sh", *argv]


class Program:
    """A process, and all that it has said so far.

    Args:
        argv: the command.
        variables: its environment.
        stdin: its whole input, or an open file, or `subprocess.PIPE` for `type`.
        stdout: where to, instead of a pipe to us.
    """

    def __init__(
        self,
        argv: Sequence[str],
        variables: Mapping[str, str],
        *,
        stdin: bytes | int = b"",
        stdout: int = subprocess.PIPE,
    ) -> None:
        self._argv = argv
        with tempfile.TemporaryFile() as file:  # it takes any length, and nobody has to wait for anybody
            if isinstance(stdin, bytes):
                file.write(stdin)
                file.seek(0)
            self._process = subprocess.Popen(
                argv,
                env=variables,
                stdin=file if isinstance(stdin, bytes) else stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
            )
        self.pid = self._process.pid
        self._said = {"stdout": bytearray(), "stderr": bytearray()}
        self._pipes = selectors.DefaultSelector()
        for name in self._said:
            if (pipe := getattr(self._process, name)) is not None:
                self._pipes.register(pipe, selectors.EVENT_READ, name)

    @property
    def output(self) -> int:
        """The pipe that its standard output comes out of."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    @property
    def stdout(self) -> bytes:
        """All that has come on standard output."""
        return bytes(self._said["stdout"])

    @property
    def stderr(self) -> bytes:
        """All that has come on standard error."""
        return bytes(self._said["stderr"])

    def type(self, text: bytes) -> None:
        """Put something into its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def type_no_more(self) -> None:
        """End its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def said(self) -> bytes:
        """Return what is on standard output so far, without waiting for more."""
        self._read(0)
        return self.stdout

    def complaints(self) -> bytes:
        """Return what is on standard error so far, without waiting for more."""
        self._read(0)
        return self.stderr

    def journal(self) -> list[Record]:
        """Return all whole lines of JSON so far, without waiting for more."""
        return [json.loads(line) for line in self.said().split(b"\n")[:-1]]

    def wait_for(self, what: str, condition: Callable[[], T | None]) -> T:
        """Read what the program says until the condition has a true value, and return that."""
        deadline = time.monotonic() + DEADLINE_S
        while not (value := condition()):
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not self._pipes.get_map():
                self.fail(f"waited for {what}, have {value!r}")
            self._read(remaining)
        return value

    def wait_for_event(self, event: str, **fields: str | int) -> Record:
        """Return the first line of the journal about this event, as soon as it is there."""
        wanted = {"event": event, **fields}

        def find() -> Record | None:
            return next((record for record in self.journal() if wanted.items() <= record.items()), None)

        return self.wait_for(f"the journal's line {wanted}", find)

    def wait_for_number(self, event: str, number: int) -> None:
        """Read on until the journal has told of this event so many times."""
        self.wait_for(
            f"{number} times {event}",
            lambda: sum(record["event"] == event for record in self.journal()) >= number,
        )

    def finish(self, within_s: float = DEADLINE_S) -> Ended:
        """Return the exit code and all that was said, when the program has ended by itself."""
        deadline = time.monotonic() + within_s
        while self._pipes.get_map():
            if (remaining := deadline - time.monotonic()) <= 0:
                self.fail(f"it has not ended within {within_s:g} s")
            self._read(remaining)
        try:
            code = self._process.wait(max(deadline - time.monotonic(), 0.01))
        except subprocess.TimeoutExpired:
            self.fail(f"it has not ended within {within_s:g} s")
        return Ended(code, self.stdout, self.stderr)

    def is_running(self) -> bool:
        """Tell whether it has not ended yet."""
        return self._process.poll() is None

    def send_signal(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(signum)

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> Ended:
        """Ask the program to end, which it does within the second that it promises."""
        self.send_signal(signum)
        return self.finish(ENDS_WITHIN_S)

    def close(self) -> None:
        """End the process by its number if it still runs, and close the pipes."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._pipes.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def fail(self, why: str) -> NoReturn:
        """Raise, with the last that the program said."""
        raise AssertionError(
            f"{' '.join(self._argv)} (process {self.pid}): {why}\n"
            f"--- exit code: {self._process.poll()}\n"
            f"--- its standard output:\n{self.stdout[-4000:].decode(errors='backslashreplace')}\n"
            f"--- its standard error:\n{self.stderr[-4000:].decode(errors='backslashreplace')}"
        )

    def _read(self, timeout_s: float) -> None:
        for key, _events in self._pipes.select(timeout_s):
            if data := os.read(key.fd, 1 << 16):
                self._said[key.data] += data
            else:
                self._pipes.unregister(key.fileobj)


class Server(Program):
    """A server of services/ whose journal is JSON."""

    def __init__(self, argv: Sequence[str], program: str) -> None:
        self.program = program
        self.quiet = "--quiet" in argv
        super().__init__(argv, environment(LOG_FORMAT="json"))

    @cached_property
    def port(self) -> int:
        """The port that it serves; waits until it does."""
        record = self.wait_for_event("bind" if self.program == "udp_server" else "listen")
        return int(str(record["local"]).rpartition(":")[2])


def wait_until(what: str, condition: Callable[[], T]) -> T:
    """Return the condition's value as soon as it is true: for what the kernel shows but does not announce."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited for {what}, have {value!r}"
        time.sleep(0.002)
    return value


# --- exchanges


def udp_socket(*, connected_to: int | None = None) -> socket.socket:
    """Return a UDP socket of 127.0.0.1."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(DEADLINE_S)
    sock.bind((LOCALHOST, 0))
    if connected_to is not None:
        sock.connect((LOCALHOST, connected_to))
    return sock


def connect(port: int) -> socket.socket:
    """Return a TCP socket that is connected to this port."""
    return socket.create_connection((LOCALHOST, port), DEADLINE_S)


def listen(backlog: int = 8) -> socket.socket:
    """Return a welcoming socket of 127.0.0.1, for servers that a test plays itself."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(DEADLINE_S)
    sock.bind((LOCALHOST, 0))
    sock.listen(backlog)
    return sock


def accept(welcoming_socket: socket.socket) -> socket.socket:
    """Return the next client's connection socket."""
    sock, _address = welcoming_socket.accept()
    sock.settimeout(DEADLINE_S)
    return sock


def port_of(sock: socket.socket) -> int:
    """Return a socket's own port."""
    return int(sock.getsockname()[1])


def receive(sock: socket.socket, size: int) -> bytes:
    """Return the next `size` bytes of a connection, fewer only if it ends."""
    received = b""
    while len(received) < size and (piece := sock.recv(size - len(received))):
        received += piece
    return received


def receive_all(sock: socket.socket) -> bytes:
    """Return all that comes until the other side closes."""
    received = bytearray()
    while piece := sock.recv(1 << 16):
        received += piece
    return bytes(received)


def receive_line(sock: socket.socket) -> bytes:
    """Return all that comes until the next newline or the end, which must come together."""
    received = b""
    while not received.endswith(b"\n") and (piece := sock.recv(1 << 16)):
        received += piece
    return received


def ask(protocol: str, port: int, message: bytes) -> bytes:
    """Return the answer of a server to one message, through a socket that is used for nothing else."""
    if protocol == UDP:
        with udp_socket(connected_to=port) as sock:
            sock.send(message)
            return sock.recv(1 << 16)
    with connect(port) as sock:
        sock.sendall(message)
        return receive(sock, len(message))


def assert_serves(program: str, port: int) -> None:
    """Ask a server over each protocol that it speaks."""
    for protocol in SPEAKS[program]:
        assert ask(protocol, port, b"still there?\n") == b"STILL THERE?\n"


def reset(sock: socket.socket) -> None:
    """Close a connection abruptly: the other side gets RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


# --- what the kernel knows


def sockets(protocol: str, port: int) -> list[Row]:
    """Return the sockets with this port of 127.0.0.1."""
    # There may be many thousands, of others on this machine: only those of interest are taken apart.
    head, *lines = Path(f"/proc/net/{protocol}").read_text().splitlines()
    ours = [line for line in lines if f":{port:04X} " in line.partition(":")[2][:16]]
    rows = parse(protocol, "\n".join([head, *ours]))
    return [row for row in rows if row.local == f"{LOCALHOST}:{port}"]


def port_of_process(pid: int, protocol: str) -> int:
    """Return the port that a process serves, as soon as it does: for programs that do not tell us."""

    def find() -> int | None:
        mine = set()
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                if (link := str(file.readlink())).startswith("socket:["):
                    mine.add(link[8:-1])
        rows = parse(protocol, Path(f"/proc/net/{protocol}").read_text())
        return next((row.port for row in rows if str(row.inode) in mine and not row.peer_port), None)

    return wait_until(f"a {protocol} socket of process {pid}", find) or 0


def resident_kib(pid: int) -> int:
    """Return how much of a process is in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


# --- programs that end


def one_line(ended: Ended, code: int) -> str:
    """Return the one line on standard error with which a program gave up, its exit code being this."""
    assert ended.code == code, ended
    assert b"Traceback" not in ended.stderr, ended.stderr.decode()
    text = ended.stderr.decode()
    assert text.count("\n") == 1, text
    assert text.endswith("\n"), text
    return text.removesuffix("\n")
