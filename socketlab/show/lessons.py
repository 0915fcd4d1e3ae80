"""Show: a line of what is to be learnt from a result, and what to try next."""

from dataclasses import replace

from impairment import Directions

from socketlab.analyse import figures
from socketlab.analyse.fates import Fate
from socketlab.analyse.result import Result, TcpResult, UdpResult, stop_and_wait
from socketlab.describe.scenario import Experiment
from socketlab.describe.wishes import Wishes, netem_words


def of(result: Result) -> tuple[str, str]:
    """Return what to learn from a result and what to try next."""
    if result.exit_code:
        return (
            "a measurement that broke shows nothing, not even a loss",
            "the same again; if it breaks again: make doctor, make logs",
        )
    return _of_udp(result) if isinstance(result, UdpResult) else _of_tcp(result)


def network(experiment: Experiment) -> str:
    """Return the variables of make that impair the network in the same way again."""
    impairment, words = experiment.impairment, []
    spec = impairment.spec if experiment.seed is None else replace(impairment.spec, seed=None)
    if str(spec) != netem_words(Wishes()):
        # To make, a NETEM that is empty is none.
        words.append(f"NETEM='{spec}'" if str(spec) else "LOSS=0 DELAY=0")
    if impairment.directions is not Directions.BOTH:
        words.append(f"DIRECTION={impairment.directions}")
    if experiment.seed is not None:
        words.append(f"SEED={experiment.seed}")
    return " ".join(words)


def _of_udp(result: UdpResult) -> tuple[str, str]:
    story = result.story
    answered, lost = story.count(Fate.ANSWERED), figures.lost(story)
    late = sum(message.late_going is not None or message.late_back is not None for message in story.messages)
    if stop_and_wait(result.experiment):
        return (
            "who waits for each answer sees no disorder, and pays a time-out for each loss",
            f"make lossy-udp {network(result.experiment)}: the same losses, and no waiting",
        )
    if not lost and not late:
        return (
            "an unimpaired network hides what UDP is: nothing promises that this happens again",
            "make lossy-udp LOSS=10",
        )
    if not answered:
        return (
            "UDP's sendto() succeeds though nobody ever gets the datagram: to send is not to deliver",
            "make lossy-tcp LOSS=100: what does TCP say?",
        )
    if lost and late:
        return (
            "UDP loses and reorders, and tells neither end; only numbers in the messages show it",
            f"make lossy-tcp {network(result.experiment)}: the same network, and who repairs it",
        )
    if lost:
        return (
            "a message without an answer was lost going or coming back: the client cannot tell",
            "make lossy-udp DIRECTION=ingress, then egress: the client sees the same",
        )
    return (
        "a datagram that overtakes another is no error to UDP: order is the program's own affair",
        "make lossy-udp REORDER=25 DELAY=5 RATE=100: why does the disorder vanish?",
    )


def _of_tcp(result: TcpResult) -> tuple[str, str]:
    connection = result.connection
    again = (connection.retransmitted_by_client or 0) + (connection.retransmitted_by_server or 0)
    if connection.completion is None:
        return (
            "TCP repairs what a network loses, not a network that loses all: in the end it gives up",
            "make lossy-tcp LOSS=50, and LOSS=30: how much longer does it take?",
        )
    if connection.waiting and again:
        same = network(result.experiment)
        return (
            "the program sees no loss, no disorder, but time: lines wait behind one that is sent again",
            f"make lossy-udp {same}: the same network without repair; then make compare",
        )
    if again:
        return (
            "a segment that is lost is sent again by the operating system: the program never knows",
            "make lossy-tcp LOSS=20: see how the waiting grows",
        )
    return (
        "nothing had to be sent again: the price of TCP was one handshake",
        "make lossy-tcp LOSS=10",
    )


def of_both(udp: UdpResult, tcp: TcpResult) -> str:
    """Return what to learn from the two side by side."""
    if udp.exit_code or tcp.exit_code:
        return "a measurement that broke shows nothing, not even a loss"
    if tcp.connection.completion is None:
        return "UDP gives you what gets through, at once; TCP gives you all in order, or an error in the end"
    if figures.lost(udp.story):
        return "UDP is on time and incomplete; TCP is complete and late: the choice is the program's"
    return "where nothing is lost, both deliver, and TCP only adds its handshake"
