"""The books of the network and of the two hosts: what balances, and what is named when it does not."""

from dataclasses import replace

import pytest
from impairment import Counters

from socketlab.analyse import result
from socketlab.analyse.crosscheck import Balance, balances
from socketlab.analyse.fates import Fate
from socketlab.analyse.messages import story
from socketlab.observe.evidence import Sidecar
from tests.unit import runs
from tests.unit.runs import FIVE, HOST, fact


def books(**changes: object) -> list[Balance]:
    evidence = FIVE.seen(**changes)
    return balances(story(FIVE.stream, evidence), evidence)


def test_books_that_balance_agree() -> None:
    going, back = books()
    assert going == Balance("going", left=5, came=5, dropped=1, over_limit=0, copies=0, no_room=0,
                            wrong_checksum=0, astray=0, arrived=4)  # fmt: skip
    assert going.agrees
    assert back.agrees
    assert result.result(FIVE.experiment, FIVE.seen()).exit_code == 0


def after(**ingress: int) -> dict[str, object]:
    egress = FIVE.counters()["egress"]
    return {"after": runs.sidecar(FIVE.spec, ingress=Counters(packets=5, **ingress), egress=egress)}


def with_host(group: str, name: str, more: int, **ingress: int) -> dict[str, object]:
    changed = after(**ingress)
    sidecar = changed["after"]
    assert isinstance(sidecar, Sidecar)
    host = HOST | {group: HOST[group] | {name: HOST[group][name] + more}}
    return {"after": replace(sidecar, host=host)}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param(with_host("Udp", "RcvbufErrors", 1), "no_room", id="receive-buffer-full"),
        pytest.param(with_host("Udp", "InCsumErrors", 1), "wrong_checksum", id="udp-checksum"),
        pytest.param(with_host("Ip", "InHdrErrors", 1), "wrong_checksum", id="ip-checksum"),
        pytest.param(after(over_limit=1), "over_limit", id="queue-full"),
        pytest.param(after(overload=1), "overload", id="overload"),
        pytest.param(after(corrupted=1), "astray", id="corrupted-header"),
        pytest.param(after(dropped=2, duplicated=1), "copies", id="copies"),
    ],
)
def test_message_that_the_impairment_did_not_lose_is_accounted_for(
    change: dict[str, object], field: str
) -> None:
    going, _back = books(**change)
    assert getattr(going, field) == 1
    assert going.agrees


def test_overload_is_no_loss_of_the_network() -> None:
    broken = result.result(FIVE.experiment, FIVE.seen(**after(overload=1)))
    assert isinstance(broken, result.UdpResult)
    assert broken.exit_code == 4
    assert broken.story.faults == (
        (
            "1 packets were lost to overload (ingress): this machine was too slow to impair them; send "
            "fewer, or leave it less other work"
        ),
    )
    assert [message.fate for message in broken.story.messages if not message.answers] == [Fate.UNMEASURED] * 2
    assert broken.shares == ()


def test_what_was_let_through_and_nobody_has_is_named_and_not_measured() -> None:
    change = after()  # the network says that it dropped nothing; one message did not arrive
    going, back = books(**change)
    assert (going.after, going.agrees, back.agrees) == (1, False, True)
    broken = result.result(FIVE.experiment, FIVE.seen(**change))
    assert isinstance(broken, result.UdpResult)
    assert broken.exit_code == 4
    assert broken.story.faults == ("1 were let through and nobody has them (going)",)
    # Which of the missing messages that is, nobody knows: so none is called lost.
    assert [message.fate for message in broken.story.messages if not message.answers] == [Fate.UNMEASURED] * 2
    assert broken.shares == ()


def test_what_arrived_without_being_let_through_is_named() -> None:
    going, _back = books(**after(dropped=3))
    assert (going.after, going.agrees) == (-2, False)


def test_what_never_came_to_the_impairment_is_named() -> None:
    change = {"after": runs.sidecar(FIVE.spec, ingress=Counters(packets=4), egress=FIVE.counters()["egress"])}
    going, _back = books(**change)
    assert (going.before, going.after, going.agrees) == (1, 0, False)
    assert result.result(FIVE.experiment, FIVE.seen(**change)).exit_code == 4


def test_packets_of_others_make_the_counters_useless_but_not_the_journals() -> None:
    change = {
        "after": runs.sidecar(
            FIVE.spec, ingress=Counters(packets=7, dropped=2), egress=FIVE.counters()["egress"]
        )
    }
    going, _back = books(**change)
    assert going.before == -2
    assert result.result(FIVE.experiment, FIVE.seen(**change)).exit_code == 0


def test_engine_that_does_not_count_its_copies_counts_them_among_the_packets() -> None:
    change = {
        "after": runs.sidecar(
            FIVE.spec,
            ingress=Counters(
                packets=6, dropped=2, over_limit=None, duplicated=None, corrupted=None, reordered=None
            ),
            egress=FIVE.counters()["egress"],
        )
    }
    going, _back = books(**change)
    assert (going.came, going.copies, going.agrees) == (5, 1, True)


def test_way_that_is_not_impaired_has_no_books() -> None:
    [going] = books(after=runs.sidecar(FIVE.spec, ingress=FIVE.counters()["ingress"]))
    assert going.way == "going"


def test_client_that_does_not_read_its_hosts_counters_has_no_books_for_the_way_back() -> None:
    silent = tuple(event for event in FIVE.client() if event.event not in {"start", "end"})
    [going] = books(client=(*silent, fact("end", 10_000)))
    assert going.way == "going"


def test_without_the_sidecar_or_a_journal_there_are_no_books() -> None:
    assert books(after=None) == []
    assert books(server=None) == []
