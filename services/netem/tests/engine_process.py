"""The sidecar's user-space engine in a process of its own at a host, operated from here."""

import json
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.namespaces import Host

NETEM = Path(__file__).resolve().parents[1]  # where its programs find each other
PATIENCE_S = 20.0  # for an engine to answer


class EngineProcessError(Exception):
    """An engine does not start, does not answer, or has ended; the message says why."""


def unusable(host: Host) -> str:
    """Return why the user-space engine cannot work at a host, or nothing."""
    code = f"import userspace; print(userspace.probe({host.interface!r}) or '', end='')"
    done = subprocess.run(
        host.command(sys.executable, "-c", code), cwd=NETEM, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise EngineProcessError(f"the engine cannot be asked: {done.stderr.strip()}")
    return done.stdout


class RunningEngine:
    """The engine in a process of its own, at a host; see `engine.py`.

    Raises:
        EngineProcessError: it does not start; the message is what it complained of.
    """

    def __init__(self, host: Host, name: str = "userspace") -> None:
        self.process = subprocess.Popen(
            host.command(sys.executable, "-m", "tests.engine", name, host.interface),
            cwd=NETEM,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us, who then end it
        )
        try:
            self._line()
        except EngineProcessError:
            self.close()
            raise

    def _line(self) -> dict[str, Any]:
        if self.process.stdout is None or not select.select([self.process.stdout], [], [], PATIENCE_S)[0]:
            raise EngineProcessError(f"the engine did not answer within {PATIENCE_S:g} s")
        line = self.process.stdout.readline()
        if not line:
            code, complaint = self.ended()
            raise EngineProcessError(f"the engine ended with exit code {code}: {complaint.strip()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, **request: object) -> dict[str, Any]:
        """Send a request, and return the answer."""
        if self.process.stdin is not None:
            self.process.stdin.write(json.dumps(request, allow_nan=False).encode() + b"\n")
            self.process.stdin.flush()
        return self._line()

    def ended(self) -> tuple[int, str]:
        """Wait for the end of the process; return its exit code and what it complained of."""
        _out, complaint = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, complaint.decode()

    def stop(self, signum: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal, and wait for the end."""
        self.process.send_signal(signum)
        # Before its stdin is closed: that would end it too.
        self.process.wait(timeout=PATIENCE_S)
        return self.ended()

    def close(self) -> None:
        """Kill it, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
