"""Describe: the same messages over UDP and TCP, through networks that lose more and more."""

from collections.abc import Iterator
from dataclasses import dataclass

from netem_impairment import Directions, Impairment, Traffic, parse, spread

from socketlab.describe.scenario import EXPERIMENT_PORT, Engine, Experiment, Protocol, Stream


@dataclass(frozen=True)
class Sweep:
    """What is to be measured.

    Packets are lost and delayed on the way to the server, where they arrive: a loss at the sender's own queue
    would be seen by its TCP, and be no loss of the network (tc-netem(8), LIMITATIONS).

    Attributes:
        losses_percent: one point each.
        rounds: of each point, each with a seed of its own.
        messages, message_bytes, rate: of each round; more bytes a second than TCP reaches where much is lost.
        delay_ms: of every packet; with the losses it sets TCP's pace.
        seed: from which that of each round follows; no round of another seed has the same.
    """

    losses_percent: tuple[float, ...] = (0, 2, 5, 10, 20)
    rounds: int = 3
    messages: int = 200
    message_bytes: int = 1_000
    rate: int = 1_000
    delay_ms: int = 40
    seed: int = 1

    def experiment(self, protocol: Protocol, loss_percent: float, number: int, engine: Engine) -> Experiment:
        """Return one round of one point.

        Args:
            protocol: what the messages go by.
            loss_percent: of the packets.
            number: of the round, from 1. The same round of UDP and TCP has the same seed.
            engine: what impairs.
        """
        loss = f" loss {loss_percent:g}%" if loss_percent else ""
        seed = spread(self.seed, f"round {number}")
        spec = parse(f"delay {self.delay_ms}ms{loss} limit {4 * self.messages} seed {seed}")
        stream = Stream(protocol, self.messages, self.message_bytes, self.rate)
        return Experiment(
            stream, Impairment(spec, Directions.INGRESS, Traffic(protocol.value, EXPERIMENT_PORT)), engine
        )

    def order(self) -> Iterator[tuple[int, float, Protocol]]:
        """Yield (round, loss, protocol), a whole round after the other.

        So what disturbs the machine for a while disturbs all points alike.
        """
        for number in range(1, self.rounds + 1):
            for loss in self.losses_percent:
                for protocol in (Protocol.UDP, Protocol.TCP):
                    yield number, loss, protocol
