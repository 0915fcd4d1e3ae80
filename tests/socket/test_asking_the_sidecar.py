"""A lab asks the sidecar as the command `netem` does, by its control socket, and starts no program."""

import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from control import Answer, Refused, Request, Server

from socketlab.checkout import ROOT
from socketlab.errors import EngineError
from socketlab.hosts import lab as module
from socketlab.hosts.lab import Lab
from socketlab.hosts.operated import Host


class Sidecar:
    """Answers by the real control socket; "set" is refused where the spec is wrong."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[Request] = []
        self._server = Server(folder)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        os.set_blocking(self._server.fileno(), True)
        self._server._socket.setblocking(True)
        while not self.requests or self.requests[-1]["command"] != "end":
            self._server.answer(self._handle)

    def _handle(self, request: Request) -> Answer:
        self.requests.append(request)
        if request.get("spec") == "nonsense":
            raise Refused("expected an impairment")
        return {"did": request["command"]}

    def close(self) -> None:
        """Wait for its end."""
        self._thread.join(10)
        self._server.__exit__(None, None, None)


@pytest.fixture
def host() -> Iterator[Host]:
    """A host whose sidecar is in a folder of this machine."""
    services = str(ROOT / "services")
    made = Host("netem", [sys.executable, "-m", "lab.remote"], {**os.environ, "PYTHONPATH": services})
    yield made
    made.close()


@pytest.fixture
def lab(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab with that host as its sidecar's."""
    monkeypatch.setattr(module, "CONTROL", str(tmp_path))
    nobody = cast("Any", None)
    return Lab(nobody, nobody, nobody, host)


def test_sidecar_is_asked_and_answers(lab: Lab, tmp_path: Path) -> None:
    sidecar = Sidecar(tmp_path)
    assert json.loads(lab.impair("loss 10%", "ingress", "tcp")) == {"did": "stats"}
    lab.restore_network()
    with pytest.raises(EngineError, match="the sidecar refused: expected an impairment"):
        lab.impair("nonsense", "both", "all")
    assert json.loads(lab.sidecar_now(verify=False)) == {"did": "stats"}
    lab.ask_sidecar("end")
    sidecar.close()
    assert sidecar.requests == [
        {"command": "set", "spec": "loss 10%", "directions": "ingress", "traffic": "tcp"},
        {"command": "stats", "verify": "yes"},
        {"command": "clear"},
        {"command": "set", "spec": "nonsense", "directions": "both", "traffic": "all"},
        {"command": "stats"},
        {"command": "end"},
    ]
    assert list(tmp_path.iterdir()) == []  # of the sockets nothing is left


def test_sidecar_that_does_not_run_is_said_to(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot ask the sidecar: No such file or directory"):
        lab.restore_network()
    assert list(tmp_path.iterdir()) == []


def test_command_that_fails_says_why(lab: Lab) -> None:
    with pytest.raises(EngineError, match="python3 failed: no"):
        lab.in_network("python3", "-c", "raise SystemExit('no')")


def test_command_that_hangs_is_given_up(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HANGS_S", 0.05)
    with pytest.raises(EngineError, match=r"sleep has not ended within 0\.05 s"):
        lab.in_network("sleep", "60")
