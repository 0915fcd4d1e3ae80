"""Programs for one test, and servers that many tests share; all of them are ended."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Protocol

import pytest

from tests.socket.programs import Ended, Program, Server, command, environment


class Start(Protocol):
    """Starts a program of services/, or any other command, for one test."""

    def __call__(
        self,
        program: str | Sequence[str],
        *arguments: object,
        stdin: bytes | int = b"",
        stdout: int = subprocess.PIPE,
        **variables: str,
    ) -> Program:
        """Start it with these arguments and environment variables."""


class StartServer(Protocol):
    """Starts a server of services/ for one test, on a port that the system chooses unless one is given."""

    def __call__(self, program: str, *arguments: object, wrap: Sequence[str] = ()) -> Server:
        """Start it; its journal is JSON."""


def start_a_server(
    processes: ExitStack, program: str, *arguments: object, wrap: Sequence[str] = ()
) -> Server:
    """Start a server on 127.0.0.1 that ends with the stack."""
    port = () if "--port" in arguments else ("--port", 0)
    host = () if "--host" in arguments else ("--host", "127.0.0.1")
    argv = command(program, *host, *port, *arguments)
    server = Server([*wrap, *argv], program)
    return processes.enter_context(closing(server))


Running = Callable[..., Server]
Run = Callable[..., Ended]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as processes:

        def start(
            program: str | Sequence[str],
            *arguments: object,
            stdin: bytes | int = b"",
            stdout: int = subprocess.PIPE,
            **variables: str,
        ) -> Program:
            argv = command(program, *arguments) if isinstance(program, str) else program
            return processes.enter_context(
                closing(Program(argv, environment(**variables), stdin=stdin, stdout=stdout))
            )

        yield start


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    with ExitStack() as processes:

        def start(program: str, *arguments: object, wrap: Sequence[str] = ()) -> Server:
            return start_a_server(processes, program, *arguments, wrap=wrap)

        yield start


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    """The servers that all tests share, for what leaves no trace; each is started when it is first wanted."""
    servers: dict[tuple[str, ...], Server] = {}
    with ExitStack() as processes:

        def get(*program: str) -> Server:
            if program not in servers:
                servers[program] = start_a_server(processes, *program)
            return servers[program]

        yield get
        for program, server in servers.items():
            ended = server.stop()
            assert (ended.code, ended.stderr) == (0, b""), program


@pytest.fixture
def run(start: Start) -> Run:
    """Run a program to its end."""

    def run(
        program: str | Sequence[str], *arguments: object, stdin: bytes | int = b"", **variables: str
    ) -> Ended:
        return start(program, *arguments, stdin=stdin, stdout=subprocess.PIPE, **variables).finish()

    return run
