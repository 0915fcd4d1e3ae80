"""Describe: what is to happen, as data."""

from dataclasses import dataclass
from enum import StrEnum

from socketlab.errors import ScenarioError


class Protocol(StrEnum):
    """The two services that the Internet's transport layer offers."""

    UDP = "udp"
    TCP = "tcp"


class ServerProgram(StrEnum):
    """What runs on the server host: the concurrent server, or one of the lecture's own loops."""

    CONCURRENT = "server"
    LECTURE_UDP = "udp_server"
    LECTURE_TCP = "tcp_server"


@dataclass(frozen=True)
class Conversation:
    """One of the lecture's clients sends lines to the server, each when the one before is answered.

    Raises:
        ScenarioError: there is no line, or one contains a newline.
    """

    protocol: Protocol
    lines: tuple[str, ...]
    timeout_s: float = 2.0

    def __post_init__(self) -> None:
        if not self.lines:
            raise ScenarioError("expected at least one line to send, got none")
        for line in self.lines:
            if "\n" in line:
                raise ScenarioError(f"expected lines without a newline, got {line!r}: give it as two lines")
