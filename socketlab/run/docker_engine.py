"""Run: the connection to the Docker engine, the one that the docker command talks to."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException
from docker.tls import TLSConfig
from requests.exceptions import RequestException

from socketlab.errors import EngineError


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn what the SDK raises into an `EngineError` that says what was being done."""
    try:
        yield
    except (DockerException, RequestException) as error:
        reason = error.explanation if isinstance(error, APIError) else None
        raise EngineError(
            f"cannot {doing}: {reason or _unanswered(error) or error}; see make doctor"
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
    found. An engine behind ssh is reached by the system's own `ssh`, as the docker command does it.

    Args:
        address: of another engine on this machine.

    Raises:
        EngineError: there is no docker command, or its context cannot be used.
        DockerException: no engine answers there.
    """
    if address:
        return docker.DockerClient(base_url=address)
    if os.environ.get("DOCKER_HOST"):
        return docker.DockerClient.from_env(use_ssh_client=True)
    context = _context()
    endpoint = context.get("Endpoints", {}).get("docker", {})
    return docker.DockerClient(
        base_url=endpoint.get("Host") or None,
        tls=_tls(context) or False,
        use_ssh_client=True,
    )


def _context() -> dict[str, Any]:
    """Return the docker command's current context, as it describes it."""
    try:
        shown = subprocess.run(["docker", "context", "inspect"], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise EngineError("cannot find the docker command: see make doctor") from error
    if shown.returncode:
        raise EngineError(f"cannot read the docker context: {shown.stderr.strip()}; see docker context ls")
    (context,) = json.loads(shown.stdout)
    return dict(context)


def _tls(context: dict[str, Any]) -> TLSConfig | None:
    """Return how the engine and we prove to each other who we are; None: the context has nothing for it."""
    names = context.get("TLSMaterial", {}).get("docker", [])
    unproven = bool(context.get("Endpoints", {}).get("docker", {}).get("SkipTLSVerify"))
    if not names and not unproven:
        return None
    folder = Path(context["Storage"]["TLSPath"]) / "docker"
    found = {name: str(folder / name) for name in names}
    pair = (found["cert.pem"], found["key.pem"]) if {"cert.pem", "key.pem"} <= found.keys() else None
    return TLSConfig(client_cert=pair, ca_cert=found.get("ca.pem"), verify=not unproven)
