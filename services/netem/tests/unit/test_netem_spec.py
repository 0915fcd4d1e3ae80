"""The spec: tc-netem(8)'s language, read and printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netem_impairment import (
    Direction,
    Directions,
    GilbertElliott,
    Impairment,
    RandomLoss,
    Slot,
    Spec,
    SpecError,
    StateLoss,
    Traffic,
    parse,
    parse_traffic,
)
from netem_impairment.units import U32_MAX, U64_MAX

HALF = 2**31  # tc's 50%: half of 2**32 - 1, rounded to even


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        pytest.param("", Spec(), id="nothing"),
        pytest.param("limit 50", Spec(limit=50), id="limit"),
        pytest.param("delay 50ms", Spec(delay_ns=50_000_000), id="delay"),
        pytest.param("latency 1.5s", Spec(delay_ns=1_500_000_000), id="latency"),
        pytest.param(
            "delay 50ms 10ms 50%",
            Spec(delay_ns=50_000_000, jitter_ns=10_000_000, delay_correlation=HALF),
            id="jitter-correlated",
        ),
        pytest.param(
            "delay 50ms 10ms distribution normal",
            Spec(delay_ns=50_000_000, jitter_ns=10_000_000, distribution="normal"),
            id="distribution",
        ),
        pytest.param(
            "delay 50ms 10ms distribution uniform",
            Spec(delay_ns=50_000_000, jitter_ns=10_000_000),
            id="uniform-is-the-kernel's-own",
        ),
        pytest.param("loss 100%", Spec(loss=RandomLoss(U32_MAX)), id="loss-all"),
        pytest.param("loss 0%", Spec(), id="loss-none"),
        pytest.param("drop random 50 50", Spec(loss=RandomLoss(HALF, HALF)), id="loss-without-percent-signs"),
        pytest.param("loss state 100%", Spec(loss=StateLoss(U32_MAX, 0, 0, U32_MAX, 0)), id="state-defaults"),
        pytest.param(
            "loss state 50% 50% 0% 100% 50%",
            Spec(loss=StateLoss(HALF, HALF, 0, U32_MAX, HALF)),
            id="state",
        ),
        pytest.param("loss gemodel 50%", Spec(loss=GilbertElliott(HALF, HALF, 0, 0)), id="gemodel-defaults"),
        pytest.param(
            "loss gemodel 0% 100% 100% 50%",
            Spec(loss=GilbertElliott(0, U32_MAX, 0, HALF)),
            id="gemodel-takes-1-h",
        ),
        pytest.param("loss 50% ecn", Spec(loss=RandomLoss(HALF), ecn=True), id="ecn"),
        pytest.param(
            "duplicate 50% 100% corrupt 100% 50%",
            Spec(duplicate=HALF, duplicate_correlation=U32_MAX, corrupt=U32_MAX, corrupt_correlation=HALF),
            id="duplicate-corrupt",
        ),
        pytest.param(
            "delay 1ms reorder 50%", Spec(delay_ns=1_000_000, reorder=HALF, gap=1), id="reorder-sets-gap"
        ),
        pytest.param(
            "reorder 50% 50% gap 5 delay 1ms",
            Spec(delay_ns=1_000_000, reorder=HALF, reorder_correlation=HALF, gap=5),
            id="gap",
        ),
        pytest.param("rate 20mbit", Spec(rate=2_500_000), id="rate"),
        pytest.param("rate 8000", Spec(rate=1_000), id="a-bare-rate-is-bits"),
        pytest.param("rate 1KBps", Spec(rate=1_000), id="rate-in-bytes"),
        pytest.param("rate 1Kibit", Spec(rate=128), id="rate-binary"),
        pytest.param(
            "rate 1mbit -4 53 5",
            Spec(rate=125_000, packet_overhead=-4, cell_size=53, cell_overhead=5),
            id="rate-with-cells",
        ),
        pytest.param("slot 10ms", Spec(slot=Slot(10_000_000, 10_000_000)), id="slot"),
        pytest.param(
            "slot 10ms 20ms packets 5 bytes 1500",
            Spec(slot=Slot(10_000_000, 20_000_000, packets=5, bytes=1500)),
            id="slot-with-limits",
        ),
        pytest.param(
            "slot distribution normal 10ms 2ms",
            Spec(slot=Slot(distribution="normal", dist_delay_ns=10_000_000, dist_jitter_ns=2_000_000)),
            id="slot-distribution",
        ),
        pytest.param("seed 18446744073709551615", Spec(seed=U64_MAX), id="seed"),
        pytest.param("delay 1.001ms", Spec(delay_ns=1_000_999), id="fractions-are-cut-off-as-by-tc"),
    ],
)
def test_spec_is_read(text: str, spec: Spec) -> None:
    assert parse(text) == spec
    assert parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "word"),
    [
        pytest.param("los 10%", "'los'", id="unknown-word"),
        pytest.param("loss 10 percent", "'percent'", id="a-word-too-many"),
        pytest.param("loss 10% 20% 30%", "'30%'", id="a-number-too-many"),
        pytest.param("loss 110%", "'110%'", id="more-than-all"),
        pytest.param("loss -1%", "'-1%'", id="less-than-nothing"),
        pytest.param("loss 10%%", "'10%%'", id="two-percent-signs"),
        pytest.param("loss", "'loss'", id="nothing-follows"),
        pytest.param("loss nan%", "'nan%'", id="not-a-number"),
        pytest.param("loss state", "'loss state'", id="state-alone"),
        pytest.param("loss 1e999%", "'1e999%'", id="infinite"),
        pytest.param("loss \u0661%", "'\u0661%'", id="digit-of-another-script"),
        pytest.param("delay 50", "'50'", id="time-without-unit"),
        pytest.param("delay -5ms", "'-5ms'", id="negative-time"),
        pytest.param("delay 5min", "'5min'", id="unknown-unit"),
        pytest.param("delay 1e30s", "'1e30s'", id="time-too-long-for-the-kernel"),
        pytest.param("delay 1ms 5s", "'5s'", id="jitter-that-the-kernel-would-cut"),
        pytest.param("delay 1ms delay 2ms", "'delay'", id="twice"),
        pytest.param("delay 1ms latency 2ms", "'latency'", id="twice-by-another-name"),
        pytest.param("delay 1ms 1ms distribution gauss", "'gauss'", id="unknown-distribution"),
        pytest.param("delay 1ms distribution normal", "'distribution'", id="distribution-of-nothing"),
        pytest.param("reorder 10%", "'reorder'", id="nothing-to-overtake"),
        pytest.param("delay 1ms gap 5", "'gap'", id="gap-alone"),
        pytest.param("delay 1ms reorder 0% gap 5", "'gap'", id="gap-with-no-probability"),
        pytest.param("delay 1ms reorder 5% gap 0", "'0'", id="gap-of-none"),
        pytest.param("ecn", "'ecn'", id="nothing-to-mark"),
        pytest.param("limit 0", "'0'", id="no-room"),
        pytest.param("limit 1.5", "'1.5'", id="half-a-packet"),
        pytest.param("rate 5%", "'5%'", id="share-of-a-device"),
        pytest.param("rate 1bit", "'1bit'", id="less-than-a-byte-a-second"),
        pytest.param("slot", "'slot'", id="slot-alone"),
        pytest.param("slot 20ms 10ms", "'slot'", id="slot-that-shrinks"),
        pytest.param("slot distribution normal 10ms 0ms", "'slot'", id="slot-without-jitter"),
        pytest.param("seed -1", "'-1'", id="negative-seed"),
        pytest.param("seed 18446744073709551616", "'18446744073709551616'", id="seed-too-large"),
        pytest.param("seed 0x10", "'0x10'", id="seed-in-hex"),
    ],
)
def test_wrong_spec_is_refused_by_the_word(text: str, word: str) -> None:
    with pytest.raises(SpecError, match="expected") as refused:
        parse(text)
    assert str(refused.value).startswith(f"{word}: expected ")
    assert "\n" not in str(refused.value)


shares = st.integers(0, U32_MAX)
some_shares = st.integers(1, U32_MAX)
times_ns = st.integers(1, 10**13)
losses = st.one_of(
    st.none(),
    st.builds(RandomLoss, some_shares, shares),
    st.builds(StateLoss, shares, shares, shares, shares, shares),
    st.builds(GilbertElliott, shares, shares, shares, shares),
)


@given(
    loss=losses,
    limit=st.integers(1, U32_MAX),
    delay_ns=times_ns,
    jitter_ns=st.integers(0, 2**31 - 1),
    delay_correlation=shares,
    duplicate=some_shares,
    duplicate_correlation=shares,
    gap=st.integers(1, U32_MAX),
    reorder=some_shares,
    rate=st.integers(1, 2**40),
    overhead=st.integers(-(2**31), 2**31 - 1),
    seed=st.one_of(st.none(), st.integers(0, U64_MAX)),
)
def test_what_is_printed_reads_back_the_same(
    loss: RandomLoss | StateLoss | GilbertElliott | None,
    limit: int,
    delay_ns: int,
    jitter_ns: int,
    delay_correlation: int,
    duplicate: int,
    duplicate_correlation: int,
    gap: int,
    reorder: int,
    rate: int,
    overhead: int,
    seed: int | None,
) -> None:
    spec = Spec(
        loss=loss,
        limit=limit,
        delay_ns=delay_ns,
        jitter_ns=jitter_ns,
        delay_correlation=delay_correlation if jitter_ns else 0,
        duplicate=duplicate,
        duplicate_correlation=duplicate_correlation,
        reorder=reorder,
        gap=gap,
        rate=rate,
        packet_overhead=overhead,
        seed=seed,
    )
    assert parse(str(spec)) == spec


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        parse(text)
    except SpecError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("text", "traffic"),
    [
        ("all", Traffic()),
        ("udp", Traffic("udp")),
        ("icmp", Traffic("icmp")),
        ("tcp:80", Traffic("tcp", 80)),
        (":12000", Traffic(None, 12000)),
    ],
)
def test_traffic_is_read_and_printed(text: str, traffic: Traffic) -> None:
    assert parse_traffic(text) == traffic
    assert str(traffic) == text


@pytest.mark.parametrize(
    "text", ["sctp", "icmp:1", "udp:", "udp:0", "udp:65536", "udp:x", "12000", ":", "udp:\u0661"]
)
def test_wrong_traffic_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="expected all, udp, tcp, icmp, or a port"):
        parse_traffic(text)


def test_impairment_of_both_directions_has_a_seed_for_each() -> None:
    both = Impairment(parse("loss 10% seed 7"))
    assert both.of(Direction.INGRESS) == parse("loss 10% seed 7")
    assert both.of(Direction.EGRESS) == parse("loss 10% seed 943724581")
    assert Impairment(Spec(seed=U64_MAX)).of(Direction.EGRESS) == Spec(seed=1306631960)


def test_impairment_of_one_direction_leaves_the_other_alone() -> None:
    egress = Impairment(parse("loss 10% seed 7"), Directions.EGRESS)
    assert egress.of(Direction.EGRESS) == parse("loss 10% seed 7")
    assert egress.of(Direction.INGRESS) is None
