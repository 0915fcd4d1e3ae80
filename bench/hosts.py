"""Two hosts as network namespaces, joined by a cable; the sidecar's engine at work in one of them."""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench.errors import ServerFaultError
from bench.network import CLONE_NEWNET

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 20.0  # for an engine to answer


def ip(*words: str) -> str:
    """Run the command ip, and return what it prints."""
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


@dataclass(frozen=True)
class Host:
    """A network namespace with one interface, and its addresses."""

    name: str
    interface: str
    address: str
    address_6: str

    @property
    def path(self) -> str:
        """The file that stands for this network."""
        return f"/run/netns/{self.name}"

    def command(self, *words: str) -> list[str]:
        """Return the command that runs a command at this host."""
        return ["ip", "netns", "exec", self.name, *words]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Make what is opened in the body of the `with` belong to this host."""
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(self.path, os.O_RDONLY)
        try:
            _setns(there)
            yield
        finally:
            _setns(back)
            os.close(there)
            os.close(back)


def _setns(fd: int) -> None:
    """Move this thread to another network; Python has it from 3.12 on."""
    if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


H = TypeVar("H", bound=Host)


@contextmanager
def joined(prefix: str, kind: type[H]) -> Iterator[tuple[H, H]]:
    """Make two hosts, near and far, and a cable between them, and remove them in the end.

    Raises:
        subprocess.CalledProcessError: it is not permitted, or the kernel cannot.
        ServerFaultError: the cable carries nothing.
    """
    near = kind(f"{prefix}-near", "eth0", "10.97.0.1", "fd97::1")
    far = kind(f"{prefix}-far", "eth0", "10.97.0.2", "fd97::2")
    try:
        for host in (near, far):
            ip("netns", "add", host.name)
        cable = ("type", "veth", "peer", "name", "eth0", "netns", far.name)
        ip("link", "add", "eth0", "netns", near.name, *cable)
        for host in (near, far):
            ip("-n", host.name, "link", "set", "lo", "up")
            ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
            # Without the detection of duplicate addresses: this one can be used at once.
            ip("-n", host.name, "addr", "add", f"{host.address_6}/64", "dev", "eth0", "nodad")
            ip("-n", host.name, "link", "set", "eth0", "up")
        for host in (near, far):
            _wait_until_up(host)
        yield near, far
    finally:
        for host in (near, far):
            subprocess.run(["ip", "netns", "del", host.name], capture_output=True, check=False)


def _wait_until_up(host: Host) -> None:
    """Wait until the kernel has noticed the cable: before that it drops what is sent, for up to a second."""
    give_up = time.monotonic() + PATIENCE_S
    while (link := json.loads(ip("-json", "-n", host.name, "link", "show", "eth0"))[0])["operstate"] != "UP":
        if time.monotonic() > give_up:
            raise ServerFaultError(f"the interface of {host.name} does not come up: {link}")
        time.sleep(0.01)


def unusable(host: Host) -> str:
    """Return why the user-space engine cannot work at a host, or nothing."""
    code = f"import bench.engine, userspace; print(userspace.probe({host.interface!r}) or '', end='')"
    done = subprocess.run(
        host.command(sys.executable, "-c", code), cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ServerFaultError(f"the engine cannot be asked: {done.stderr.strip()}")
    return done.stdout


class RunningEngine:
    """The engine in a process of its own, at a host; see `bench.engine`.

    Raises:
        ServerFaultError: it does not start; the message is what it complained of.
    """

    def __init__(self, host: Host, name: str = "userspace") -> None:
        self.process = subprocess.Popen(
            host.command(sys.executable, "-m", "bench.engine", name, host.interface),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us, who then end it
        )
        try:
            self._line()
        except ServerFaultError:
            self.close()
            raise

    def _line(self) -> dict[str, Any]:
        if self.process.stdout is None or not select.select([self.process.stdout], [], [], PATIENCE_S)[0]:
            raise ServerFaultError(f"the engine did not answer within {PATIENCE_S:g} s")
        line = self.process.stdout.readline()
        if not line:
            code, complaint = self.ended()
            raise ServerFaultError(f"the engine ended with exit code {code}: {complaint.strip()}")
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
