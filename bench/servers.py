"""The servers that are measured, and how one is run."""

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from bench.errors import ServerFaultError, UnmeasurableError
from bench.machine import Memory, cpu_seconds, memory, pin, waited_seconds

ROOT = Path(__file__).resolve().parent.parent
HOST, OTHER_HOST = "127.0.0.1", "127.0.0.2"
START_S = 10.0  # a server that does not answer after so long has not started
STOP_S = 3.0
DYING_S = 0.5
LAST_WORDS = 2000  # characters of a dead server's output that are shown


class Kind(Enum):
    """Whose server it is."""

    OURS = "ours"
    LECTURE = "lecture"
    C = "c"
    PYTHON = "python"


class Protocol(Enum):
    """What a server is spoken to by."""

    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True)
class Server:
    """A server: `command` takes `--host` and `--port` after it."""

    key: str
    name: str
    kind: Kind
    command: tuple[str, ...]
    closes: bool = False  # after one answer, as the lecture's does
    thread_each: bool = False  # so ten thousand connections are too many for it
    missing: str = ""  # why it cannot be measured here


def catalogue(programs: Mapping[str, Path]) -> dict[str, Server]:
    """Return all servers by their keys.

    Args:
        programs: the compiled C references by name.
    """
    python = sys.executable
    no_uvloop = "" if find_spec("uvloop") else "uvloop not installed"

    def own(key: str, name: str, kind: Kind, file: str, *, closes: bool = False) -> Server:
        path = ROOT / "services" / "server" / file
        missing = "" if path.exists() else f"services/server/{file} is not there"
        return Server(key, name, kind, (python, str(path), "--quiet"), closes=closes, missing=missing)

    def reference(
        key: str, name: str, module: str, *options: str, thread_each: bool = False, missing: str = ""
    ) -> Server:
        command = (python, "-m", f"bench.references.{module}", *options)
        return Server(key, name, Kind.PYTHON, command, thread_each=thread_each, missing=missing)

    uvloop = ("--loop", "uvloop")
    servers = [
        Server("c-udp", "C, one loop", Kind.C, (str(programs["udp_loop"]),)),
        Server("c-tcp", "C, epoll", Kind.C, (str(programs["tcp_epoll"]),)),
        own("ours", "server.py (ours)", Kind.OURS, "server.py"),
        own("lecture-udp", "udp_server.py (the lecture's)", Kind.LECTURE, "udp_server.py"),
        own("lecture-tcp", "tcp_server.py (the lecture's)", Kind.LECTURE, "tcp_server.py", closes=True),
        reference("asyncio-udp", "asyncio DatagramProtocol", "udp_asyncio"),
        reference("uvloop-udp", "uvloop DatagramProtocol", "udp_asyncio", *uvloop, missing=no_uvloop),
        reference("socketserver-udp", "socketserver.UDPServer", "udp_socketserver"),
        reference("asyncio-tcp", "asyncio Protocol", "tcp_asyncio"),
        reference("streams-tcp", "asyncio streams", "tcp_streams"),
        reference("uvloop-tcp", "uvloop Protocol", "tcp_asyncio", *uvloop, missing=no_uvloop),
        reference(
            "socketserver-tcp", "socketserver.ThreadingTCPServer", "tcp_socketserver", thread_each=True
        ),
        reference("threads-tcp", "a thread a connection", "tcp_threads", thread_each=True),
    ]
    return {server.key: server for server in servers}


class RunningServer:
    """A server that runs and has answered."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.port = port
        self.pid = process.pid
        self._process = process

    def check(self) -> None:
        """Raise a ServerFaultError if the server has died."""
        if self._process.poll() is not None:
            raise ServerFaultError("it does not run any more")

    def cpu_seconds(self) -> float:
        """Return the time it has spent on a core."""
        self.check()
        return cpu_seconds(self.pid)

    def waited_seconds(self) -> float:
        """Return how long it was ready to run while its core was busy with something else."""
        self.check()
        return waited_seconds(self.pid)

    def memory(self) -> Memory:
        """Return the memory it has."""
        self.check()
        return memory(self.pid)

    def wait_until_it_answers(self, protocol: Protocol) -> None:
        """Wait for a right answer over the protocol: an open port alone would say nothing."""
        deadline = time.monotonic() + START_S
        while True:
            self.check()
            try:
                answer = _exchange(protocol, self.port)
            except OSError as error:
                if time.monotonic() > deadline:
                    raise ServerFaultError(f"no answer {START_S:.0f} s after its start: {error}") from error
                time.sleep(0.01)
                continue
            if answer != b"READY?\n":
                raise ServerFaultError(f"wrong answer: expected b'READY?\\n', got {answer!r}")
            return

    def stop(self) -> None:
        """End the server; one that does not go when asked is at fault."""
        self.check()
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired as error:
            raise ServerFaultError(f"it still ran {STOP_S:.1f} s after SIGTERM") from error
        if self._process.returncode not in {0, -signal.SIGTERM}:
            raise ServerFaultError("SIGTERM did not end it cleanly")


@contextmanager
def serving(
    server: Server, protocol: Protocol, core: int | None = None, options: tuple[str, ...] = ()
) -> Iterator[RunningServer]:
    """Run a server on a free port of 127.0.0.1 and end it afterwards, whatever happens.

    Raises:
        ServerFaultError: it died, gave a wrong answer, or did not start or stop in time.
    """
    port = _free_port()
    command = [*server.command, *options, "--host", HOST, "--port", str(port)]
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us, who then end it
        ) as process,
    ):
        try:
            pin(process.pid, core)
            running = RunningServer(process, port)
            running.wait_until_it_answers(protocol)
            yield running
            running.stop()
        except ServerFaultError as error:
            # A connection that was closed, or no answer, may be but the first that is seen of its death.
            with suppress(subprocess.TimeoutExpired):
                status = process.wait(DYING_S)
                raise ServerFaultError(
                    f"{error}; it died with status {status}; its last words: {last_words(output)}"
                ) from error
            raise
        finally:
            process.kill()


def last_words(output: IO[bytes]) -> str:
    """Return the end of what a server has written."""
    output.seek(0)
    return output.read().decode(errors="replace")[-LAST_WORDS:].strip() or "none"


def _free_port() -> int:
    """Return a port of 127.0.0.1 that is free for UDP and for TCP."""
    for _ in range(100):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind((HOST, 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind((HOST, port))
            except OSError:
                continue
            return port
    raise UnmeasurableError(f"no port of {HOST} is free for UDP and TCP")


def _exchange(protocol: Protocol, port: int) -> bytes:
    """Send a line and return the answer."""
    kind = socket.SOCK_DGRAM if protocol is Protocol.UDP else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as client:
        client.settimeout(1)
        # From 127.0.0.1 it could, by chance, be given the very port that it connects to, and answer itself.
        client.bind((OTHER_HOST, 0))
        client.connect((HOST, port))
        client.sendall(b"ready?\n")
        answer = client.recv(100)
        while protocol is Protocol.TCP and not answer.endswith(b"\n"):
            piece = client.recv(100)
            if not piece:
                break
            answer += piece
        return answer
