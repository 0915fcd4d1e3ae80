"""A host operated from outside: socket calls one by one, programs, and what its kernel says.

    python3 -m lab.remote          one JSON object a line on standard input, one for each on standard output

Whoever shows a claim of the lecture has several hosts in hand at once: on one a socket is made, on the other
it is seen in the list of the kernel's sockets. The calls are real ones, of this process on this host; only
who decides about them is elsewhere.

    {"id": 1, "do": "socket", "arguments": [2, 2]}              socket(AF_INET, SOCK_DGRAM): its handle
    {"id": 2, "do": "call", "arguments": [0, "sendto", B, ["server", 12000]]}      a method of that socket
    {"id": 3, "do": "function", "arguments": ["socket", "gethostbyname", "server"]}
    {"id": 4, "do": "start", "arguments": [["python3", "tcp_server.py"], {}, false]}       its process id
    ->
    {"id": 2, "result": 5}
    {"id": 2, "error": {"kind": "ConnectionRefusedError", "errno": "ECONNREFUSED", "text": "..."}}

Bytes, B above, are {"bytes": base64}, a socket is {"socket": handle}. Each request has a thread of its own,
so a call that blocks keeps no other waiting. With the end of the input all programs are killed, and this one
ends; so it does with a line that is no request, for who says that does not mean us.
"""

import errno
import fcntl
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from lab.failures import Exit, Failure, ignore, run

NO_ADDRESS = [name for name in dir(socket) if name.startswith("EAI_")]  # what getaddrinfo() fails with
MODULES = {"os": os, "socket": socket, "time": time}
PIECE = 65_536
MOST_TAKEN = 4 << 20  # bytes in one answer
CTRL_D = b"\x04"
LAST_WORDS_S = 1.0  # for what a program wrote before it ended to be read


def decoded(value: Any) -> Any:
    """Return a value of a request: bytes as bytes, and lists as tuples, for an address is one."""
    if isinstance(value, dict):
        return b64decode(value["bytes"]) if value.keys() == {"bytes"} else value
    return tuple(map(decoded, value)) if isinstance(value, list) else value


class Program:
    """A program that runs on this host, and all that it has written."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, terminal: bool) -> None:
        self._changed = threading.Condition()
        self._written = {"output": bytearray(), "errors": bytearray()}
        self._terminal = terminal
        self._keyboard: int | None
        pipe = subprocess.PIPE
        if terminal:
            ours, theirs = pty.openpty()
            # A session of its own with this as its terminal: then Ctrl-C and Ctrl-D are what people know.
            self._process = subprocess.Popen(
                command, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | environment,
                start_new_session=True, preexec_fn=partial(fcntl.ioctl, theirs, termios.TIOCSCTTY, 0),  # noqa: PLW1509
            )  # fmt: skip
            os.close(theirs)
            self._keyboard = ours
            outputs = {ours: "output"}
        else:
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=pipe, env=os.environ | environment
            )
            streams = (self._process.stdin, self._process.stdout, self._process.stderr)
            self._keyboard, output, errors = (os.dup(stream.fileno()) for stream in streams if stream)
            for stream in streams:
                if stream:
                    stream.close()
            outputs = {output: "output", errors: "errors"}
        self.pid = self._process.pid
        self._open = True
        threading.Thread(target=self._read, args=(outputs,), daemon=True).start()

    def _read(self, outputs: dict[int, str]) -> None:
        waiting = select.poll()
        for descriptor in outputs:
            waiting.register(descriptor, select.POLLIN)
        while outputs:
            for descriptor, _events in waiting.poll():
                piece = b""
                with suppress(OSError):  # a terminal says so that its program has gone
                    piece = os.read(descriptor, PIECE)
                with self._changed:
                    self._written[outputs[descriptor]] += piece
                    self._changed.notify_all()
                if not piece:
                    waiting.unregister(descriptor)
                    del outputs[descriptor]
                    if self._terminal:
                        self._unplug()  # a terminal is one descriptor, for its keyboard and its screen
                    else:
                        os.close(descriptor)
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def _unplug(self) -> None:
        with self._changed:
            keyboard, self._keyboard = self._keyboard, None
        if keyboard is not None:
            os.close(keyboard)

    def type(self, data: bytes) -> None:
        """Write to the program's standard input; at a terminal that is the keyboard."""
        while data:
            if self._keyboard is None:
                raise BrokenPipeError(errno.EPIPE, "its input has ended")
            data = data[os.write(self._keyboard, data) :]

    def end_input(self) -> None:
        """End the program's standard input; at a terminal by Ctrl-D, which does so at a line's beginning."""
        if self._terminal:
            self.type(CTRL_D)
        else:
            self._unplug()

    def written(self, text: bytes, within_s: float) -> dict[str, Any]:
        """Return what it has written, as soon as a text is in it, or it has ended, or the time is up."""
        with self._changed:
            self._changed.wait_for(
                lambda: not self._open or any(text in all_of_it for all_of_it in self._written.values()),
                within_s,
            )
            return {name: encoded(data) for name, data in self._written.items()}

    def taken(self, at_least: int) -> dict[str, Any]:
        """Return what it has written, and forget it: what a long run writes has no room on a host.

        Args:
            at_least: bytes of output that are waited for. An error message, or the end of all output, ends
                the wait.

        Returns:
            Output and errors, MOST_TAKEN bytes of each at most; both are empty when there is no more to come.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: not self._open or self._written["errors"] or len(self._written["output"]) >= at_least
            )
            pieces = {}
            for name, data in self._written.items():
                pieces[name] = encoded(data[:MOST_TAKEN])
                del data[:MOST_TAKEN]
            return pieces

    def signal(self, number: int) -> None:
        """Send it a signal; one that has ended gets none."""
        self._process.send_signal(number)

    def wait(self, within_s: float) -> int | None:
        """Return its exit code, negative for a signal that ended it; None: it still runs.

        With the code, `written` has all that it wrote, unless a child of its own goes on and can write more.
        """
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return None
        self._read_out()
        return code

    def _read_out(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._open, LAST_WORDS_S)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        self._read_out()
        if not self._terminal:
            self._unplug()


SOCKETS: dict[int, socket.socket] = {}
PROGRAMS: dict[int, Program] = {}
HANDLES = count()


def encoded(value: Any) -> Any:
    """Return a result as JSON can have it."""
    if isinstance(value, socket.socket):
        handle = next(HANDLES)
        SOCKETS[handle] = value
        return {"socket": handle}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": b64encode(value).decode()}
    if isinstance(value, (list, tuple)):
        return [encoded(item) for item in value]
    return value


def make(family: int, kind: int) -> socket.socket:
    """Make a socket."""
    return socket.socket(family, kind)


def call(handle: int, method: str, *arguments: Any) -> Any:
    """Make a socket call."""
    sock = SOCKETS.pop(handle) if method == "close" else SOCKETS[handle]
    return getattr(sock, method)(*arguments)


def function(module: str, name: str, *arguments: Any) -> Any:
    """Call a function of a module: socket.gethostbyname, os.getuid, time.monotonic_ns, ..."""
    return getattr(MODULES[module], name)(*arguments)


def read(path: str) -> bytes:
    """Return what is in a file, of /proc for the most part."""
    return Path(path).read_bytes()


def links(folder: str) -> dict[str, str]:
    """Return where the links of a folder lead, as those of /proc/PID/fd do."""
    found = {}
    for entry in Path(folder).iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            found[entry.name] = str(entry.readlink())
    return found


def start(command: Sequence[str], environment: Mapping[str, str], terminal: bool) -> int:
    """Start a program, return its process id."""
    program = Program(command, environment, terminal=terminal)
    PROGRAMS[program.pid] = program
    return program.pid


def program(pid: int, method: str, *arguments: Any) -> Any:
    """Do something with a program: type, end_input, written, taken, signal, wait, kill."""
    return getattr(PROGRAMS[pid], method)(*arguments)


def reset() -> None:
    """Close all sockets and kill all programs: as if nothing had been done on this host."""
    while PROGRAMS:
        PROGRAMS.popitem()[1].kill()
    while SOCKETS:
        SOCKETS.popitem()[1].close()


ACTIONS: dict[str, Callable[..., Any]] = {
    "socket": make,
    "call": call,
    "function": function,
    "read": read,
    "links": links,
    "start": start,
    "program": program,
    "reset": reset,
}
SAYING = threading.Lock()


def say(told: str) -> None:
    """Write an answer, whole."""
    line = told.encode() + b"\n"
    with SAYING:
        while line:
            line = line[os.write(1, line) :]


def answer(request: Mapping[str, Any]) -> None:
    """Do what is asked, and say what came of it."""
    try:
        result = encoded(ACTIONS[request["do"]](*map(decoded, request["arguments"])))
        told = json.dumps({"id": request["id"], "result": result}, allow_nan=False)
    except OSError as error:
        told = failed(request, error, symbol(error), error.strerror or str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, who asked shall know, and we go on
        told = failed(request, error, None, str(error))
    say(told)


def symbol(error: OSError) -> str | None:
    """Return an error's symbol: its number is another one on other systems."""
    if isinstance(error, socket.gaierror):
        return next((name for name in NO_ADDRESS if getattr(socket, name) == error.errno), None)
    return errno.errorcode.get(error.errno or 0)


def failed(request: Mapping[str, Any], error: Exception, name: str | None, text: str) -> str:
    """Return the answer to a request that came to nothing."""
    kind = type(error).__name__
    return json.dumps(
        {"id": request["id"], "error": {"kind": kind, "errno": name, "text": text}}, allow_nan=False
    )


def asked(line: bytes) -> Mapping[str, Any]:
    """Return what a line asks for.

    Raises:
        Failure: nothing that we know.
    """
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        request = None
    if isinstance(request, dict) and type(request.get("id")) is int and {"do", "arguments"} <= request.keys():
        return request
    raise Failure(f"expected a request, one JSON object a line, got {line[:80]!r}")


def main() -> int:
    """Do as we are told until the input ends."""
    signal.signal(signal.SIGINT, ignore)  # Ctrl-C is for whoever operates us
    try:
        for line in sys.stdin.buffer:
            request = asked(line)
            try:
                threading.Thread(target=answer, args=(request,), daemon=True).start()
            except RuntimeError as error:  # other programs have all that this host may run
                say(failed(request, error, None, str(error)))
    except SystemExit:
        pass  # SIGTERM
    finally:
        reset()
    return Exit.OK


if __name__ == "__main__":
    run(main)
