"""The client's host: a conversation by each protocol, also where one of them fails."""

import sys
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket

import pytest

from tests.socket.conftest import Start, StartServer
from tests.socket.programs import DEADLINE_S, LOCALHOST, ROOT, Program, environment

SCRIPT = ROOT / "services" / "client" / "client.sh"
LINES = (SCRIPT.parent / "conversation.txt").read_bytes().splitlines()
ANSWERS = [line.decode().upper().encode() for line in LINES]


def conversation(start: Start, python: Path, *variables: str) -> Program:
    """Start the script, with its python3 in this folder, and these variables."""
    path = f"PATH={python}:{environment()['PATH']}"
    return start(["env", "-C", str(SCRIPT.parent), path, *variables, "sh", "client.sh"])


def test_conversation_over_tcp_follows_a_lost_datagram(start: Start, start_server: StartServer) -> None:
    # TCP's port first: many TCP ports of a busy machine are taken by connections, few UDP ports by anything.
    port = start_server("tcp_server").port
    with socket(AF_INET, SOCK_DGRAM) as lossy:
        lossy.settimeout(DEADLINE_S)
        lossy.bind((LOCALHOST, port))
        python = Path(sys.executable).parent
        client = conversation(start, python, f"SERVER_HOST={LOCALHOST}", f"SERVER_PORT={port}")
        for number, answer in enumerate(ANSWERS, start=1):
            _message, address = lossy.recvfrom(100)
            if number != 2:
                lossy.sendto(answer, address)
        ended = client.finish()
    assert ended.stdout.splitlines() == [ANSWERS[0], ANSWERS[2], *ANSWERS]
    assert b"udp_client: line 2: no reply from" in ended.stderr
    assert ended.code == 3


@pytest.mark.parametrize(
    ("udp", "tcp", "shown", "code"),
    [
        pytest.param(0, 0, b"udp tcp ", 0, id="all answered"),
        pytest.param(3, 0, b"udp tcp ", 3, id="UDP unanswered"),
        pytest.param(0, 3, b"udp tcp ", 3, id="TCP unanswered"),
        pytest.param(0, 1, b"udp tcp ", 1, id="TCP refused"),
        pytest.param(1, 0, b"udp tcp ", 1, id="UDP without an address"),
        pytest.param(3, 1, b"udp tcp ", 3, id="both"),
        pytest.param(2, 0, b"udp ", 2, id="wrong environment"),
        pytest.param(130, 0, b"udp ", 130, id="SIGINT"),
        pytest.param(143, 0, b"udp ", 143, id="SIGTERM"),
        pytest.param(0, 143, b"udp tcp ", 143, id="SIGTERM in TCP"),
    ],
)
def test_conversation_ends_with_the_code_of_the_first_that_failed(
    start: Start, tmp_path: Path, udp: int, tcp: int, shown: bytes, code: int
) -> None:
    exits = f"case $1 in udp*) exit {udp};; esac; exit {tcp}"
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\nprintf "%s " "${{1%_client.py}}"\n{exits}\n')
    python.chmod(0o755)
    assert conversation(start, tmp_path).finish() == (code, shown, b"")


@pytest.mark.parametrize(
    ("which", "shown"), [("lecture", b"udp tcp "), ("concurrent", b"udp tcp "), ("idle", b"")]
)
def test_conversation_is_by_each_protocol_that_the_host_serves(
    start: Start, tmp_path: Path, which: str, shown: bytes
) -> None:
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\nprintf "%s " "${1%_client.py}"')
    python.chmod(0o755)
    assert conversation(start, tmp_path, f"SERVER_PROGRAM={which}").finish() == (0, shown, b"")
