"""Results of experiments, read back from the JSON that `socketlab.show.experiment_report` writes.

So the page says of them what the terminal says, by the same functions.
"""

from typing import Any

from netem_impairment import Impairment, SpecError, parse, parse_directions, parse_traffic

from socketlab.analyse.bytestream import Connection
from socketlab.analyse.crosscheck import Balance
from socketlab.analyse.delays import Quantiles
from socketlab.analyse.figures import Delay, Figure
from socketlab.analyse.messages import Story
from socketlab.analyse.result import Network, TcpResult, UdpResult
from socketlab.describe.scenario import Engine, Experiment, Protocol, Stream
from socketlab.show.page.document import Record, shaped


class _Impairment(Record):
    spec: str
    directions: str
    traffic: str


class _Experiment(Record):
    stream: Any
    impairment: _Impairment
    engine: str
    seed: int | None = None


class _Result(Record):
    protocol: str
    experiment: _Experiment
    network: Any = None
    story: Any = None
    connection: Any = None
    shares: Any = ()
    delays: Any = ()
    round_trips: Any = None
    balances: Any = ()


def udp(told: Any) -> UdpResult:
    """Return the result of an experiment with datagrams.

    Raises:
        ValueError: it is none; one line says where.
    """
    read = _read(told, Protocol.UDP)
    return UdpResult(
        _experiment(read.experiment),
        shaped(Network, read.network) if read.network is not None else None,
        shaped(Story, read.story),
        shaped(tuple[Figure, ...], read.shares),
        shaped(tuple[Delay, ...], read.delays),
        shaped(Quantiles, read.round_trips) if read.round_trips is not None else None,
        shaped(tuple[Balance, ...], read.balances),
    )


def tcp(told: Any) -> TcpResult:
    """Return the result of an experiment with a byte stream.

    Raises:
        ValueError: it is none; one line says where.
    """
    read = _read(told, Protocol.TCP)
    return TcpResult(
        _experiment(read.experiment),
        shaped(Network, read.network) if read.network is not None else None,
        shaped(Connection, read.connection),
        shaped(Quantiles, read.round_trips) if read.round_trips is not None else None,
        shaped(tuple[Figure, ...], read.shares),
    )


def _read(told: Any, protocol: Protocol) -> _Result:
    read = shaped(_Result, told)
    if read.protocol != protocol:
        raise ValueError(f"protocol: expected {protocol}, got {read.protocol[:20]!r}")
    return read


def _experiment(read: _Experiment) -> Experiment:
    asked = read.impairment
    try:
        impairment = Impairment(
            parse(asked.spec), parse_directions(asked.directions), parse_traffic(asked.traffic)
        )
    except SpecError as error:
        raise ValueError(f"impairment: {error}") from error
    return Experiment(shaped(Stream, read.stream), impairment, shaped(Engine, read.engine), read.seed)
