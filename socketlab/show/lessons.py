"""Show: a line of what is to be learnt from a result, and what to try next."""

from dataclasses import replace

from netem_impairment import Directions

from socketlab import hints
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
            f"the same again; if it breaks again: {hints.doctor()}, {hints.command('logs')}",
        )
    return _of_udp(result) if isinstance(result, UdpResult) else _of_tcp(result)


def network(experiment: Experiment) -> dict[str, object]:
    """Return the options of a command that impair the network in the same way again."""
    impairment, options = experiment.impairment, dict[str, object]()
    spec = impairment.spec if experiment.seed is None else replace(impairment.spec, seed=None)
    if str(spec) != netem_words(Wishes()):
        # To make, a NETEM that is empty is none.
        options = {"netem": spec} if str(spec) else {"loss": 0, "delay": 0}
    if impairment.directions is not Directions.BOTH:
        options["direction"] = impairment.directions
    if experiment.seed is not None:
        options["seed"] = experiment.seed
    return options


def _of_udp(result: UdpResult) -> tuple[str, str]:
    story = result.story
    answered, lost = story.count(Fate.ANSWERED), figures.lost(story)
    late = sum(message.late_going is not None or message.late_back is not None for message in story.messages)
    if stop_and_wait(result.experiment):
        return (
            "who waits for each answer sees no disorder, and pays a time-out for each loss",
            f"{hints.command('lossy-udp', **network(result.experiment))}: the same losses, and no waiting",
        )
    if not lost and not late:
        return _of_udp_in_order(result)
    if not answered:
        return (
            "UDP's sendto() succeeds though nobody ever gets the datagram: to send is not to deliver",
            f"{hints.command('lossy-tcp', loss=100)}: what does TCP say?",
        )
    if lost and late:
        over_tcp = hints.command("lossy-tcp", **network(result.experiment))
        return (
            "UDP loses and reorders, and tells neither end; only numbers in the messages show it",
            f"{over_tcp}: the same network, and who repairs it",
        )
    if lost:
        return (
            "a message without an answer was lost going or coming back: the client cannot tell",
            f"{hints.command('lossy-udp', direction='ingress')}, then egress: the client sees the same",
        )
    return (
        "a datagram that overtakes another is no error to UDP: order is the program's own affair",
        f"{hints.command('lossy-udp', loss=0, reorder=50, delay=5, rate=20)}: why does the disorder vanish?",
    )


def _of_udp_in_order(result: UdpResult) -> tuple[str, str]:
    if result.experiment.impairment.spec.reorder:
        gap_ms = 1000 / result.experiment.stream.rate
        return (
            f"only what waits for longer than the {gap_ms:.3g} ms until the next one leaves is overtaken",
            f"{hints.command('lossy-udp', loss=0, reorder=50, delay=5)}: why at the client alone?",
        )
    return (
        "a network that loses nothing hides what UDP is: nothing promises that this happens again",
        hints.command("lossy-udp", loss=10),
    )


def _of_tcp(result: TcpResult) -> tuple[str, str]:
    connection = result.connection
    again = (connection.retransmitted_by_client or 0) + (connection.retransmitted_by_server or 0)
    if connection.completion is None:
        return (
            "TCP repairs what a network loses, but each try waits longer: no program waits for ever",
            f"{hints.command('lossy-tcp', loss=50)}, then {hints.option('loss', 30)}: how much longer is it?",
        )
    if connection.waiting and again:
        return (
            "the program sees no loss, no disorder, but time: lines wait behind one that is sent again",
            f"{hints.command('lossy-udp', **network(result.experiment))}: the same network without repair",
        )
    if again:
        return (
            "a segment that is lost is sent again by the operating system: the program never knows",
            f"{hints.command('lossy-tcp', loss=20)}: see how the waiting grows",
        )
    return (
        "nothing had to be sent again: the price of TCP was one handshake",
        hints.command("lossy-tcp", loss=10),
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
