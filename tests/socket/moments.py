"""Signals at random moments: how does a program of services/ end, and does it?

    python -m tests.socket.moments PROGRAM SEED NUMBER

The program is loaded once and forked for each moment, so thousands can be tried. Of a server half of the
moments are in its start, half in its loop, where it is about to wait; of a client all are in its start or its
wait. One that goes on after the signal, or leaves half a line, ends this program with an error.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from importlib import import_module
from socket import AF_INET, SOCK_DGRAM, SOCK_STREAM, socket
from typing import IO, NoReturn

from tests.socket.programs import DEADLINE_S, PROGRAMS

PORT = 12_000
LONGEST_START_S = 0.03  # from the fork to the first wait takes a third of it
LONGEST_TURN_S = 0.0003  # of a server's loop


def become(program: str, arguments: list[str], stdin: int, output: IO[bytes]) -> NoReturn:
    """Be the program, to its end."""
    os.dup2(stdin, 0)
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    sys.argv = [program, *arguments]
    module = import_module(program)
    module.run(module.main)
    raise AssertionError


def ask(kind: int, address: tuple[str, int]) -> socket:
    """Return a client's socket whose message is on its way to a server."""
    client = socket(AF_INET, kind)
    client.settimeout(DEADLINE_S)
    client.connect(address)
    client.send(b"a\n")
    return client


def wait_until_served(kind: int, address: tuple[str, int]) -> None:
    """Return when a server has answered."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with suppress(ConnectionRefusedError), ask(kind, address) as client:
            if client.recv(10) == b"A\n":
                return
        time.sleep(0.001)
    raise AssertionError(f"no answer from {address}")


def wait(pid: int) -> int:
    """Return the exit code of a process that is to end, negative for a signal's.

    Raises:
        AssertionError: it goes on. It is killed.
    """
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("it goes on")


def check(code: int, signum: int, output: bytes, *, server: bool) -> None:
    """Raise AssertionError unless a program has ended as its signal has it."""
    codes = {128 + signum, -signum}  # ended before it had a handler, or when it needed it no more
    assert code in codes | ({0} if server else set()), code
    lines = output.splitlines(keepends=True)
    assert all(line.endswith(b"\n") for line in lines), output[-300:]
    events = [json.loads(line)["event"] for line in lines]
    assert code or events[-1] == "stop", events[-3:]


def main() -> None:
    """Try so many moments, and print how often the program ended in which way."""
    program, seed, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.environ["LOG_FORMAT"] = "json"
    sys.path.insert(0, str(PROGRAMS[program].parent))
    chance = random.Random(seed)  # noqa: S311 - repeatable
    host = f"127.{os.getpid() >> 16 & 255}.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"  # nobody else's
    server = "server" in program
    kind = SOCK_DGRAM if program in {"udp_server", "udp_client"} else SOCK_STREAM
    arguments = ["--host", host, "--port", str(PORT)] if server else [host, str(PORT), "--timeout", "3600"]
    import_module(program)
    # Until a program has its own handler, a signal ends it at once: Python's own is not under test.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ended: Counter[int] = Counter()
    with (
        tempfile.TemporaryFile() as stdin,
        tempfile.TemporaryFile() as output,
        socket(AF_INET, kind) as silent,
    ):
        stdin.write(b"a\n")
        if not server:
            silent.bind((host, PORT))
            if kind == SOCK_STREAM:
                silent.listen()
        stdin.flush()
        for moment in range(number):
            output.seek(0)
            output.truncate()
            stdin.seek(0)
            signum = chance.choice((signal.SIGINT, signal.SIGTERM))
            pid = os.fork()
            if not pid:
                become(program, arguments, stdin.fileno(), output)
            if server and moment % 2:
                wait_until_served(kind, (host, PORT))
                with ask(kind, (host, PORT)):
                    until = time.perf_counter() + chance.uniform(0, LONGEST_TURN_S)
                    while time.perf_counter() < until:
                        pass
                    os.kill(pid, signum)
            else:
                time.sleep(chance.uniform(0, LONGEST_START_S))
                os.kill(pid, signum)
            try:
                code = wait(pid)
                output.seek(0)
                check(code, signum, output.read(), server=server)
            except AssertionError as error:
                output.seek(0)
                error.add_note(f"{program}, moment {moment} of seed {seed}, {signum!r}: {output.read()!r}")
                raise
            ended[code] += 1
    print(json.dumps(ended))


if __name__ == "__main__":
    main()
