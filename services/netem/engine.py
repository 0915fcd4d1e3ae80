"""What an engine is: it makes the packets of a host pass through an impairment, and counts.

There are two: `kernel` (the qdisc netem) and `userspace` (a queue to this program, and the model of
model.py). Everything happens in one thread and one loop, so a change is made between two packets and needs
no lock.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from netem_impairment import Counters, Direction, Impairment


class Engine(Protocol):
    """Impairs the packets of one interface."""

    name: str

    def apply(self, impairment: Impairment) -> None:
        """Impair the packets from now on; counts and draws begin anew.

        What is applied already is changed in place: packets that wait keep their time, none is lost.

        Raises:
            Failure: this engine cannot do it, or the system refuses; then nothing is changed.
        """

    def clear(self) -> None:
        """Let the packets pass as if we were not here: those that wait are sent, nothing of ours remains."""

    def counters(self) -> dict[Direction, Counters]:
        """Return the counts of each direction that is impaired."""
        ...

    def verify(self) -> None:
        """Check that packets really pass through the impairment.

        Raises:
            Failure: they do not; the message says why.
        """

    def serve(self, watch: Mapping[int, Callable[[], None]]) -> None:
        """Handle packets and timers for ever, and call watch[fd] when that descriptor can be read.

        Raises:
            Failure: the interface is gone, and with it the host whose network this is.
        """

    def close(self) -> None:
        """Give back what the engine holds in this process; `clear` is what restores the network."""
