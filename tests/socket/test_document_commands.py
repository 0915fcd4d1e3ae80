"""The commands of the documents that need no hosts, run as they stand there, do what is shown there."""

import os
import re
import socket
import subprocess
from collections.abc import Iterator

import pytest

from socketlab.checkout import ROOT
from tests.socket.conftest import StartServer
from tests.socket.programs import udp_socket
from tests.transcripts import Run, Transcript, by_make, differences, of_layer

TRANSCRIPTS = of_layer("socket")
NOBODYS = "12001"  # the port at which, in the documents, no program listens


@pytest.fixture
def refusing() -> Iterator[str]:
    """A port that no program listens at, over UDP or TCP, and that no other program can get."""
    with udp_socket() as elsewhere, udp_socket() as held_udp, socket.socket() as held_tcp:
        held_udp.connect(elsewhere.getsockname())  # it is for datagrams from there: others are refused
        held_tcp.bind(held_udp.getsockname())  # it does not listen
        yield str(held_udp.getsockname()[1])


@pytest.mark.parametrize(
    ("shown", "run"), TRANSCRIPTS, ids=[f"{each.document}:{each.line}" for each, _run in TRANSCRIPTS]
)
def test_command_does_what_its_document_shows(
    shown: Transcript, run: Run, refusing: str, start_server: StartServer
) -> None:
    line, environment = shown.command, os.environ | {"PYTHONIOENCODING": "utf-8"}
    if "127.0.0.1 --quiet" in line:
        environment |= {"SERVER_PORT": str(start_server("udp_server").port)}
    elif line.endswith("udp_server.py"):
        environment |= {"SERVER_PORT": str(start_server("udp_server", "--host", "0.0.0.0").port)}
    if line.startswith("make "):
        line = by_make(line)
    line = re.sub(rf"\b{NOBODYS}\b", refusing, line)
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == run.code, done.stderr
    came = (done.stdout + done.stderr).splitlines()
    assert not (found := differences(shown.output, came, run)), found
