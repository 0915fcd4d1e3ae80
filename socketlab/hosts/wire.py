"""A capture at a host, live: recorders on a capture host that shares its network.

When the packets up to now are wanted, each recorder sends a mark through its interface. When it has captured
that, all packets before it are in its file. So nothing is waited for but events.
"""

import secrets
import signal
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from socketlab.errors import EngineError, TraceError
from socketlab.hosts.operated import Host, Program
from socketlab.observe.packets import Packet, Reader

LOOPBACK = "lo"
# Where it is seen what a host's programs send and receive, though the network there is impaired.
INSIDE = "inside"
PIECE = 1 << 20  # bytes

O_RDONLY = 0
FOLDER = "/run"
NANOSECONDS = "--time-stamp-precision=nano"
# Packets that may wait in the kernel for the recorder. All of a conversation fit into FEW: none is dropped,
# though the recorder has no processor meanwhile. Each takes 128 KiB, which the kernel has to clear first: of
# a short capture with room for MANY, as the recorder has it by itself, that is most of its cost.
FEW, MANY = 64, 512
SLOT_KIB = 64  # as tcpdump counts a slot (-B)
INSIDE_DEVICE = "nflog:12003"  # as services/capture/inside.py names it


@dataclass
class Recorder:
    """One place where packets are recorded.

    Attributes:
        program: on the capture host.
        reader: takes the file apart.
        file: on the capture host.
        marks: how often it was asked for all up to then.
        size: of the file, as far as it was read.
        packets: those read so far.
    """

    program: Program
    reader: Reader
    file: str
    marks: int = 0
    size: int = 0
    packets: list[Packet] = field(default_factory=list)

    def begin(self) -> None:
        """Wait until it records.

        Raises:
            EngineError: it does not; its own words are in the message.
        """
        self.program.wait_for("listening")

    def update(self) -> None:
        """Read the packets that have come up to now.

        Raises:
            TraceError: the recorder has ended, or packets came too fast for it.
        """
        self.marks += 1
        try:
            self.program.type("\n")
            said = self.program.wait_for(f" dropped {self.marks}\n")
        except (EngineError, BrokenPipeError) as error:
            raise TraceError(f"{self.reader.complaint} is not complete: {error}") from error
        numbers = {what: int(number) for number, _space, what in (line.partition(" ") for line in
                   said.splitlines()) if number.isdecimal()}  # fmt: skip
        if dropped := numbers[f"dropped {self.marks}"]:
            raise TraceError(f"{self.reader.complaint} lacks {dropped} packets: they came too fast for it")
        end = numbers[f"complete {self.marks}"]
        if self.size == end:
            return
        host = self.program.host
        descriptor = host.function("os", "open", self.file, O_RDONLY)
        while self.size < end:
            piece: bytes = host.function("os", "pread", descriptor, min(PIECE, end - self.size), self.size)
            self.size += len(piece)
            self.packets += self.reader.feed(piece)
        host.function("os", "close", descriptor)


class Wire:
    """What goes over the network at one host, from the beginning of the `with` to its end.

    Args:
        tap: the capture host, which shares the host's network.
        where: the host's name.
        inside: also record behind an impairment of the host's network, nearer to its programs: with the
            outgoing packets that it drops, and without the incoming ones. Their interface is "inside".
        room: how many packets may wait for the recorder: FEW, for some lines of conversation, or MANY.

    Raises:
        EngineError: the capture does not begin.
    """

    def __init__(self, tap: Host, where: str, *, inside: bool = False, room: int = MANY) -> None:
        self.tap, self.where = tap, where
        self._room = f"-B{room * SLOT_KIB}"
        self._inside = inside
        self._todo = ExitStack()
        self._recorders: list[Recorder] = []

    def __enter__(self) -> "Wire":
        try:
            for interface in (self.tap.interface, LOOPBACK):
                self._record(interface, interface, NANOSECONDS, self._room)
            if self._inside:
                self._begin_inside()
            for recorder in self._recorders:  # they have started side by side
                recorder.begin()
        except BaseException:
            self._todo.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._todo.close()

    def packets(self) -> list[Packet]:
        """Return all packets up to now, in order of time.

        Raises:
            TraceError: some are missing, or cannot be read.
        """
        if self._inside:
            self._check_inside()
        for recorder in self._recorders:
            recorder.update()
        found = [packet for recorder in self._recorders for packet in recorder.packets]
        return sorted(found, key=lambda packet: packet.time_ns)

    def near_packets(self) -> list[Packet]:
        """Return the packets up to now as this host's programs and system sent and received them.

        Raises:
            TraceError: as with `packets`.
        """
        return self.near(self.packets())

    def near(self, packets: Iterable[Packet]) -> list[Packet]:
        """Return those of this capture's packets that were seen nearest to the host's programs.

        With `inside` that is behind the impairment, else at the network's interface. So of two ends, matched
        by `socketlab.analyse.journeys`, all that lies between is the network.
        """
        place = INSIDE if self._inside else self.tap.interface
        return [packet for packet in packets if packet.interface == place]

    def _record(self, name: str, interface: str, *options: str) -> None:
        file = f"{FOLDER}/{name}-{secrets.token_hex(4)}"
        program = self.tap.start("python3", "capture.py", "record", file, interface, *options)
        self._todo.callback(self._remove, file)
        self._todo.callback(program.wait)
        self._todo.callback(program.signal, int(signal.SIGTERM))
        self._recorders.append(Recorder(program, Reader(self.where, name), file))

    def _remove(self, file: str) -> None:
        with suppress(FileNotFoundError):  # where the recorder has not begun
            self.tap.function("os", "unlink", file)

    def _begin_inside(self) -> None:
        rules = self.tap.start("python3", "inside.py", "hold")
        self._todo.callback(rules.wait)
        self._todo.callback(rules.end_input)
        rules.wait_for("ready")
        self._record(INSIDE, INSIDE_DEVICE, self._room)

    def _check_inside(self) -> None:
        with self.tap.start("python3", "inside.py", "check") as check:
            if check.wait() != 0:
                raise TraceError(f"the capture inside {self.where}: {check.written()[1].strip()}")
