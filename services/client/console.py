"""The client's keyboard and screen: lines in, answers out, as bytes that nobody has changed.

At a terminal there is a prompt; from a pipe each line is a message. Answers go to standard output, and
nothing else does, unless LOG_FORMAT=json: then standard output is JSON, answers and all.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator

from lab.failures import Exit, Failure, complain, explain, visible
from lab.journal import Journal

PROMPT = b"Sentence: "
COMPLAINT = b"error: "  # how a server's complaint begins; an answer would be in upper case


class Console:
    """Reads lines and shows answers; counts the lines that got none.

    Args:
        program: the name that complaints begin with.
        options: of `lab.options.parse_client`.
        longest: bytes of the longest line that can be sent.
    """

    def __init__(self, program: str, options: argparse.Namespace, *, longest: int) -> None:
        self._program = program
        self._once: bool = options.once
        self._longest = longest
        self._as_json = options.log_format == "json"
        self._terminal = sys.stdin is not None and sys.stdin.isatty() and not self._as_json
        self._line = 0
        self._lines_unanswered = 0
        self.journal = Journal(as_json=self._as_json, quiet=options.quiet, fd=1 if self._as_json else 2)

    def lines(self) -> Iterator[bytes]:
        """Yield the lines to send, without their newlines; one that is too long is refused here."""
        while True:
            if self._terminal:
                self._write(PROMPT)
            self._line += 1
            line, length = self._read_line()
            if not length:
                if self._terminal:
                    self._write(b"\n")
                return
            if len(line) > self._longest:
                self.unanswered(
                    f"at most {self._longest:,} bytes can be sent at once, this line is longer: not sent"
                )
            else:
                yield line
            if self._once:
                return

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
