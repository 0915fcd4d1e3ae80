"""The journal: one line for each socket call, for people or as JSON.

A journal never stops the program that writes it. A line that nobody takes (a full pipe, a stopped
terminal, a full disk) is left out, counted, and the count is said as soon as a line goes through again.

    text   09:41:07.250613 UDP recvfrom 172.20.0.2:12000 <- 172.20.0.3:41273  5 bytes "hello"
    json   {"time_ns": …, "program": "server", "event": "recvfrom", "protocol": "udp",
            "local": "172.20.0.2:12000", "peer": "172.20.0.3:41273", "bytes": 5}

A datagram that begins with its number ("#7 ...") has that too, as "seq": 7. So the journals of two hosts can
be laid side by side, and it is seen which datagram one sent and the other never got.

`time_ns` is the monotonic clock: one for all containers of a kernel, and nobody can set it back. The first
line of a program has `unix_ns` too, the same instant by the time of day, and then a line a second: captures
name instants so, and two hosts whose clocks are not one are told apart by it. A call
that sends is dated when it begins, one that receives when it has returned: so no message is received before
it was sent. The text has the time of day (UTC).
"""

import fcntl
import json
import os
import re
import select
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from socket import SOCK_DGRAM, socket
from typing import TypeAlias

from lab.failures import visible

Address: TypeAlias = tuple[str, int]
Instant: TypeAlias = tuple[int, int]  # nanoseconds: of the monotonic clock, and since 1970 (UTC)

# The container's healthcheck talks to the server from this address, which no other host can have:
# its exchanges are left out of the journal, where they would drown the story.
HEALTHCHECK_HOST = "127.0.0.2"

PIPE_SIZE = 1 << 20  # bytes to ask for: as much as Linux gives to everybody
BOTH_CLOCKS_NS = 10**9  # so often a line has both
LONGEST_PREVIEW = 40  # bytes of a message that the text shows

NUMBERED = re.compile(rb"#([1-9][0-9]{0,8}) ")  # how a message of a numbered stream begins


def now() -> Instant:
    """Return this instant, by both clocks."""
    return time.monotonic_ns(), time.time_ns()


def name(address: Address) -> str:
    """Return an IPv4 address and port as people write it: 127.0.0.1:12000."""
    return f"{address[0]}:{address[1]}"


def preview(data: bytes | bytearray) -> str:
    """Return the beginning of a message in quotes, with everything that could move the cursor escaped."""
    return f'"{visible(data[:LONGEST_PREVIEW])}"' + ("..." if len(data) > LONGEST_PREVIEW else "")


def number_of(message: bytes | bytearray) -> int | None:
    """Return the number that a message begins with ("#7 and so on"), None where it has none."""
    numbered = NUMBERED.match(message)
    return int(numbered[1]) if numbered else None


def clock(unix_ns: int) -> str:
    """Return the time of day, in UTC and with microseconds."""
    return f"{time.strftime('%H:%M:%S', time.gmtime(unix_ns // 10**9))}.{unix_ns % 10**9 // 1000:06}"


class Journal:
    """Writes the events of one program to a file descriptor; see the module's text for the format.

    Args:
        as_json: one JSON object a line, else text.
        quiet: leave out everything but what is marked `always`.
        fd: where to write; the descriptor stays in blocking mode, it may be shared with a shell.
    """

    def __init__(self, *, as_json: bool, quiet: bool, fd: int = 1) -> None:
        self.program = sys.argv[0].rpartition("/")[2].removesuffix(".py")
        self.as_json = as_json
        self.quiet = quiet
        self.left_out = 0
        self._both_clocks_at_ns = 0
        self._fd = fd
        # Who reads a pipe may be held up for a moment, and a journal that is read later is better than a gap.
        with suppress(OSError, AttributeError):  # no pipe, or no Linux
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        self._writable = select.poll()
        self._writable.register(fd, select.POLLOUT)

    def event(
        self,
        event: str,
        sock: socket | None = None,
        *,
        peer: Address | None = None,
        data: bytes | bytearray | None = None,
        note: str = "",
        always: bool = False,
        at: Instant | None = None,
    ) -> None:
        """Write down what has happened.

        Args:
            event: the socket call, by its name ("recvfrom"), or "resolve", "error", "stop", ...
            sock: the socket it was made on; its protocol and its own address are written down.
            peer: the other side.
            data: the message; its length is written down, and in the text how it begins.
            note: a few words for people.
            always: write it even when the journal is quiet.
            at: when it began, for calls that send; now, where it is left out.
        """
        if (self.quiet and not always) or (peer is not None and peer[0] == HEALTHCHECK_HOST):
            return
        self._record(at or now(), event, sock, peer, data, note)

    @contextmanager
    def call(self, event: str, sock: socket, *, peer: Address, data: bytes | bytearray) -> Iterator[None]:
        """Write down the call that sends, made in the body of the `with`; nothing if it raises."""
        if self.quiet or peer[0] == HEALTHCHECK_HOST:
            yield
            return
        begun = now()
        yield
        self._record(begun, event, sock, peer, data, "")

    def facts(self, event: str, facts: Mapping[str, object]) -> None:
        """Write down what is no socket call: values by their names, which must not be those of a call."""
        if self.quiet:
            return
        at = now()
        if self.as_json:
            line = json.dumps({**self._head(at, event), **facts}, allow_nan=False)
        else:
            values = " ".join(f"{key}={value}" for key, value in facts.items())
            line = f"{clock(at[1])}     {event:<8}  {values}"
        self._write(line)

    def _record(
        self,
        at: Instant,
        event: str,
        sock: socket | None,
        peer: Address | None,
        data: bytes | bytearray | None,
        note: str,
    ) -> None:
        protocol = local = ""
        if sock is not None:
            protocol = "udp" if sock.type == SOCK_DGRAM else "tcp"
            with suppress(OSError):  # macOS knows no address of a socket that was reset
                local = name(sock.getsockname())
        if self.as_json:
            record = self._head(at, event)
            if protocol:
                record["protocol"] = protocol
            if local:
                record["local"] = local
            if peer is not None:
                record["peer"] = name(peer)
            if data is not None:
                record["bytes"] = len(data)
                if protocol == "udp" and (number := number_of(data)) is not None:
                    record["seq"] = number
            if note:
                record["note"] = note
            line = json.dumps(record, allow_nan=False)
        else:
            arrow = "<-" if event in {"recv", "recvfrom", "accept"} else "->"
            addresses = f"{local or '?'} {arrow} {name(peer)}" if peer is not None else local
            words = [f"{clock(at[1])} {protocol.upper():3} {event:<8}", addresses]
            if event == "recv" and not data:
                words.append("(the other side has closed)")  # what 0 bytes mean on TCP
            elif data is not None:
                words.append(f" {len(data)} {'byte' if len(data) == 1 else 'bytes'} {preview(data)}")
            words.append(note and f" {note}")
            line = " ".join(word for word in words if word).rstrip()
        self._write(line)

    def _head(self, at: Instant, event: str) -> dict[str, object]:
        """Return what every line in JSON begins with."""
        time_ns, unix_ns = at
        head: dict[str, object] = {"time_ns": time_ns, "program": self.program, "event": event}
        if time_ns >= self._both_clocks_at_ns:
            head["unix_ns"] = unix_ns
            self._both_clocks_at_ns = time_ns + BOTH_CLOCKS_NS
        return head

    def _write(self, line: str) -> None:
        if self.left_out:
            if self.as_json:
                count = json.dumps(
                    {
                        "time_ns": time.monotonic_ns(),
                        "program": self.program,
                        "event": "left_out",
                        "lines": self.left_out,
                    },
                    allow_nan=False,
                )
            else:
                count = f"(the log was not read: {self.left_out} lines left out here)"
            line = f"{count}\n{line}"
        try:
            # A line is shorter than PIPE_BUF, so a pipe that takes anything takes all of it.
            if not self._writable.poll(0):
                raise BlockingIOError
            os.write(self._fd, f"{line}\n".encode("utf-8", "backslashreplace"))
        except OSError:
            self.left_out += 1
        else:
            self.left_out = 0
