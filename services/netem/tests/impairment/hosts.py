"""The hosts of these tests, and the engine, asked in a word."""

import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

from tests import namespaces
from tests.engine_process import PATIENCE_S, RunningEngine

SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
PORT = 12_000
QUIET_S = 0.15  # nothing more comes after so long, when all has left the impairment


class Host(namespaces.Host):
    """A host with sockets, commands and counters."""

    def run(self, *words: str, text: str = "") -> str:
        """Run a command at this host, and return what it prints."""
        done = subprocess.run(self.command(*words), input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def udp(self, port: int = 0, address: str | None = None) -> socket.socket:
        """Return a UDP socket of this host, bound, with room for thousands of datagrams."""
        address = self.address if address is None else address
        with self.entered():
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        for option in (SO_RCVBUFFORCE, SO_SNDBUFFORCE):
            sock.setsockopt(socket.SOL_SOCKET, option, 32 << 20)
        sock.bind((address, port))
        sock.settimeout(PATIENCE_S)
        return sock

    def tcp(self) -> socket.socket:
        """Return a TCP socket of this host."""
        with self.entered():
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(PATIENCE_S)
        return sock

    def counted(self) -> dict[str, int]:
        """Return what the kernel counts in this network, as UdpInCsumErrors, TcpRetransSegs, ..."""
        counts: dict[str, int] = {}
        with self.entered():
            for file in ("snmp", "netstat"):
                lines = Path("/proc/thread-self/net", file).read_text(encoding="ascii").splitlines()
                for names, values in zip(lines[::2], lines[1::2], strict=True):
                    group = names.split(":")[0]
                    counts |= {
                        group + name: int(value)
                        for name, value in zip(names.split()[1:], values.split()[1:], strict=True)
                    }
        return counts

    def firewall(self) -> str:
        """Return all rules, without comments and counters."""
        lines = self.run("iptables-save").splitlines() + self.run("ip6tables-save").splitlines()
        return "\n".join(line for line in lines if not line.startswith("#"))


class EngineProcess(RunningEngine):
    """The engine at the near host."""

    RUNNING: ClassVar["WeakSet[EngineProcess]"] = WeakSet()

    def __init__(self, host: namespaces.Host, name: str = "userspace") -> None:
        super().__init__(host, name)
        self.RUNNING.add(self)

    def waits_for_a_processor(self) -> bool:
        """Tell whether it has something to do: it is at work, or would be on a machine that is less busy."""
        try:
            stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        except FileNotFoundError:  # it has ended
            return False
        return stat.rpartition(")")[2].split()[0] == "R"

    def apply(self, spec: str, directions: str = "both", traffic: str = "all") -> None:
        """Impair from now on."""
        assert self.ask(apply=spec, directions=directions, traffic=traffic) == {}

    def clear(self) -> None:
        """Impair no more."""
        assert self.ask(clear=True) == {}

    def verify(self) -> str:
        """Return the reason of a failure, or nothing."""
        reason: str = self.ask(verify=True).get("failure", "")
        return reason

    def counters(self) -> dict[str, dict[str, int]]:
        """Return the counters of each direction."""
        return self.ask(counters=True)

    def wait_for(self, what: str, check: Callable[[dict[str, dict[str, int]]], bool]) -> None:
        """Wait until the counters are so."""
        give_up = time.monotonic() + PATIENCE_S
        while not check(counters := self.counters()):
            assert time.monotonic() < give_up, f"expected {what}, got {counters}"


def numbered(number: int, size: int) -> bytes:
    return f"#{number} ".encode().ljust(size, b"x")


def send(sender: socket.socket, to: tuple[Any, ...], numbers: Sequence[int], size: int = 64) -> None:
    for number in numbers:
        sender.sendto(numbered(number, size), to)


def arrivals(receiver: socket.socket, quiet_s: float = QUIET_S) -> list[int]:
    """Return the numbers of the datagrams that have come, in order, until nothing comes any more.

    Nothing has come for so long, and in the middle of that time no engine waited for a processor.
    """
    numbers: list[int] = []
    receiver.settimeout(quiet_s / 2)
    idle = False
    while True:
        try:
            data = receiver.recv(65_535)
        except TimeoutError:
            if idle:
                return numbers
            idle = not any(engine.waits_for_a_processor() for engine in EngineProcess.RUNNING)
            continue
        idle = False
        number = int(data[1 : data.index(b" ")])
        assert data == numbered(number, len(data)), "a damaged datagram came through"
        numbers.append(number)


def reaches(sender: Host, receiver: Host, port: int, address: str | None = None, count: int = 3) -> int:
    """Return how many of some datagrams arrive."""
    with sender.udp(address=address and sender.address_6) as here, receiver.udp(port, address) as there:
        send(here, there.getsockname(), range(count))
        return len(arrivals(there, 0.1))
