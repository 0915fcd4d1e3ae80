"""A wire with the kernel's netem at its beginning: numbered datagrams in, and what came out of it.

Two ends of a veth pair. Datagrams are sent by UDP over one end, where netem is; at the other end a packet
socket sees every frame, also one whose address or checksum was corrupted. Nothing else is on the wire: there
is no IPv6, and the neighbour is written down. So the numbers that netem draws belong to our datagrams alone.

Two clocks of the kernel say when netem decided: the time stamp that a packet gets just before it is handed to
the qdisc (SOF_TIMESTAMPING_TX_SCHED), and our own after the call returned. Netem's is between them.
"""

import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import netlink
from kernel import qdisc

NEAR, FAR = "lab-near", "lab-far"
NEAR_MAC, FAR_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
NEAR_ADDRESS, FAR_ADDRESS = "10.99.0.1", "10.99.0.2"
PORT = 12_000
NETEM_HANDLE = qdisc.handle(0x10)
WAIT_S = 30.0

SO_NO_CHECK, SO_SNDBUFFORCE, SO_RCVBUFFORCE, SO_TIMESTAMPNS, SO_TIMESTAMPING = 11, 32, 33, 35, 37
TX_SCHED, SOFTWARE, IDENTIFY, NO_PAYLOAD = 1 << 8, 1 << 4, 1 << 7, 1 << 11  # SOF_TIMESTAMPING_...
IP_RECVERR = 11
ETH_P_ALL = 3
BUFFER = 256 << 20
NS_PER_S = 10**9
TIMESPEC = struct.Struct("=qq")

HEADERS = 14 + 20 + 8  # Ethernet, IPv4, UDP
NUMBER = struct.Struct("!I")


@dataclass(frozen=True)
class Sent:
    """A datagram that was sent: its number is its place in the list. Netem decided between the two times."""

    earliest_ns: int
    latest_ns: int


@dataclass(frozen=True)
class Arrival:
    """A frame that came out of the wire."""

    time_ns: int
    number: int
    corrupted: bool


@dataclass(frozen=True)
class Run:
    """What went in, what came out in this order, and what netem counted. `length` as a qdisc counts it."""

    length: int
    sent: list[Sent]
    arrivals: list[Arrival]
    statistics: qdisc.Statistics


def command(*words: str) -> None:
    """Run a command that must succeed.

    Raises:
        RuntimeError: it did not; the message has what it wrote.
    """
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stdout}{done.stderr}".strip())


@contextmanager
def wire() -> Iterator["Wire"]:
    """Make the wire, and remove it."""
    with suppress(FileNotFoundError):  # its module is not loaded
        Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1", encoding="ascii")
    Path("/proc/sys/net/core/netdev_max_backlog").write_text("100000", encoding="ascii")
    with suppress(RuntimeError):  # a predecessor's
        command("ip", "link", "delete", NEAR)
    command("ip", "link", "add", NEAR, "address", NEAR_MAC, "type", "veth",
            "peer", "name", FAR, "address", FAR_MAC)  # fmt: skip
    try:
        command("ip", "address", "add", f"{NEAR_ADDRESS}/24", "dev", NEAR)
        for end in (NEAR, FAR):
            command("ip", "link", "set", end, "up")
        command("ip", "neighbour", "add", FAR_ADDRESS, "lladdr", FAR_MAC, "dev", NEAR)
        with netlink.Netlink(netlink.ROUTE) as route:
            yield Wire(route, socket.if_nametoindex(NEAR))
    finally:
        command("ip", "link", "delete", NEAR)


class Wire:
    """The near end: what is done to what is sent over it."""

    def __init__(self, route: netlink.Netlink, interface: int) -> None:
        self._route = route
        self.interface = interface

    def impair(self, options: bytes) -> None:
        """Put a new netem at the beginning, in the place of the last one."""
        with suppress(OSError):  # there is none
            self._route.request(qdisc.DELETE_QDISC, qdisc.head(self.interface, parent=qdisc.ROOT))
        body = qdisc.qdisc(self.interface, NETEM_HANDLE, qdisc.ROOT, "netem", options)
        self._route.request(qdisc.NEW_QDISC, body, netlink.CREATE | netlink.EXCLUSIVE)

    def netem(self) -> qdisc.Qdisc:
        """Return the netem that is there."""
        found = self._route.request(qdisc.GET_QDISC, qdisc.head(self.interface), netlink.DUMP)
        for message in found:
            one = qdisc.read_qdisc(message)
            if (one.interface, one.kind) == (self.interface, "netem"):
                return one
        raise RuntimeError(f"expected a netem on {NEAR}, found none")

    def run(self, bursts: Sequence[int], size: int = 64) -> Run:
        """Send numbered datagrams and return what became of them.

        Args:
            bursts: how many are sent at once; before the next burst, all that wait have left.
            size: of a datagram's payload, at least 16 bytes.
        """
        with receiver() as frames, sender() as datagrams:
            after = []
            number = 0
            for burst in bursts:
                for payload in [payload_of(n, size) for n in range(number, number + burst)]:
                    datagrams.send(payload)
                    after.append(time.time_ns())
                number += burst
                self._empty()
            before = stamps(datagrams, len(after))
            arrivals = list(arrived(frames, size))
        sent = [Sent(*times) for times in zip(before, after, strict=True)]
        return Run(HEADERS + size, sent, arrivals, self.netem().statistics)

    def _empty(self) -> None:
        """Wait until nothing waits any more."""
        until = time.monotonic() + WAIT_S
        while self.netem().statistics.queued:
            if time.monotonic() > until:
                raise RuntimeError(f"after {WAIT_S:.0f} s packets still wait: {self.netem().statistics}")
            time.sleep(0.01)  # nothing tells when a qdisc is empty


@contextmanager
def sender() -> Iterator[socket.socket]:
    """Yield a socket whose datagrams have no checksum, and get a time stamp before the qdisc."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        for option in (SO_SNDBUFFORCE, SO_RCVBUFFORCE):  # time stamps wait in the receive buffer
            datagrams.setsockopt(socket.SOL_SOCKET, option, BUFFER)
        # Netem fills in a checksum before it corrupts a packet, and not otherwise: without one, a frame
        # that was not corrupted is known to the last bit.
        datagrams.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        flags = TX_SCHED | SOFTWARE | IDENTIFY | NO_PAYLOAD
        datagrams.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, flags)
        datagrams.bind((NEAR_ADDRESS, PORT))
        datagrams.connect((FAR_ADDRESS, PORT))
        yield datagrams


@contextmanager
def receiver() -> Iterator[socket.socket]:
    """Yield a socket that sees every frame at the far end."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as frames:
        frames.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        frames.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        frames.bind((FAR, ETH_P_ALL))
        frames.setblocking(False)
        yield frames


def payload_of(number: int, size: int) -> bytes:
    """Return the payload of a datagram: its number three times, in case one is corrupted, and filler."""
    return (NUMBER.pack(number) * 3).ljust(size, b"u")


def stamps(datagrams: socket.socket, count: int) -> list[int]:
    """Return the time stamps of so many datagrams, by their numbers."""
    times = [0] * count
    for _ in range(count):
        _data, ancillary, _flags, _address = datagrams.recvmsg(0, 512, socket.MSG_ERRQUEUE)
        stamp = number = None
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPING):
                seconds, rest = TIMESPEC.unpack_from(data)
                stamp = seconds * NS_PER_S + rest
            elif (level, kind) == (socket.SOL_IP, IP_RECVERR):
                number = struct.unpack_from("=IBBBBII", data)[6]
        if stamp is None or number is None:
            raise RuntimeError(f"expected a time stamp and its number, got {ancillary}")
        times[number] = stamp
    return times


def arrived(frames: socket.socket, size: int) -> Iterator[Arrival]:
    """Yield the frames that have arrived."""
    while True:
        try:
            frame, ancillary, _flags, _address = frames.recvmsg(HEADERS + size, 64)
        except BlockingIOError:
            return
        seconds, rest = TIMESPEC.unpack_from(ancillary[0][2])
        yield Arrival(seconds * NS_PER_S + rest, *recognise(frame, size))


FAR_END = bytes.fromhex((FAR_MAC + NEAR_MAC).replace(":", "")) + b"\x08\x00"


def recognise(frame: bytes, size: int) -> tuple[int, bool]:
    """Return the number of a datagram, and whether any bit of its frame is not as it was sent."""
    numbers = [NUMBER.unpack_from(frame, HEADERS + place)[0] for place in (0, 4, 8)]
    number = max(numbers, key=numbers.count)
    header = struct.unpack_from("!10H", frame, 14)
    intact = (
        frame[:14] == FAR_END
        and header[0] == 0x4500
        and header[1] == HEADERS - 14 + size
        and sum(header) % 0xFFFF == 0  # a single wrong bit is always seen
        and frame[34:42] == struct.pack("!HHHH", PORT, PORT, 8 + size, 0)
        and frame[HEADERS:] == payload_of(number, size)
    )
    return number, not intact
