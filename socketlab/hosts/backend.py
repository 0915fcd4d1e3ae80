"""The seam: what a backend does for a lab. A command may use only what this protocol defines.

A backend carries the hosts of one lab: it starts them, and operates each. What happens on a host is the same
everywhere, and is in `socketlab.hosts.lab` and `socketlab.hosts.operated`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from socketlab.describe.scenario import Engine, Servers
from socketlab.describe.scenario import Protocol as TransportProtocol
from socketlab.hosts.operated import Host


@dataclass(frozen=True)
class LogLine:
    """A line that a program on a host has logged.

    Attributes:
        time: of day, UTC, as HH:MM:SS and microseconds.
        host: the host's name, as "server" or "server-1".
        text: printable.
    """

    time: str
    host: str
    text: str


class Backend(Protocol):
    """The hosts of one lab, and what carries them.

    Attributes:
        name: the lab's; labs of different names run side by side.
        servers: what runs on the server host, or will.
        can_capture: packets can be captured here.
    """

    name: str
    servers: Servers
    can_capture: bool

    def start(self) -> None:
        """Start the server host, and wait until its servers answer.

        Raises:
            EngineError: it does not start, or its servers do not answer in time.
        """

    def start_sidecar(self, engine: Engine) -> None:
        """Start the sidecar at the server host's network, and wait until it works. It impairs nothing yet.

        Raises:
            EngineError: the netem engine cannot work here; the sidecar's own words are in the message.
        """

    def operate(self, role: str, *, privilege: str = "") -> Host:
        """Operate a host.

        Args:
            role: "server", "netem" (the sidecar): the one that was started. "client": a new host, which ends
                when it is closed.
            privilege: a capability that this client's programs have, and no other's: with NET_ADMIN they may
                change how its own network behaves, with NET_RAW write packets by themselves.

        Raises:
            EngineError: there is no such host, or it cannot be made.
        """

    def operate_capture(self, at: Host, *, inside: bool) -> Host:
        """Make a capture host that shares the network of another host, and operate it.

        Args:
            at: the other host.
            inside: whether it may also look behind an impairment, for which it has to set firewall rules.

        Raises:
            EngineError: it cannot be made.
        """

    def terminal(self, protocol: TransportProtocol, arguments: Sequence[str]) -> "Command":
        """Return the command that runs one of the lecture's clients at the terminal, on a host of its own."""

    def log(self, *roles: str) -> list[LogLine]:
        """Return what lasting hosts of these roles have logged, in order of time."""

    def machine(self) -> Mapping[str, str | int]:
        """Return what the hosts run on: system, kernel, what carries the hosts, and the number of CPUs."""

    def stop(self) -> None:
        """Remove all hosts of the lab, and their network."""

    def close(self) -> None:
        """Let go of what carries the hosts. The lab goes on, where it can outlive this process."""


@dataclass(frozen=True)
class Command:
    """A command line, and the environment that it needs."""

    words: Sequence[str]
    environment: Mapping[str, str]
