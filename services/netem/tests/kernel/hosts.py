"""The two hosts in the test's own kernel: a client and a server, joined by a cable or a bridge."""

import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.kernel.wire import BUFFER, SO_RCVBUFFORCE, SO_SNDBUFFORCE, command
from tests.namespaces import on, wait_for_cable

CLIENT, SERVER = "lab-client", "lab-server"
INTERFACE, BRIDGE = "eth0", "lab-bridge"
ADDRESSES = {CLIENT: "10.98.0.1", SERVER: "10.98.0.2"}
NUMBER = struct.Struct("!I")
PATIENCE_S = 5.0
SILENCE_S = 0.3  # after the last datagram, longer than any delay in these tests


@contextmanager
def hosts(*, bridged: bool = False) -> Iterator[None]:
    """Make the two hosts, and remove them.

    Args:
        bridged: they are joined by a bridge, as containers are; else by a cable.
    """
    remove()
    try:
        for host in ADDRESSES:
            command("ip", "netns", "add", host)
            command("ip", "-n", host, "link", "set", "lo", "up")
        connect(bridged=bridged)
        yield
    finally:
        remove()


def connect(*, bridged: bool = False) -> None:
    """Join the hosts by a bridge, or by a cable."""
    if bridged:
        command("ip", "link", "add", BRIDGE, "up", "type", "bridge")
        for host in ADDRESSES:
            command("ip", "link", "add", f"{host}-end", "up", "master", BRIDGE, "type", "veth",
                    "peer", "name", INTERFACE, "netns", host)  # fmt: skip
    else:
        command("ip", "link", "add", INTERFACE, "netns", CLIENT, "type", "veth",
                "peer", "name", INTERFACE, "netns", SERVER)  # fmt: skip
    for host, address in ADDRESSES.items():
        command("ip", "-n", host, "address", "add", f"{address}/24", "dev", INTERFACE)
        command("ip", "-n", host, "link", "set", INTERFACE, "up")
    for host in ADDRESSES:
        wait_for_cable(host, INTERFACE)


def _link() -> str:
    words = ["ip", "-oneline", "link", "show", "dev", INTERFACE]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def index() -> int:
    """Return the number of the interface of the host that we are on."""
    return int(_link().split(":")[0])


def remove() -> None:
    """Remove the hosts that are there."""
    for host in ADDRESSES:
        with suppress(RuntimeError):
            command("ip", "netns", "delete", host)
    with suppress(RuntimeError):
        command("ip", "link", "delete", BRIDGE)


def udp(host: str, port: int = 0) -> socket.socket:
    """Return a UDP socket on a host, with room for all that a test sends."""
    with on(host):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((ADDRESSES[host], port))
    for option in (SO_RCVBUFFORCE, SO_SNDBUFFORCE):
        made.setsockopt(socket.SOL_SOCKET, option, BUFFER)
    return made


@dataclass
class Stream:
    """Numbered datagrams from one host to the other."""

    source: str
    port: int = 12_000
    sent: int = 0
    received: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.target = next(host for host in ADDRESSES if host != self.source)
        self._out, self._in = udp(self.source), udp(self.target, self.port)
        self._in.settimeout(SILENCE_S)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()
        self._in.close()

    def send(self, count: int) -> None:
        """Send so many, numbered from where the last ended, beginning with 0."""
        for number in range(self.sent, self.sent + count):
            self._out.sendto(NUMBER.pack(number).ljust(64, b"u"), (ADDRESSES[self.target], self.port))
        self.sent += count

    def receive(self, count: int) -> None:
        """Wait until so many have arrived in all."""
        self._in.settimeout(PATIENCE_S)
        while len(self.received) < count:
            self.received.append(NUMBER.unpack_from(self._in.recv(100))[0])

    def collect(self, silence_s: float = SILENCE_S) -> list[int]:
        """Return the numbers of all that have arrived, in their order, when no more do."""
        self._in.settimeout(silence_s)
        with suppress(TimeoutError):
            while True:
                self.received.append(NUMBER.unpack_from(self._in.recv(100))[0])
        return self.received


def lost(sent: int, received: list[int]) -> list[int]:
    """Return the numbers that did not arrive."""
    there = set(received)
    return [number for number in range(sent) if number not in there]


@contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[threading.Thread]:
    """Do something in another thread; what it raises is raised at the end."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()
    if errors:
        raise errors[0]


@dataclass(frozen=True)
class Transfer:
    """What a TCP connection did that sent so many bytes: segments, and those sent again."""

    arrived: int
    segments: int
    again: int


TCP_INFO_RETRANSMITTED, TCP_INFO_SEGMENTS = 100, 136  # offsets of tcpi_total_retrans and tcpi_segs_out


def transfer(source: str, size: int, port: int = 12_001) -> Transfer:
    """Send bytes by TCP from one host to the other, and return what it took."""
    target = next(host for host in ADDRESSES if host != source)
    with on(target):
        welcoming = socket.create_server((ADDRESSES[target], port))
    arrived = 0

    def read() -> None:
        nonlocal arrived
        connection, _ = welcoming.accept()
        with connection:
            connection.settimeout(60)
            while data := connection.recv(1 << 16):
                arrived += len(data)

    with welcoming, meanwhile(read) as reader:
        with on(source):
            client = socket.socket()
        with client:
            client.settimeout(60)
            client.connect((ADDRESSES[target], port))
            client.sendall(bytes(size))
            client.shutdown(socket.SHUT_WR)
            reader.join()
            info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    again, segments = (
        struct.unpack_from("=I", info, offset)[0] for offset in (TCP_INFO_RETRANSMITTED, TCP_INFO_SEGMENTS)
    )
    return Transfer(arrived, segments, again)


def written(file: str, text: str) -> str:
    """Write a file of the kernel's, and return what was in it."""
    before = Path(file).read_text(encoding="ascii").strip()
    Path(file).write_text(text, encoding="ascii")
    return before
