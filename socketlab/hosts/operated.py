"""Hosts that are operated from here, by `services/lab/remote.py` on them.

A `RemoteSocket` has the calls of a socket; what they raise there is raised here: `ConnectionRefusedError` and
all. What breaks between here and there is an `EngineError`, which is no answer of any socket.
"""

import builtins
import errno
import json
import socket
import subprocess
import tempfile
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from itertools import count
from socket import AF_INET, SOCK_DGRAM, SOCK_STREAM
from typing import Any, cast

from socketlab import hints
from socketlab.describe.scenario import PORT
from socketlab.errors import EngineError, HostEndedError
from socketlab.observe import socket_table

PATIENCE_S = 10.0  # for a call that blocks; a test of a claim waits for none longer
HANGS_S = 60.0  # for what comes on however busy a machine, or something hangs; a claim is unmeasured then
LOST_S = PATIENCE_S * 3  # without an answer of the host itself
LONGEST_ANSWER = 64 << 20  # bytes; a journal of a long experiment is a few million
AT_A_TIME = 1 << 20  # bytes of a program's output
LAST_WORDS_S = 1.0  # from a host that says no more until it has ended

# Linux's numbers, of the hosts: this program may run on another system. <asm-generic/socket.h>
SOL_SOCKET, SO_REUSEADDR = 1, 2

SERVER_NAME = "server"

Address = tuple[str, int]


def named(address: Address) -> str:
    """Return an address as the kernel's lists and journals write it: 172.18.0.2:12000."""
    return f"{address[0]}:{address[1]}"


class RemoteSocket:
    """A socket on another host. Its calls are those of `socket.socket`.

    They block at most PATIENCE_S; those of a connection socket from `accept`, until its host is given up.
    """

    def __init__(self, host: "Host", handle: int) -> None:
        self.host = host
        self.handle = handle

    def begin(self, method: str, *arguments: Any) -> "Future[Any]":
        """Begin a call that may block, and go on; its result or its error is in the future."""
        return self.host.begin("call", self.handle, method, *arguments)

    def call(self, method: str, *arguments: Any) -> Any:
        """Make a call of `socket.socket` that has no method here."""
        return self.host.finished(self.begin(method, *arguments))

    def bind(self, address: Address) -> None:
        self.call("bind", address)

    def connect(self, address: Address) -> None:
        self.call("connect", address)

    def listen(self, backlog: int = 128) -> None:
        self.call("listen", backlog)

    def accept(self) -> "tuple[RemoteSocket, Address]":
        connection, address = self.call("accept")
        return connection, address

    def send(self, data: bytes) -> int:
        return int(self.call("send", data))

    def sendall(self, data: bytes) -> None:
        self.call("sendall", data)

    def sendto(self, data: bytes, address: Address) -> int:
        return int(self.call("sendto", data, address))

    def recv(self, size: int) -> bytes:
        return cast("bytes", self.call("recv", size))

    def recvfrom(self, size: int) -> tuple[bytes, Address]:
        data, address = self.call("recvfrom", size)
        return data, address

    def getsockname(self) -> Address:
        return cast("Address", self.call("getsockname"))

    def getpeername(self) -> Address:
        return cast("Address", self.call("getpeername"))

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        self.call("setsockopt", level, option, value)

    def option(self, level: int, option: int) -> int:
        """Return an option that is a number (`getsockopt`)."""
        return int(self.call("getsockopt", level, option))

    def settimeout(self, seconds: float | None) -> None:
        self.call("settimeout", seconds)

    def shutdown(self, how: int) -> None:
        self.call("shutdown", how)

    def fileno(self) -> int:
        """Return the number of its descriptor, in the process that operates that host."""
        return int(self.call("fileno"))

    def close(self) -> None:
        self.call("close")

    def __enter__(self) -> "RemoteSocket":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(KeyError):  # closed already
            self.close()


class Program:
    """A program that runs on another host."""

    def __init__(self, host: "Host", pid: int, name: str) -> None:
        self.host = host
        self.pid = pid
        self.name = name

    def _do(self, method: str, *arguments: Any) -> Any:
        return self.host.ask("program", self.pid, method, *arguments)

    def _within(self, within_s: float, method: str, *arguments: Any) -> Any:
        """Do what may take so long."""
        future = self.host.begin("program", self.pid, method, *arguments)
        return self.host.finished(future, within_s + LOST_S)

    def type(self, text: str | bytes) -> None:
        """Write to its standard input, or at its keyboard."""
        self._do("type", text.encode() if isinstance(text, str) else text)

    def end_input(self) -> None:
        """Close its standard input."""
        self._do("end_input")

    def written(self, text: str = "", within_s: float = PATIENCE_S) -> tuple[str, str]:
        """Return its standard output and error so far: as soon as a text is there, or it ends, or time is up.

        At a terminal there is no standard error: all is output.
        """
        said = self._within(within_s, "written", text.encode(), within_s)
        output, errors = (_decoded(said[name]).decode(errors="replace") for name in ("output", "errors"))
        return output, errors

    def wait_for(self, text: str, within_s: float = HANGS_S) -> str:
        """Return all that it has written, as soon as a text is in it.

        Raises:
            EngineError: it does not come; what came instead is in the message.
        """
        output, errors = self.written(text, within_s)
        if text not in output and text not in errors:
            raise EngineError(
                f"{self.name}: expected it to write {text!r}, it wrote {(output + errors)[-300:]!r}"
            )
        return output + errors

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._do("signal", number)

    def finish(
        self, on_error_line: Callable[[bytes], object] = lambda _line: None, within_s: float = HANGS_S
    ) -> tuple[int, str]:
        """Wait for its end; return its exit code and its output.

        The output is fetched piece by piece, so it may be larger than the host has room for.

        Args:
            on_error_line: is called with each line of standard error, as it comes.
            within_s: how long it may write nothing.

        Raises:
            EngineError: the program writes nothing for so long and goes on, or its host has ended.
        """
        output, errors = bytearray(), b""
        while True:
            future = self.host.begin("program", self.pid, "taken", AT_A_TIME)
            pieces = self.host.finished(future, within_s)
            piece = _decoded(pieces["output"])
            *lines, errors = (errors + _decoded(pieces["errors"])).split(b"\n")
            for line in lines:
                on_error_line(line)
            if not piece and not pieces["errors"]["bytes"]:
                break
            output += piece
        if errors:
            on_error_line(errors)
        code = self.wait()
        if code is None:
            raise EngineError(f"{self.name} has closed its output, and goes on")
        return code, output.decode(errors="replace")

    def wait(self, within_s: float = PATIENCE_S) -> int | None:
        """Return its exit code; negative: the signal that ended it; None: it still runs."""
        return cast("int | None", self._within(within_s, "wait", within_s))

    def kill(self) -> None:
        """End it at once, and wait until it has."""
        self._do("kill")

    def proc(self, name: str) -> str:
        """Return what a file of its folder in /proc says, as "status" or "wchan"."""
        return self.host.read(f"/proc/{self.pid}/{name}")

    def descriptors(self) -> dict[int, str]:
        """Return what its descriptors are: {3: "socket:[12345]", ...}; none, if it has ended."""
        try:
            return self.host.descriptors(self.pid)
        except (FileNotFoundError, PermissionError):  # so says /proc of one that has ended
            if self.wait() is None:
                raise
            return {}

    def sockets(self, protocol: str = "") -> dict[int, socket_table.Row]:
        """Return its sockets by descriptor, as its kernel lists them: TCP's from bind() or connect() on."""
        rows = {f"socket:[{row.inode}]": row for row in self.host.sockets(protocol)}
        return {fd: rows[what] for fd, what in sorted(self.descriptors().items()) if what in rows}

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(EngineError):  # a host that cannot do that now does it when it is closed, or has ended
            self.kill()


class Host:
    """A host that is operated from here.

    Args:
        name: its role in the lecture; for the server also its DNS name.
        command: what runs `lab.remote` on it, from here.
        environment: of that command.

    Raises:
        EngineError: it does not start.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._numbers = count(1)
        self._waiting: dict[int, Future[Any]] = {}
        self._over = ""  # why nothing can be asked any more
        self._lock = threading.Lock()
        # A file takes any amount, and nobody has to read it meanwhile.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints, env=environment,
            start_new_session=True,  # Ctrl-C is ours: we end it ourselves, in order
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.pid = int(self.function("os", "getpid"))
        except BaseException:
            self.close()
            raise

    # --- requests

    def begin(self, do: str, *arguments: Any) -> "Future[Any]":
        """Have something done; its result comes later."""
        future: Future[Any] = Future()
        number = next(self._numbers)
        line = json.dumps(
            {"id": number, "do": do, "arguments": [_encoded(one) for one in arguments]}, allow_nan=False
        )
        with self._lock:
            if self._over:
                raise HostEndedError(self._over)
            self._waiting[number] = future
            try:
                assert self._process.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
                self._process.stdin.write(line.encode() + b"\n")
                self._process.stdin.flush()
            except (OSError, ValueError) as error:
                del self._waiting[number]
                broken = error
            else:
                return future
        # It has ended; what it had written before may say why, and is read meanwhile.
        self._reader.join(2 * LAST_WORDS_S)
        raise HostEndedError(self._over or self._gone()) from broken

    def finished(self, future: "Future[Any]", within_s: float = LOST_S) -> Any:
        """Return what came of a request.

        Raises:
            EngineError: the host does not answer; HostEndedError: it is gone.
            OSError: what the call raised there.
        """
        try:
            return future.result(within_s)
        except TooLate as error:
            if future.done():  # a time-out of the call itself
                raise
            raise EngineError(f"the host {self.name} does not answer within {within_s:g} s") from error

    def ask(self, do: str, *arguments: Any) -> Any:
        """Have something done, and return what came of it."""
        return self.finished(self.begin(do, *arguments))

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101
        over = ""
        # What runs there may be anybody's. Of a line that is too long a piece is read, which is no answer.
        for line in iter(partial(self._process.stdout.readline, LONGEST_ANSWER), b""):
            try:
                said = json.loads(line)
                error = _raised(said["error"]) if "error" in said else None
                result = self._with_sockets(said["result"]) if error is None else None
                with self._lock:
                    future = self._waiting.pop(said["id"])
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                over = f"the host {self.name} says what nobody asked for: {line[:80]!r}; see {hints.doctor()}"
                break
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)
        if not over:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(LAST_WORDS_S)
            over = self._gone()
        with self._lock:
            self._over = over
            left, self._waiting = self._waiting, {}
        for future in left.values():
            future.set_exception(HostEndedError(over))

    def _gone(self) -> str:
        """Return what is to be said of a host that has ended, with its own last words."""
        self._complaints.seek(0)
        said = self._complaints.read().decode(errors="replace").strip().splitlines()
        return f"the host {self.name} has ended{': ' + said[-1] if said else ''}; see {hints.doctor()}"

    def _with_sockets(self, value: Any) -> Any:
        """Return a result with bytes and sockets where they were, and lists as tuples."""
        if isinstance(value, dict) and value.keys() == {"socket"}:
            return RemoteSocket(self, value["socket"])
        if isinstance(value, dict) and value.keys() == {"bytes"}:
            return _decoded(value)
        return tuple(map(self._with_sockets, value)) if isinstance(value, list) else value

    # --- what there is on a host

    @cached_property
    def address(self) -> str:
        """Its IPv4 address in the lab's network: the one from which it sends to the server."""
        with self.udp() as idle:
            idle.connect((SERVER_NAME, PORT))  # asks for the name, and sends nothing to the server
            return idle.getsockname()[0]

    @cached_property
    def interface(self) -> str:
        """The name of its interface in the lab's network."""
        routes = (line.split() for line in self.read("/proc/net/route").splitlines()[1:])
        return next(name for name, *_route in routes if name != "lo")

    def udp(self, port: int | None = None, address: str = "") -> RemoteSocket:
        """Return a new UDP socket; bound, where a port is named."""
        return self._new(SOCK_DGRAM, port, address)

    def tcp(self, port: int | None = None, address: str = "") -> RemoteSocket:
        """Return a new TCP socket; a welcoming one (bound, listening), where a port is named."""
        made = self._new(SOCK_STREAM, port, address)
        if port is not None:
            made.listen()
        return made

    def _new(self, kind: int, port: int | None, address: str) -> RemoteSocket:
        made: RemoteSocket = self.ask("socket", int(AF_INET), int(kind))
        try:
            made.settimeout(PATIENCE_S)
            if port is not None:
                if kind == SOCK_STREAM:
                    made.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
                made.bind((address, port))
        except BaseException:
            made.close()
            raise
        return made

    def function(self, module: str, name: str, *arguments: Any) -> Any:
        """Call a function there, of the modules os, socket and time."""
        return self.ask("function", module, name, *arguments)

    def read(self, path: str) -> str:
        """Return what a file there says."""
        return cast("bytes", self.ask("read", path)).decode(errors="replace")

    def read_bytes(self, path: str) -> bytes:
        """Return what is in a file there."""
        return cast("bytes", self.ask("read", path))

    def descriptors(self, pid: int) -> dict[int, str]:
        """Return what the descriptors of a process there are: {3: "socket:[12345]", ...}."""
        return {int(number): target for number, target in self.ask("links", f"/proc/{pid}/fd").items()}

    def sockets(self, protocol: str = "") -> list[socket_table.Row]:
        """Return all sockets of that host, or those of one protocol, as its kernel lists them."""
        found = []
        for one in (protocol,) if protocol else ("udp", "tcp"):
            found += socket_table.parse(one, self.read(f"/proc/net/{one}"))
        return found

    def start(
        self, *command: str, terminal: bool = False, environment: Mapping[str, str] | None = None
    ) -> Program:
        """Start a program there; at a terminal of its own, where it is to have one."""
        pid = self.ask("start", list(command), dict(environment or {}), terminal)
        return Program(self, pid, next((word for word in command if word.endswith(".py")), command[0]))

    def reset(self) -> None:
        """Close all sockets and end all programs that were made from here."""
        self.ask("reset")

    def close(self) -> None:
        """Operate it no more; what was started from here ends."""
        assert self._process.stdin is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()
        self._complaints.close()


@contextmanager
def expected(*kinds: type[OSError]) -> Iterator[list[OSError]]:
    """Catch an error that a claim expects, or that a broken server can cause: it is in the list, for a check.

    with expected(ConnectionRefusedError, TimeoutError) as refused:
        client_socket.connect(...)
    note.check("...", bool(refused), ...)
    """
    caught: list[OSError] = []
    try:
        yield caught
    except kinds as error:
        caught.append(error)


def _encoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": b64encode(value).decode()}
    return [_encoded(one) for one in value] if isinstance(value, (list, tuple)) else value


def _decoded(value: Any) -> bytes:
    return b64decode(value["bytes"])


def _raised(error: Mapping[str, Any]) -> Exception:
    """Return an error of that host as one of ours: an OSError as its own kind, with this system's number."""
    kind = getattr(socket, error["kind"], None) or getattr(builtins, error["kind"], None)
    if isinstance(kind, type) and issubclass(kind, OSError):
        name = str(error["errno"])
        number = getattr(errno, name, None) or getattr(socket, name, None)
        return kind(number, error["text"]) if isinstance(number, int) else kind(error["text"])
    if error["kind"] == "KeyError":
        return KeyError(error["text"])
    return EngineError(f"a remote host failed: {error['kind']}: {error['text']}")
