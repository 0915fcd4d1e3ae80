"""TCP, continued: flow control, by which a receiver slows its sender down."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from socket import IPPROTO_TCP, SHUT_WR, SO_RCVBUF, SO_SNDBUF, SOL_SOCKET
from typing import Any

from socketlab.claims.notebook import Notebook
from socketlab.claims.registry import shows
from socketlab.describe.scenario import PORT, ServerProgram
from socketlab.errors import TraceError
from socketlab.hosts.lab import Lab
from socketlab.hosts.operated import PATIENCE_S, Host, Program, RemoteSocket, expected, named
from socketlab.observe import tcp_info
from socketlab.observe.packets import Packet
from socketlab.observe.socket_table import Row

PIECE = 65_536  # bytes: what the writer hands over at a time, and the reader takes
BLOCKED_S = 0.25  # a send() that has not returned by then waits for the other side
TOO_MUCH = 64 << 20  # bytes; whoever takes so many and answers none of them stops nobody
# Linux begins a packet for what is sent while the buffer has any room at all, and that may become as large as
# a packet gets (tcp_sendmsg_locked, GSO_LEGACY_MAX_SIZE). As a rule the buffer has grown by then; where the
# machine had no time for acknowledgements, it has not.
ONE_PACKET = 1 << 16  # bytes
MEMORY_GROWTH = 1 << 20  # bytes that a server's memory may grow by, whatever a client sends


@dataclass
class Flow:
    """A connection between a writer and a reader, and what their kernels say of it over time."""

    writer: RemoteSocket
    reader: RemoteSocket
    begun: float = field(default_factory=time.monotonic)
    samples: list[dict[str, float | int | None]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ends = named((self.writer.host.address, self.writer.getsockname()[1]))

    def happened(self, what: str) -> None:
        """Note an event for the picture."""
        self.events.append({"t_s": time.monotonic() - self.begun, "what": what})

    def look(self) -> dict[str, float | int | None]:
        """Ask both kernels, at once, and keep what they say."""
        asked = self.writer.begin("getsockopt", IPPROTO_TCP, tcp_info.TCP_INFO, tcp_info.ROOM)
        sample = {
            "t_s": time.monotonic() - self.begun,
            "unread_bytes": row(self.reader.host, peer=self.ends).unread,
            "unsent_bytes": row(self.writer.host, local=self.ends).unsent,
            "window_bytes": tcp_info.send_window(self.writer.host.finished(asked)),
        }
        self.samples.append(sample)
        return sample


def row(host: Host, *, local: str = "", peer: str = "") -> Row:
    """Return the kernel's row of a connection, by either address.

    Raises:
        TraceError: it has none.
    """
    for one in host.sockets("tcp"):
        if one.state != "LISTEN" and (one.local == local or one.peer == peer):
            return one
    raise TraceError(f"expected a connection of {local or peer} at the {host.name}, there is none")


def window_of(writer: RemoteSocket) -> int | None:
    """Return the window that the other side has advertised last, in bytes."""
    return tcp_info.send_window(writer.call("getsockopt", IPPROTO_TCP, tcp_info.TCP_INFO, tcp_info.ROOM))


def write_until_stopped(
    writer: RemoteSocket, piece: bytes, look: Callable[[], object] = lambda: None
) -> tuple[bool, int]:
    """Send a piece again and again until send() blocks, for the other side's window is zero.

    A send() that blocks with an open window waits for a host that has other things to do: it is tried again.

    Args:
        writer: the socket.
        piece: what the stream is made of.
        look: is called after each send().

    Returns:
        Whether it was stopped, and not by PATIENCE_S or TOO_MUCH; and how many bytes were sent.
    """
    writer.settimeout(BLOCKED_S)
    sent, stopped, give_up = 0, False, time.monotonic() + PATIENCE_S
    while not stopped and sent < TOO_MUCH and time.monotonic() < give_up:
        with expected(TimeoutError) as blocked:
            # send() may take just a part: the next one goes on where that ends.
            begin = sent % len(piece)
            sent += writer.send(piece[begin:] + piece[:begin])
            look()
        stopped = bool(blocked) and window_of(writer) == 0
    writer.settimeout(PATIENCE_S)
    return stopped, sent


@shows("T12")
def reader_that_stops_stops_the_writer(lab: Lab, note: Notebook) -> None:
    """A receiver that does not read stops the sender: first two bare sockets, then through the server."""
    two_sockets(lab, note)
    through_the_server(lab, note)


def two_sockets(lab: Lab, note: Notebook) -> None:
    """Let a reader stop, and go on."""
    piece = Random(lab.seed).randbytes(PIECE)  # noqa: S311 - no secret: bytes that are not all the same
    note.do("two sockets are connected; the client sends and sends, and the server does not read")
    with (
        lab.capture(lab.client) if lab.taps else nullcontext() as wire,
        lab.server.tcp(PORT) as welcoming,
        lab.client.tcp() as writer,
    ):
        writer.connect((lab.server.address, PORT))
        reader, _client = welcoming.accept()
        with reader:
            flow = Flow(writer, reader)
            open_window = flow.look()["window_bytes"]
            if open_window is None:
                note.cannot("this kernel does not say which window the other side has advertised (Linux 5.4)")
            flow.happened("the client begins to send")
            stopped, sent = write_until_stopped(writer, piece, flow.look)
            flow.happened("send() blocks")
            still = flow.look()
            room = {
                "receive": reader.option(SOL_SOCKET, SO_RCVBUF),
                "send": writer.option(SOL_SOCKET, SO_SNDBUF),
            }
            note.check(
                "the window that the server's system advertises goes down to zero",
                still["window_bytes"] == 0,
                {
                    "window at the beginning": f"{open_window:,} bytes",
                    "window now": f"{still['window_bytes']:,} bytes",
                },
            )
            note.check("the client's send() blocks", stopped, {"handed over by then": f"{sent:,} bytes"})
            note.check(
                "memory stays bounded: what is unread fits into the reader's buffer, what is unsent into the "
                "writer's",
                0 < (still["unread_bytes"] or 0) <= room["receive"]
                and 0 < (still["unsent_bytes"] or 0) <= room["send"] + ONE_PACKET,
                {
                    "unread": f"{still['unread_bytes']:,} bytes, of {room['receive']:,} (SO_RCVBUF)",
                    "unsent": f"{still['unsent_bytes']:,} bytes, of {room['send']:,} (SO_SNDBUF)",
                },
            )
            note.do("now the server reads, all of it")
            flow.happened("the server begins to read")
            came, size = sha256(), 0
            writer.shutdown(SHUT_WR)
            while data := reader.recv(PIECE):
                came.update(data)
                size += len(data)
                flow.look()
            flow.happened("all is read")
            again = flow.samples[-1]["window_bytes"] or 0
            note.check("the window opens again", again > 0, {"window now": f"{again:,} bytes"})
            whole = (piece * (sent // PIECE + 1))[:sent]
            note.check(
                "and no byte was lost",
                came.digest() == sha256(whole).digest(),
                {"sent": f"{sent:,} bytes", "read": f"{size:,} bytes", "SHA-256 of it": came.hexdigest()},
            )
            note.answer(
                f"it blocks, after {sent:,} bytes, which fill the buffers of both ends; no byte is lost"
            )
        if wire is not None:
            on_the_wire(note, wire.packets(), named((lab.server.address, PORT)))
    note.figure("flow", {"samples": flow.samples, "events": flow.events})


def on_the_wire(note: Notebook, packets: Sequence[Packet], server: str) -> None:
    """Check the windows that the server's segments carried, in their order."""
    windows = [packet.window for packet in packets if packet.source == server and packet.window is not None]
    closed = [number for number, window in enumerate(windows) if window == 0]
    note.check(
        "on the wire: segments of the server's system that say window 0, and later ones that open it again",
        bool(closed) and any(window > 0 for window in windows[closed[-1] + 1 :]),
        {
            "segments from the server": len(windows),
            "with window 0": len(closed),
            "its windows, from first to last": thinned(windows),
        },
    )


def thinned(windows: Sequence[int]) -> str:
    """Return some of many numbers, with the first, the smallest and the last."""
    step = max(1, len(windows) // 6)
    lowest = windows.index(min(windows)) if windows else 0
    chosen = sorted(
        {*range(0, len(windows), step), lowest, max(0, len(windows) - 1)} & {*range(len(windows))}
    )
    return ", ".join(f"{windows[number]:,}" for number in chosen)


def through_the_server(lab: Lab, note: Notebook) -> None:
    """Let a client send to the server, and never read its answers."""
    note.do("a client sends to the server program, and never reads the answers")
    with lab.serve(ServerProgram.CONCURRENT, "--quiet") as server, lab.client.tcp() as greedy:
        greedy.connect((lab.server.address, PORT))
        greedy.sendall(b"hello")
        greedy.recv(5)  # the server has made all that it makes for a client
        before = resident_bytes(server)
        stopped, sent = write_until_stopped(greedy, b"a" * PIECE * 4)
        after = resident_bytes(server)
        window = window_of(greedy)
        note.check(
            "the server stops reading him: its window goes to zero, and his send() blocks",
            stopped and window == 0,
            {
                "he has handed over": f"{sent:,} bytes",
                "the server's window now": "unknown" if window is None else f"{window:,} bytes",
            },
        )
        note.check(
            "the server's own memory does not grow",
            after - before <= MEMORY_GROWTH,
            {"VmRSS before": f"{before:,} bytes", "VmRSS after": f"{after:,} bytes"},
        )


def resident_bytes(program: Program) -> int:
    """Return how much memory a program takes."""
    for line in program.proc("status").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise TraceError(f"expected VmRSS in the status of {program.name}, there is none: it has ended")
