"""The two services of the transport layer, side by side."""

from netem_impairment import Impairment, parse

from socketlab.analyse import figures
from socketlab.analyse.fates import Fate
from socketlab.analyse.result import TcpResult, UdpResult
from socketlab.claims.notebook import Notebook
from socketlab.claims.registry import shows
from socketlab.describe.scenario import Experiment, Protocol, Stream
from socketlab.errors import TraceError
from socketlab.hosts.lab import Lab
from socketlab.run import experiments

COUNT, SIZE, RATE = 200, 100, 400


@shows("S2")
def two_services(lab: Lab, note: Notebook) -> None:
    """UDP loses and reorders, TCP does neither: the same messages, through the same bad network.

    Of 200 datagrams 10 % are lost each way: that none is, happens once in 10^18 runs.
    """
    spec = parse(f"delay 10ms loss 10% reorder 25% limit 10000 seed {lab.network_seed}")
    impairment = Impairment(spec)
    note.do(
        f"{COUNT} numbered messages of {SIZE} bytes, {RATE} a second, to the server and back, through a "
        f"network that does this to packets both ways: {spec}; first over UDP, then over TCP"
    )
    udp = experiments.measured(lab, Experiment(Stream(Protocol.UDP, COUNT, SIZE, RATE), impairment))
    tcp = experiments.measured(lab, Experiment(Stream(Protocol.TCP, COUNT, SIZE, RATE), impairment))
    if not isinstance(udp, UdpResult) or not isinstance(tcp, TcpResult):
        raise TypeError("expected a result of each protocol")
    note.figure("udp", udp)
    note.figure("tcp", tcp)
    of_datagrams(note, udp)
    of_the_stream(note, tcp)


def of_datagrams(note: Notebook, udp: UdpResult) -> None:
    """Check that UDP is an unreliable service.

    Raises:
        TraceError: a measurement broke, which is no loss.
    """
    story = udp.story
    if udp.exit_code:
        raise TraceError(f"UDP was not measured: {'; '.join(story.faults)}")
    late, extent = figures.out_of_order([message.late_going for message in story.messages])
    lost = figures.lost(udp.story)
    note.check(
        "UDP: some messages got no answer, and nobody told the program",
        sum(lost.values()) > 0,
        {
            "sent": story.sent,
            "answered": story.count(Fate.ANSWERED),
            **{str(fate): count for fate, count in lost.items()},
        },
    )
    note.check(
        "UDP: some came to the server in another order than they were sent in",
        late > 0,
        {"out of order": late, "by up to": f"{extent} places"},
    )


def of_the_stream(note: Notebook, tcp: TcpResult) -> None:
    """Check that TCP is a reliable one, and what that took.

    Raises:
        TraceError: the client did not compare the bytes.
    """
    connection = tcp.connection
    if connection.bytes is None:
        raise TraceError(f"TCP was not measured: {'; '.join(connection.faults)}")
    note.check(
        "TCP: every message was answered, and every byte is in its place",
        connection.bytes.equal and connection.count(Fate.ANSWERED) == COUNT,
        {
            "answered": f"{connection.count(Fate.ANSWERED)} of {COUNT}",
            "bytes": f"{connection.bytes.came:,} of {connection.bytes.expected:,}",
            "SHA-256 expected": connection.bytes.sha256_expected,
            "SHA-256 of what came": connection.bytes.sha256_came,
        },
    )
    again = (connection.retransmitted_by_client or 0) + (connection.retransmitted_by_server or 0)
    trips = tcp.round_trips
    note.check(
        "TCP: the operating systems sent again what was lost, and the program has only waited",
        again > 0,
        {
            "segments sent again by the client's system": connection.retransmitted_by_client,
            "segments sent again by the server's system": connection.retransmitted_by_server,
            "an answer took": trips
            and f"{trips.median / 1e6:.0f} ms (median), {trips.most / 1e6:.0f} ms (most)",
        },
    )
