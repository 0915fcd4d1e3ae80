"""The experiments on real hosts, with a seed: the user-space engine does the same everywhere, exactly."""

import re

from tests.integration.command import Command, numbers, share


def test_seed_loses_the_numbers_that_the_kernels_netem_loses(experiments: Command) -> None:
    [result], text = experiments(
        "lossy-udp", "--netem", "loss 10% seed 42424242", "--direction", "ingress", "--count", "25"
    )
    assert numbers(result, "lost going") == [5, 12, 24]
    assert len(numbers(result, "answered")) == 22
    assert result["network"]["specs"] == {"ingress": "loss 10% seed 42424242"}
    assert re.search(r"^lost going +3  #5 #12 #24$", text, re.MULTILINE)
    # In the timeline, too; in a row that many share, as where the machine was busy, there is no room for all.
    marked = re.findall(r"×(\d+)", text)
    assert marked
    assert set(marked) <= {"5", "12", "24"}


def test_two_runs_with_a_seed_lose_the_same_numbers_and_another_seed_others(experiments: Command) -> None:
    spec = ("lossy-udp", "--netem", "loss 20%", "--count", "200", "--rate", "500", "--timeline", "none")
    runs = [experiments(*spec, "--seed", seed)[0][0] for seed in ("7", "7", "8")]
    fates = [[message["fate"] for message in run["story"]["messages"]] for run in runs]
    assert fates[0] == fates[1]
    assert fates[0] != fates[2]
    assert "lost coming back" in fates[0]


def test_network_that_nothing_is_done_to_loses_nothing(experiments: Command) -> None:
    [result], text = experiments("lossy-udp", "--loss", "0", "--delay", "0", "--rate", "1000")
    assert len(numbers(result, "answered")) == 100
    assert all(
        not message["late_going"] and not message["late_back"] for message in result["story"]["messages"]
    )
    assert "through: a network that nothing is done to" in text
    assert [each["dropped"] for each in result["balances"]] == [0, 0]


def test_network_that_loses_all_is_located_and_tcp_gives_up_in_one_line(experiments: Command) -> None:
    [udp, tcp], text = experiments("compare", "--loss", "100", "--count", "20")
    assert len(numbers(udp, "lost going")) == 20
    assert udp["delays"] == []
    assert tcp["connection"]["gave_up"] == "cannot connect to server, port 12001: timed out"
    assert {line["fate"] for line in tcp["connection"]["lines"]} == {"unanswered"}
    assert "Traceback" not in text


def test_everything_doubled_is_seen_twice_at_each_end(experiments: Command) -> None:
    [result], _text = experiments("lossy-udp", "--netem", "duplicate 100%", "--count", "20")
    messages = result["story"]["messages"]
    assert [(len(m["arrivals"]), len(m["replies"]), len(m["answers"])) for m in messages] == [(2, 2, 4)] * 20
    assert [each["copies"] for each in result["balances"]] == [20, 40]


def test_reordered_ones_are_those_overtaken(experiments: Command) -> None:
    # Each fourth goes ahead: 10 ms between two, so it overtakes the three before it, also where a program has
    # no processor for three quarters of a second.
    [result], _text = experiments(
        "lossy-udp", "--netem", "delay 800ms reorder 100% gap 4", "--direction", "ingress", "--count", "40"
    )
    messages = result["story"]["messages"]
    assert share(result, "sent ahead", "going")["happened"] == 10
    ahead = [m["number"] for m in messages if m["arrivals"][0] - m["sent"] < 700_000_000]
    assert ahead == list(range(4, 41, 4))
    assert [m["number"] for m in messages if m["late_going"]] == [n for n in range(1, 40) if n % 4]
