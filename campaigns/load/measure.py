"""What is seen of the server while it is attacked: its memory, its descriptors, what its kernel counts."""

import json
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from socketlab.errors import EngineError, TraceError
from socketlab.hosts.operated import Host, Program
from socketlab.hosts.watching import until
from socketlab.observe.socket_table import Row

# cgroup v1, v2: what the limit of the host counts.
MEMORY = ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "/sys/fs/cgroup/memory.current")
EVERY_S = 0.25
STRETCHES = 12
HOUR_S = 3600.0
SETTLED_S = 40.0  # longer than the server keeps a connection on which nothing moves: see attacks.IDLE_S


@dataclass(frozen=True)
class Sample:
    """The server at a time.

    Attributes:
        at_s: since the beginning of the watch.
        resident: bytes of the server's process.
        host: bytes of its host, as its limit counts them: with what operates it from here, which is 20 MB.
        descriptors: of the server's process.
    """

    at_s: float
    resident: int
    host: int
    descriptors: int


def stop(program: Program) -> None:
    """Tell an attacker to stop. One that has ended is told nothing: `finished` says why."""
    with suppress(BrokenPipeError):
        program.type("\n")


def finished(program: Program, within_s: float) -> dict[str, Any]:
    """Wait for the end of a program, and return what it has counted.

    Raises:
        TraceError: it did not end well.
    """
    code = program.wait(within_s)
    output, errors = program.written()
    program.kill()
    if code != 0:
        said = (errors or output).strip().splitlines() or ["it says nothing"]
        raise TraceError(f"{program.name} ended with {code}: {said[-1]}")
    figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    return figures


def counters(host: Host) -> dict[str, int]:
    """Return what the kernel counts in a host's network: UdpInDatagrams, TcpExtListenDrops, ..."""
    counts: dict[str, int] = {}
    for file in ("snmp", "netstat"):
        lines = host.read(f"/proc/net/{file}").splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            group = names.partition(":")[0]
            pairs = zip(names.split()[1:], values.split()[1:], strict=True)
            counts |= {group + name: int(value) for name, value in pairs}
    for line in host.read("/proc/net/dev").splitlines()[2:]:
        name, _colon, values = line.partition(":")
        if name.strip() != "lo":
            # proc_pid_net(5): bytes packets errs drop ..., received and then sent.
            counts["LinkRxDropped"] = counts.get("LinkRxDropped", 0) + int(values.split()[3])
    return counts


def changes(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Return what has been counted since, without what has not."""
    return {
        name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)
    }


def dropped_at_socket(host: Host, port: int) -> int:
    """Return how many datagrams found no room at a UDP socket: the last column of /proc/net/udp."""
    lines = [line.split() for line in host.read("/proc/net/udp").splitlines()[1:]]
    return sum(int(words[-1]) for words in lines if int(words[1].rpartition(":")[2], 16) == port)


def unread(host: Host, port: int) -> int:
    """Return how many bytes wait at a UDP socket to be read."""
    return sum(row.unread for row in host.sockets("udp") if row.port == port)


def states(rows: Sequence[Row], port: int) -> dict[str, int]:
    """Return how many of the server's TCP sockets are in each state."""
    found: dict[str, int] = {}
    for row in rows:
        if row.port == port:
            found[row.state] = found.get(row.state, 0) + 1
    return found


@dataclass
class Watch:
    """Looks at a server four times a second.

    Attributes:
        samples: all of them.
    """

    server: Program
    samples: list[Sample] = field(default_factory=list)
    _begun_s: float = field(default_factory=time.monotonic)

    def look(self) -> Sample:
        """Look once."""
        host = self.server.host
        status = dict(line.split(":", 1) for line in self.server.proc("status").splitlines())
        descriptors = host.function("os", "listdir", f"/proc/{self.server.pid}/fd")
        return Sample(
            round(time.monotonic() - self._begun_s, 3),
            int(status["VmRSS"].split()[0]) * 1024,
            memory(host),
            len(descriptors),
        )

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look again and again, in the body of the `with`."""
        over = threading.Event()
        failed: list[BaseException] = []

        def go_on() -> None:
            try:
                while True:
                    self.samples.append(self.look())
                    if over.wait(EVERY_S):
                        return
            except (EngineError, OSError) as error:
                failed.append(error)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if failed:
            raise failed[0]


def memory(host: Host) -> int:
    """Return the bytes of a host, as its limit counts them."""
    for file in MEMORY:
        with suppress(FileNotFoundError):
            return int(host.read(file))
    raise EngineError(f"expected one of {', '.join(MEMORY)} on the host {host.name}: what cgroups has it?")


def settled(watch: Watch, before: Sample) -> Sample:
    """Return how the server is when those who left are gone: as soon as it has as many descriptors again."""
    return until(watch.look, lambda now: now.descriptors <= before.descriptors, SETTLED_S)


@dataclass(frozen=True)
class Slope:
    """A straight line through samples, by least squares.

    Attributes:
        per_hour: of the value.
        low, high: 95 % interval of it, if the errors are independent of each other.
    """

    per_hour: float
    low: float
    high: float


def stretches(values: Sequence[float], number: int = STRETCHES) -> list[float]:
    """Return the means of so many equal stretches of samples; what is over at the end is left out.

    Samples in a row are alike, so a line through them seems surer than it is; means of stretches are less so.
    Source: batch means; Law, Simulation Modeling and Analysis, 9.5.3.
    """
    each = len(values) // number
    return [mean(values[i * each : (i + 1) * each]) for i in range(number)]


def slope(at_s: Sequence[float], values: Sequence[float]) -> Slope:
    """Return how fast a value grows.

    Args:
        at_s: when, in seconds; at least three times.
        values: what was seen then.

    Source: Student's t with n - 2 degrees of freedom; Draper and Smith, Applied Regression Analysis, 1.4.
    """
    # Here, not above: it takes a quarter of a second.
    from scipy.special import stdtrit  # noqa: PLC0415

    free, middle = len(at_s) - 2, mean(at_s)
    spread = sum((at - middle) ** 2 for at in at_s)
    level = mean(values)
    line = sum((at - middle) * (value - level) for at, value in zip(at_s, values, strict=True)) / spread
    off = sum((value - level - line * (at - middle)) ** 2 for at, value in zip(at_s, values, strict=True))
    half = float(stdtrit(free, 0.975)) * math.sqrt(off / free / spread)
    return Slope(line * HOUR_S, (line - half) * HOUR_S, (line + half) * HOUR_S)
