"""Analyse, completed: the result of an experiment, from which tables, pictures and JSON are made."""

from dataclasses import dataclass, field, replace

from netem_impairment import Direction

from socketlab.analyse import bytestream, crosscheck, figures, messages
from socketlab.analyse.bytestream import Connection
from socketlab.analyse.crosscheck import Balance
from socketlab.analyse.delays import Quantiles, quantiles
from socketlab.analyse.fates import Fate
from socketlab.analyse.figures import Delay, Figure
from socketlab.analyse.messages import Story
from socketlab.describe.scenario import Experiment, Program, Protocol
from socketlab.errors import Exit
from socketlab.observe.evidence import Evidence


@dataclass(frozen=True)
class Network:
    """What impaired the packets, in its own words.

    Attributes:
        engine: "kernel" or "userspace".
        reason: why this one.
        specs: what was really applied, by direction.
    """

    engine: str
    reason: str
    specs: dict[Direction, str] = field(default_factory=dict)


@dataclass(frozen=True)
class UdpResult:
    """Of datagrams. See the modules that make each part."""

    experiment: Experiment
    network: Network | None
    story: Story
    shares: tuple[Figure, ...]
    delays: tuple[Delay, ...]
    round_trips: Quantiles | None
    balances: tuple[Balance, ...]

    @property
    def exit_code(self) -> Exit:
        """0: what became of each message is known, whatever it was. 4: of at least one it is not."""
        known = not self.story.faults and not self.story.count(Fate.UNMEASURED)
        return Exit.OK if known else Exit.UNMEASURED


@dataclass(frozen=True)
class TcpResult:
    """Of a byte stream."""

    experiment: Experiment
    network: Network | None
    connection: Connection
    round_trips: Quantiles | None
    shares: tuple[Figure, ...] = ()

    @property
    def goodput(self) -> float | None:
        """Bytes a second that came back, each counted once, until the last; None: not all came."""
        stream, completion = self.experiment.stream, self.connection.completion
        return stream.count * stream.size / (completion / 1e9) if completion else None

    @property
    def exit_code(self) -> Exit:
        """As of UDP. A connection that was given up is a result, too."""
        known = not self.connection.faults and not self.connection.count(Fate.UNMEASURED)
        return Exit.OK if known else Exit.UNMEASURED


Result = UdpResult | TcpResult


def result(experiment: Experiment, evidence: Evidence) -> Result:
    """Return the result of an experiment."""
    sidecar = evidence.after or evidence.before
    network = Network(sidecar.engine, sidecar.reason, dict(sidecar.specs)) if sidecar else None
    stream = experiment.stream
    if stream.protocol is Protocol.TCP:
        connection = bytestream.connection(stream, evidence)
        trips = [line.round_trip for line in connection.lines]
        lost = () if connection.faults else figures.of_packets(experiment.impairment, evidence)
        return TcpResult(experiment, network, connection, quantiles(trips), tuple(lost))
    story = messages.story(stream, evidence)
    balances = crosscheck.balances(stream, story, evidence)
    if not story.faults and (unexplained := crosscheck.unexplained(balances)):
        # Which of the messages these are, nobody can say: so no loss is known to be one.
        story = messages.story(stream, replace(evidence, broken=(*evidence.broken, *unexplained)))
    return UdpResult(
        experiment,
        network,
        story,
        tuple(figures.shares(experiment, story, evidence, balances)),
        tuple(figures.delays(experiment.impairment, story)),
        figures.round_trips(story),
        tuple(balances),
    )


def stop_and_wait(experiment: Experiment) -> bool:
    """Tell whether each message waits for the answer to the one before."""
    return experiment.stream.program is Program.LECTURE
