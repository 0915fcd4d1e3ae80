"""Traffic control messages: what is written is what was asked for, and is read back as it was."""

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel import flower, netem_message, qdisc
from netem_impairment import GilbertElliott, RandomLoss, Slot, Spec, StateLoss, parse
from netem_impairment.attributes import attribute, attributes, nested, text
from netem_impairment.options import corrupt, delay, ecn, rate, reorder, slot
from netlink import Message

u32 = st.integers(0, 2**32 - 1)
s32 = st.integers(-(2**31), 2**31 - 1)
positive_s32 = st.integers(0, 2**31 - 1)
s64 = st.integers(0, 2**63 - 1)

losses = st.one_of(
    st.none(),
    st.builds(RandomLoss, st.integers(1, 2**32 - 1), u32),
    st.builds(StateLoss, u32, u32, u32, u32, u32),
    st.builds(GilbertElliott, u32, u32, u32, u32),
)
specs = st.builds(
    Spec,
    limit=u32,
    delay_ns=s64,
    jitter_ns=s64,
    delay_correlation=u32,
    loss=losses,
    ecn=st.booleans(),
    duplicate=u32,
    duplicate_correlation=u32,
    corrupt=u32,
    corrupt_correlation=u32,
    reorder=u32,
    reorder_correlation=u32,
    gap=u32,
    rate=st.integers(0, 2**64 - 1),
    packet_overhead=s32,
    cell_size=u32,
    cell_overhead=s32,
    slot=st.one_of(
        st.none(), st.builds(Slot, s64, s64, st.none(), s64, st.just(0), positive_s32, positive_s32)
    ),
    seed=st.one_of(st.none(), st.integers(0, 2**64 - 1)),
)


def dumped(options: bytes) -> bytes:
    """Return options as a kernel that has taken them dumps them: no slot where it is none, no tables."""
    left = netem_message.STRUCTURE.pack(*netem_message.STRUCTURE.unpack_from(options))
    for kind, value in attributes(options, netem_message.STRUCTURE.size).items():
        if kind in {netem_message.TABLE, netem_message.SLOT_TABLE} or (kind == slot.SLOT and not any(value)):
            continue
        left += attribute(kind, value)
    return left


@given(specs)
def test_netem_is_read_back_as_it_was_written(spec: Spec) -> None:
    if spec.slot == Slot():
        spec = replace(spec, slot=None)
    assert netem_message.read_netem(dumped(netem_message.netem(spec))) == netem_message.as_dumped(spec)


def test_netem_sends_every_option_so_that_none_of_the_last_spec_stays() -> None:
    sent = attributes(netem_message.netem(Spec()), netem_message.STRUCTURE.size)
    assert set(sent) == {
        netem_message.CORRELATION, reorder.REORDER, corrupt.CORRUPT, rate.RATE, ecn.ECN,
        delay.DELAY_NS, delay.JITTER_NS, slot.SLOT,
    }  # fmt: skip
    assert not any(b"".join(sent.values()))


def test_netem_has_the_kernels_layout() -> None:
    spec = parse(
        "delay 1ms 64us 50% loss state 1% 10% 70% 30% 0.1% reorder 25% gap 5 rate 8mbit 1 2 3 seed 7"
    )
    options = netem_message.netem(spec)
    assert struct.unpack_from("=6I", options) == (15_625, 1000, 0, 5, 0, 1000)  # ticks of 64 ns
    sent = attributes(options, 24)
    assert struct.unpack("=3I", sent[1]) == (2**31, 0, 0)
    assert struct.unpack("=IiIi", sent[6]) == (1_000_000, 1, 2, 3)
    assert struct.unpack("=Q", sent[14]) == (7,)
    p13, p31, p32, p14, p23 = struct.unpack("=5I", attributes(sent[5])[1])  # p14 before p23
    assert p31 > p13 > p14
    assert p32 > p23 > p31


def test_netem_sends_tables() -> None:
    sent = attributes(netem_message.netem(Spec(), [-1, 2], [3]), 24)
    assert (sent[netem_message.TABLE], sent[netem_message.SLOT_TABLE]) == (
        struct.pack("=2h", -1, 2),
        struct.pack("=h", 3),
    )


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        pytest.param(2**32 - 1, {rate.RATE}, id="32 bits"),
        pytest.param(2**32, {rate.RATE, rate.RATE64}, id="more"),
    ],
)
def test_netem_sends_a_large_rate_beside_the_small_field(value: int, fields: set[int]) -> None:
    sent = attributes(netem_message.netem(Spec(rate=value)), 24)
    assert {number for number in (rate.RATE, rate.RATE64) if number in sent} == fields
    assert struct.unpack_from("=I", sent[rate.RATE]) == (2**32 - 1,)


def test_a_kernel_without_64_bit_times_is_read_by_its_ticks() -> None:
    found = netem_message.read_netem(struct.pack("=6I", 1000, 5, 0, 0, 0, 10))
    assert (found.delay_ns, found.jitter_ns, found.limit, found.seed) == (64_000, 640, 5, None)


def test_qdisc_is_read_with_its_counters() -> None:
    counts = nested(
        qdisc.STATISTICS,
        attribute(qdisc.BASIC, struct.pack("=QI", 1000, 10)),
        attribute(qdisc.QUEUE, struct.pack("=5I", 3, 300, 7, 2, 0)),
    )
    body = qdisc.qdisc(4, 0x10000, qdisc.ROOT, "netem", b"1234") + counts
    assert qdisc.read_qdisc(Message(qdisc.NEW_QDISC, 0, 1, body)) == qdisc.Qdisc(
        4, 0x10000, qdisc.ROOT, "netem", b"1234", qdisc.Statistics(1000, 10, 3, 300, 7, 2)
    )


def test_filter_names_protocol_and_port_in_network_order() -> None:
    match = flower.Match(flower.IPV4, 17, destination_port=53)
    body = flower.flower(3, 0x10000, 5, match, flower.to_class(0x10002))
    assert flower.read_filter(Message(44, 0, 1, body)) == flower.Filter(5, flower.IPV4, 0, "flower")
    options = attributes(attributes(body, qdisc.HEAD.size)[qdisc.OPTIONS])
    assert options[8] == b"\x08\x00"
    assert (options[9], options[21], options[38]) == (b"\x11", b"\x00\x35", b"\xff\xff")
    assert options[1] == struct.pack("=I", 0x10002)
    assert 20 not in options


def test_filter_of_a_type_of_icmpv6() -> None:
    body = flower.flower(3, 0x10000, 5, flower.Match(flower.IPV6, 58, icmpv6_type=135), b"")
    options = attributes(attributes(body, qdisc.HEAD.size)[qdisc.OPTIONS])
    assert (options[8], options[9], options[55], options[56]) == (b"\x86\xdd", b"\x3a", b"\x87", b"\xff")


def test_handles_are_written_as_tc_writes_them() -> None:
    assert qdisc.handle(0xFFFF) == qdisc.INGRESS_HANDLE
    assert qdisc.handle(1, 2) == 0x10002
    assert text(1, "prio") == b"\x09\x00\x01\x00prio\0\0\0\0"
