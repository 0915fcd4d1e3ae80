"""The connection to the engine: the one that the docker command has, also where that is not on this machine.

The engine is this machine's, behind a door of the kind that remote ones have.
"""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import docker
import pytest

from socketlab.errors import EngineError
from socketlab.hosts.docker.docker_engine import connect

OPENSSL = shutil.which("openssl")
DIAL = "#!/bin/sh\nexec docker --host {address} system dial-stdio\n"


@pytest.fixture
def address(engine: docker.DockerClient) -> str:
    """The socket of this machine's engine."""
    shown = subprocess.run(
        ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    del engine  # it answers
    if not shown.stdout.startswith("unix://"):
        pytest.skip(f"the engine is reached by {shown.stdout.strip()}, and not by a socket of this machine")
    return shown.stdout.strip()


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the docker command's configuration: it has no contexts of the user's."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def docker_command(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], capture_output=True, check=True)


def certificates(folder: Path) -> None:
    """Make an authority, and a certificate of the server and one of the client."""
    assert OPENSSL is not None

    def made(*arguments: str) -> None:
        subprocess.run([str(OPENSSL), *arguments], cwd=folder, capture_output=True, check=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    made("req", "-x509", *key, "-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=test authority")
    for who in ("server", "client"):
        made(
            "req", "-x509", *key, "-keyout", f"{who}-key.pem", "-out", f"{who}.pem", "-subj", f"/CN={who}",
            "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-addext", "subjectAltName=IP:127.0.0.1",
        )  # fmt: skip


class Door:
    """A TLS server that shows its certificate, wants one, and passes all else on to the engine."""

    def __init__(self, folder: Path, address: str) -> None:
        self._engine = address.removeprefix("unix://")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(folder / "server.pem", folder / "server-key.pem")
        self._context, self._listening = context, socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _peer = self._listening.accept()
                threading.Thread(target=self._pass_on, args=(connection,), daemon=True).start()

    def _pass_on(self, connection: socket.socket) -> None:
        with (
            suppress(OSError),
            self._context.wrap_socket(connection, server_side=True) as near,
            socket.socket(socket.AF_UNIX) as far,
        ):
            far.connect(self._engine)
            back = threading.Thread(target=self._copy, args=(far, near), daemon=True)
            back.start()
            self._copy(near, far)
            back.join()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let nobody in any more."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def door(configured: Path, address: str) -> Iterator[Door]:
    """The engine behind TLS; its certificates are in the folder of the configuration."""
    if OPENSSL is None:
        pytest.skip("there is no openssl to make certificates with")
    certificates(configured)
    with closing(Door(configured, address)) as made:
        yield made


def test_engine_of_a_context_with_tls_is_reached(
    configured: Path, door: Door, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"ca": "ca.pem", "cert": "client.pem", "key": "client-key.pem"}
    proof = ",".join(f"{name}={configured / file}" for name, file in files.items())
    where = f"host=tcp://127.0.0.1:{door.port}"
    docker_command("context", "create", "remote", "--docker", f"{where},{proof}")
    monkeypatch.setenv("DOCKER_CONTEXT", "remote")
    with closing(connect()) as client:
        assert client.info()["ID"] == engine.info()["ID"]
    # Without a certificate the door stays closed: it is not the bare engine that was reached.
    docker_command("context", "create", "stranger", "--docker", f"{where},skip-tls-verify=true")
    monkeypatch.setenv("DOCKER_CONTEXT", "stranger")
    with pytest.raises(EngineError, match=r"^docker version failed: .*; see docker context ls$"):
        connect()


def test_engine_of_an_address_with_tls_is_reached(
    configured: Path, door: Door, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, file in {"cert": "client.pem", "key": "client-key.pem"}.items():
        shutil.copy(configured / file, configured / f"{name}.pem")
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{door.port}")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(configured))
    with closing(connect()) as client:
        assert client.info()["ID"] == engine.info()["ID"]


@pytest.mark.parametrize("by", ["DOCKER_HOST", "DOCKER_CONTEXT"])
def test_engine_behind_ssh_is_reached_by_the_systems_ssh(
    configured: Path, address: str, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    folder = configured / "bin"
    folder.mkdir()
    (folder / "ssh").write_text(DIAL.format(address=address), encoding="utf-8")
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    remote = "ssh://somebody@192.0.2.1"  # an address that no host has: RFC 5737
    if by == "DOCKER_CONTEXT":
        docker_command("context", "create", "remote", "--docker", f"host={remote}")
        remote = "remote"
    monkeypatch.setenv(by, remote)
    with closing(connect()) as client:
        assert client.info()["ID"] == engine.info()["ID"]


def test_context_that_does_not_exist_is_refused_by_name(
    configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del configured
    monkeypatch.setenv("DOCKER_CONTEXT", "nowhere")
    with pytest.raises(EngineError, match=r"^docker context failed: .*nowhere.*; see docker context ls$"):
        connect()
