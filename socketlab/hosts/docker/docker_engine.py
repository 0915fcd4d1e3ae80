"""The connection to the Docker engine, the one that the docker command talks to."""

import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

from socketlab import hints
from socketlab.errors import EngineError


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn what the SDK raises into an `EngineError` that says what was being done."""
    try:
        yield
    except (DockerException, RequestException) as error:
        reason = error.explanation if isinstance(error, APIError) else None
        raise EngineError(
            f"cannot {doing}: {reason or _unanswered(error) or error}; see {hints.doctor()}"
        ) from error


def _unanswered(error: BaseException | None) -> str:
    """Return in words that the system let nobody reach the engine; nothing, if it was something else.

    The libraries wrap the system's error in some of their own, and show them as Python does.
    """
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return f"the engine does not answer: {error.strerror}"
        error = error.__cause__ or error.__context__
    return ""


def connect(address: str | None = None) -> docker.DockerClient:
    """Connect to the engine that the docker command talks to: DOCKER_HOST's, or the current context's.

    The SDK alone knows nothing of contexts, by which Docker Desktop, Colima, rootless and remote engines are
    found.

    Args:
        address: of another engine on this machine.

    Raises:
        EngineError: there is no docker command, or its context cannot be used.
        DockerException: no engine answers there.
    """
    found = address or os.environ.get("DOCKER_HOST") or _context_address()
    if address or not found or found.startswith("unix://"):
        return docker.DockerClient(base_url=found or None)
    return _RemoteEngine()


def _context_address() -> str:
    """Return the address of the docker command's current context."""
    return _docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")


def _docker(*arguments: str) -> str:
    """Return what a docker command prints.

    Raises:
        EngineError: there is none, or it failed.
    """
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise EngineError(f"cannot find the docker command: see {hints.doctor()}") from error
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:]
        raise EngineError(
            f"docker {arguments[0]} failed: {''.join(reason) or done.returncode}; see docker context ls"
        )
    return done.stdout.strip()


class _RemoteEngine(docker.DockerClient):
    """An engine on another machine, by ssh or TLS: the docker command carries each connection there.

    So its certificates, keys and settings are used as it uses them, and nothing of them is read here.
    """

    def __init__(self) -> None:
        _docker("version", "--format", "{{.Server.Version}}")  # where nobody answers, it says why
        self._folder = tempfile.TemporaryDirectory(prefix="socketlab-engine-")
        path = f"{self._folder.name}/socket"
        self._listening = socket.socket(socket.AF_UNIX)
        try:
            self._listening.bind(path)
            self._listening.listen()
            threading.Thread(target=self._carry, daemon=True).start()
            super().__init__(base_url=f"unix://{path}")
        except BaseException:
            self._end()
            raise

    def _carry(self) -> None:
        carriers: list[subprocess.Popen[bytes]] = []
        with suppress(OSError):  # closed
            while True:
                connection, _ours = self._listening.accept()
                carriers = [carrier for carrier in carriers if carrier.poll() is None]
                with connection:
                    carriers.append(
                        subprocess.Popen(
                            ["docker", "system", "dial-stdio"],
                            stdin=connection.fileno(),
                            stdout=connection.fileno(),
                            stderr=subprocess.DEVNULL,
                            start_new_session=True,  # Ctrl-C is for us
                        )
                    )
        for carrier in carriers:
            carrier.wait()

    def _end(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._folder.cleanup()

    def close(self) -> None:
        """Close the connections."""
        super().close()
        self._end()
