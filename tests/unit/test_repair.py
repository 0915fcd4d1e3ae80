"""Who repaired what, from made-up runs."""

from dataclasses import replace

from netem_impairment import Counters

from socketlab.analyse import messages, repair_costs
from socketlab.analyse.repair_costs import Asking, Network, System
from socketlab.observe.evidence import Evidence, Host
from tests.unit.runs import CLIENT, FIVE, HOST, SERVER, Run, Sent, fact, sidecar, udp


def test_network_tells_what_it_did_each_way() -> None:
    seen = Evidence(
        None,
        None,
        sidecar(),
        sidecar(
            ingress=Counters(packets=50, bytes=5000, dropped=4, over_limit=1, duplicated=2, reordered=7),
            egress=Counters(packets=47, bytes=4700, dropped=3, over_limit=None, duplicated=None),
        ),
    )
    going, back = repair_costs.network(seen)
    assert going == Network("going", 50, 5000, dropped=5, doubled=2, reordered=7)
    assert going.passed_on == 47
    # An engine that does not count its copies has them among the packets.
    assert (back.way, back.doubled, back.passed_on) == ("coming back", None, 44)


def test_without_the_sidecar_nothing_is_said_of_the_network() -> None:
    assert repair_costs.network(Evidence(None, None)) == []


def later(received: int, again: int, early: int, twice: int) -> Host:
    return {
        "Tcp": {"InSegs": received, "RetransSegs": HOST["Tcp"]["RetransSegs"] + again},
        "TcpExt": {"TCPOFOQueue": early, "TCPDSACKOldSent": twice},
    }


def test_systems_are_told_apart() -> None:
    client = [fact("start", 0, counters=HOST), fact("end", 9, counters=later(30, 2, 3, 4))]
    before, after = sidecar(), replace(sidecar(), host=later(40, 5, 6, 7))
    assert repair_costs.systems(Evidence(client, None, before, after)) == [
        System("client", 30, 2, 3, 4),
        System("server", 40, 5, 6, 7),
    ]


def test_of_a_host_that_nobody_asked_nothing_is_said() -> None:
    assert repair_costs.systems(Evidence([fact("start", 0), fact("end", 9)], None)) == []


def test_nobody_who_asks_once_asks_again() -> None:
    seen = FIVE.seen()
    asked = repair_costs.asking(messages.story(FIVE.stream, seen), seen.client or ())
    assert asked == Asking(messages=5, answered=3, sent=5, served=4, served_again=0)
    assert asked.sent_again == 0


def test_asking_again_is_counted_and_work_done_twice() -> None:
    # The first came twice, one was answered; the second was lost going, and asked again; of the third the
    # answer was lost, so it is served twice.
    run = Run(
        {1: Sent(0, (5, 6), (10,), replies=(5,)), 2: Sent(1, (205,), (210,)), 3: Sent(2, (7, 207), (212,))},
        more=(
            udp("sendto", 2, 201, local=CLIENT, peer=SERVER),
            udp("sendto", 3, 202, local=CLIENT, peer=SERVER),
        ),
    )
    seen = run.seen()
    asked = repair_costs.asking(messages.story(run.stream, seen), seen.client or ())
    assert asked == Asking(messages=3, answered=3, sent=5, served=4, served_again=1)
    assert asked.sent_again == 2
