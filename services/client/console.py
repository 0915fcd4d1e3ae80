"""The client's command line, keyboard and screen: lines in, answers out, as bytes that nobody has changed.

At a terminal there is a prompt; from a pipe each line is a message. Answers go to standard output, and
nothing else does, unless LOG_FORMAT=json: then standard output is JSON, answers and all.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Self

from lab.failures import Exit, Failure, complain, explain, visible
from lab.journal import Address, Journal, name
from lab.journaled import JournaledSocket
from lab.options import parse_client

PROMPT = b"Sentence: "
COMPLAINT = b"error: "  # how a server's complaint begins; an answer would be in upper case

MAX_DATAGRAM = 65_507  # bytes: 65,535 of an IPv4 packet, less its header (20) and that of UDP (8)
# With a longer line both could wait for ever: we until the server reads on, the server until we read.
LONGEST_LINE = 65_535  # bytes
LONGEST_ANSWER = 3 * LONGEST_LINE + 1  # upper case is at most three times as long; and the newline

MORE_THAN_A_LINE = "the server sent more than one line for a line: is it a server of the lecture?"


def no_reply(server_address: Address, timeout: float) -> str:
    """Return the words for a datagram whose reply did not come within `timeout` seconds."""
    return f"no reply from {name(server_address)} within {timeout:g} s: request or reply is lost, or late"


def is_end(early: bytes) -> bool:
    """Tell whether what is to be read on a connection before anything was asked is its end.

    Raises:
        Failure: it would be taken for the answer to the next line. Only a complaint may come unasked.
    """
    if not COMPLAINT.startswith(early[: len(COMPLAINT)]):
        raise Failure(MORE_THAN_A_LINE)
    return early == b""


def is_complete(answer: bytes) -> bool:
    """Tell whether no more of an answer is to be read: its newline has come, or too much without one."""
    return b"\n" in answer or len(answer) > LONGEST_ANSWER


def only_line(answer: bytes) -> bytes:
    """Return the line that an answer is, without the newline, which is missing where the server closed.

    Raises:
        Failure: it is more than a line, or longer than any answer to a line.
    """
    line, newline, more = answer.partition(b"\n")
    if more or (not newline and len(answer) > LONGEST_ANSWER):
        raise Failure(MORE_THAN_A_LINE)
    return line


class Console:
    """Reads lines and shows answers; counts the lines that got none.

    Args:
        program: the name that complaints begin with.
        options: of `lab.options.parse_client`.
        longest: bytes of the longest line that can be sent.

    Attributes:
        server_name, server_port, timeout: what the command line says; the timeout is in seconds.
        is_done: all lines have been read, and none is to be sent again.
    """

    def __init__(self, program: str, options: argparse.Namespace, *, longest: int) -> None:
        self.server_name: str = options.host
        self.server_port: int = options.port
        self.timeout: float = options.timeout
        self.is_done = False
        self._program = program
        self._once: bool = options.once
        self._longest = longest
        self._as_json = options.log_format == "json"
        self._terminal = sys.stdin is not None and sys.stdin.isatty() and not self._as_json
        self._line = 0
        self._lines_unanswered = 0
        self._sent = b""  # the line that was yielded last
        self._again = False
        self._may_ask_again = False

    @classmethod
    def open(cls, program: str, description: str, timeout: float, *, longest: int) -> Self:
        """Read the command line, and have the sockets write their journal where it says.

        Args:
            program: the name that complaints begin with.
            description: for --help.
            timeout: seconds to wait for an answer, unless the command line says otherwise.
            longest: bytes of the longest line that can be sent.
        """
        options = parse_client(description, timeout)
        as_json = options.log_format == "json"
        JournaledSocket.journal = Journal(as_json=as_json, quiet=options.quiet, fd=1 if as_json else 2)
        return cls(program, options, longest=longest)

    def lines(self) -> Iterator[bytes]:
        """Yield the lines to send, without their newlines; one that is too long is refused here."""
        if self._again:
            self._again = False
            yield self._sent
        while not self._once or not self._line:
            if self._terminal:
                self._write(PROMPT)
            self._line += 1
            line, length = self._read_line()
            if not length:
                if self._terminal:
                    self._write(b"\n")
                break
            if len(line) > self._longest:
                self.unanswered(
                    f"at most {self._longest:,} bytes can be sent at once, this line is longer: not sent"
                )
            else:
                self._sent = line
                yield line
        self.is_done = True

    def ask_again(self) -> None:
        """Have `lines` begin with the last line once more.

        Raises:
            Failure: it was asked again already, or no line before it was answered.
        """
        if not self._may_ask_again:
            raise Failure("the server closed the connection without an answer: look at its log")
        self._may_ask_again = False
        self._again = True

    def _read_line(self) -> tuple[bytes, int]:
        """Return a line without its newline (of a too long one, more than fits), and what was read of it."""
        if sys.stdin is None:  # started with standard input closed
            return b"", 0
        try:
            line = piece = sys.stdin.buffer.readline(self._longest + 2)
            while len(line) > self._longest + 1 and piece and not piece.endswith(b"\n"):
                # The line is too long: its rest must not be taken for the next one.
                piece = sys.stdin.buffer.readline(self._longest)
        except OSError as error:
            raise Failure(explain(error, "read a line from standard input")) from error
        return line.removesuffix(b"\n"), len(line)

    def answer(self, answer: bytes) -> None:
        """Show the answer to the line that was read last; a complaint of the server counts as none."""
        self._may_ask_again = True
        if answer.startswith(COMPLAINT):
            self.unanswered(f"the server says: {visible(answer)}")
        elif self._as_json:
            self._report("answer", {"bytes": len(answer), "text": answer.decode("utf-8", "backslashreplace")})
        else:
            # To a pipe as it came. A terminal would do what is in it, and a server may be anybody's.
            self._write((visible(answer).encode() if os.isatty(1) else answer) + b"\n")

    def unanswered(self, why: str) -> None:
        """Say that the line that was read last got no answer."""
        self._lines_unanswered += 1
        if self._as_json:
            self._report("unanswered", {"reason": why})
        complain(f"{self._program}: line {self._line}: {why}")

    def _report(self, event: str, fields: dict[str, str | int]) -> None:
        record = {
            "time_ns": time.monotonic_ns(),
            "program": self._program,
            "event": event,
            "line": self._line,
        }
        self._write(json.dumps(record | fields, allow_nan=False).encode() + b"\n")

    def _write(self, data: bytes) -> None:
        # An answer is what the user came for: unlike the journal's lines it waits until it can be written.
        try:
            while data:
                data = data[os.write(1, data) :]
        except OSError as error:
            raise Failure(explain(error, "write to standard output")) from error

    @property
    def exit_code(self) -> int:
        """What the program ends with: whether each line was answered."""
        return Exit.UNANSWERED if self._lines_unanswered else Exit.OK
