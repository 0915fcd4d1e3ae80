"""The books of the network and of the two hosts: what balances, and what is named when it does not."""

from dataclasses import replace

import pytest
from netem_impairment import Counters

from socketlab.analyse import result
from socketlab.analyse.crosscheck import Balance, balances
from socketlab.analyse.fates import Fate
from socketlab.analyse.messages import story
from socketlab.observe.evidence import Sidecar
from tests.unit import runs
from tests.unit.runs import FIVE, HOST, Run, Sent, fact


def books(**changes: object) -> list[Balance]:
    evidence = FIVE.seen(**changes)
    return balances(FIVE.stream, story(FIVE.stream, evidence), evidence)


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
    changed_group = HOST[group] | {name: HOST[group].get(name, 0) + more}
    if group == "Udp" and name != "InErrors":
        changed_group["InErrors"] += more  # it counts all of UDP's, for whatever reason
    host = HOST | {group: changed_group}
    return {"after": replace(sidecar, host=host)}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param(with_host("Udp", "RcvbufErrors", 1), "no_room", id="receive-buffer-full"),
        pytest.param(with_host("Udp", "MemErrors", 1), "no_room", id="no-memory"),
        pytest.param(with_host("Udp", "InCsumErrors", 1), "wrong_checksum", id="udp-checksum"),
        pytest.param(with_host("Udp", "InErrors", 1), "wrong_checksum", id="udp-length-beyond-the-end"),
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


# What the kernel's engine can say.
KERNEL = Counters(over_limit=None, duplicated=None, corrupted=None, reordered=None)


def by_the_kernel(spec: str, missing: int, in_headers: int = 0, sent: int = 1000) -> list[Balance]:
    """Return the books of a run with the kernel's engine, where on both ways so many are missing."""
    run = Run(
        {
            number: Sent(number, (number + 0.5,) if number > missing else (), (number + 0.7,))
            for number in range(1, sent + 1)
        },
        spec,
    )
    back = {number: replace(message, answered=message.answered if number > 2 * missing else ())
            for number, message in run.messages.items()}  # fmt: skip
    run = replace(run, messages=back)
    counted = {
        "ingress": replace(KERNEL, packets=sent),
        "egress": replace(KERNEL, packets=sent - missing),
    }
    sidecars = [replace(runs.sidecar(spec, **counters), engine="kernel") for counters in ({}, counted)]
    host = HOST | {"Ip": {"InHdrErrors": in_headers}}
    client = tuple(
        replace(event, facts={"counters": host}) if event.event == "end" else event for event in run.client()
    )
    evidence = run.seen(before=sidecars[0], after=sidecars[1], client=client)
    return balances(run.stream, story(run.stream, evidence), evidence)


def test_kernel_counts_no_corruption_and_so_chance_says_how_many_can_be_astray() -> None:
    """5 % of 1,000, of which 224 of 848 bits may count nowhere, are 13.2; 36 once in a million runs."""
    going, back = by_the_kernel("corrupt 5%", missing=12)
    assert (back.astray, back.agrees) == (12, True)
    assert 30 < back.astray_at_most < 40
    # On the way there nothing dies where the server's kernel does not count it.
    assert (going.astray_at_most, going.astray, going.after, going.agrees) == (0, 0, 12, False)


def test_more_than_chance_allows_are_not_blamed_on_corruption() -> None:
    _going, back = by_the_kernel("corrupt 5%", missing=60)
    assert (back.astray, back.after, back.agrees) == (back.astray_at_most, 60 - back.astray_at_most, False)


def test_headers_that_the_receiver_has_counted_cannot_be_astray_too() -> None:
    _going, back = by_the_kernel("corrupt 5%", missing=20, in_headers=12)
    assert back.wrong_checksum == 12
    assert back.astray == 8
    assert back.agrees
    assert 18 <= back.astray_at_most < 28


@pytest.mark.parametrize("spec", ["", "loss 10%"])
def test_without_corruption_nothing_can_be_astray(spec: str) -> None:
    for book in by_the_kernel(f"{spec} seed 1", missing=1):
        assert (book.astray_at_most, book.agrees) == (0, False)


def test_losses_by_corruption_have_a_figure_of_their_own() -> None:
    change = with_host("Udp", "InErrors", 1)  # one of five was dropped by the server's kernel
    run = replace(FIVE, spec="corrupt 20%")
    found = result.result(run.experiment, run.seen(**change))
    assert isinstance(found, result.UdpResult)
    [going] = [share for share in found.shares if (share.what, share.way) == ("lost by corruption", "going")]
    assert (going.happened, going.of) == (1, 5)
    assert going.expected == pytest.approx(0.2 * (1 - 48 / 848))


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
