"""The kernel's engine on a fake kernel: what it asks for, in which order, and what it does when refused.

That the real kernel then does it, `make test-kernel` shows.
"""

import errno
import os
import struct
from collections.abc import Callable
from typing import Any

import kernel
import link
import netlink
import pytest
from kernel import (
    KernelEngine,
    flower,
    impaired_direction,
    inventory,
    kernel_engine,
    kernel_probe,
    netem_message,
    qdisc,
)
from lab.failures import Failure
from netem_impairment import Direction, Directions, Impairment, parse, parse_traffic
from netem_impairment.attributes import attribute, attributes, nested, text
from netem_impairment.options import seed, slot
from netlink import Message

ETH0, ETH1 = 2, 9
LANE, OTHER_LANE = 0x6E10, 0x6E20

Key = tuple[int, int]  # of a qdisc: interface, handle; of a filter: interface, place


class FakeKernel:
    """Interfaces, qdiscs and filters, as far as the engine asks for them.

    Attributes:
        links: indexes by name.
        qdiscs: parent, kind and options.
        filters: how many there are of a place.
        calls: what was changed, in words.
        lacks: kinds of qdiscs, interfaces and actions that it does not have.
        forgets: options of netem that it silently leaves out.
        queued: packets that wait in each netem.
    """

    def __init__(self) -> None:
        self.links = {"lo": 1, "eth0": ETH0}
        self.qdiscs: dict[Key, tuple[int, str, bytes]] = {}
        self.filters: dict[Key, int] = {}
        self.calls: list[str] = []
        self.lacks: set[str] = set()
        self.forgets: set[int] = set()
        self.queued = 0
        self.counted = (0, 0, 0, 0)  # bytes, sent, dropped, requeues
        self.forbids = False

    def request(self, kind: int, body: bytes, flags: int = 0) -> list[Message]:
        """Do what a message asks for."""
        handlers: dict[int, Callable[[bytes, int], list[Message]]] = {
            link.LIST: self._list_links,
            link.NEW: self._new_link,
            link.DELETED: self._delete_link,
            qdisc.GET_QDISC: self._list_qdiscs,
            qdisc.NEW_QDISC: self._new_qdisc,
            qdisc.DELETE_QDISC: self._delete_qdisc,
            flower.GET_FILTER: self._list_filters,
            flower.NEW_FILTER: self._new_filter,
            flower.DELETE_FILTER: self._delete_filters,
        }
        if self.forbids and kind not in {link.LIST, qdisc.GET_QDISC, flower.GET_FILTER}:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        return handlers[kind](body, flags)

    def close(self) -> None:
        """Close the socket."""

    def __enter__(self) -> "FakeKernel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lack(self, kind: str, number: int = errno.ENOENT) -> None:
        if kind in self.lacks:
            raise OSError(number, os.strerror(number))

    def _list_links(self, _body: bytes, _flags: int) -> list[Message]:
        return [
            Message(link.NEW, 0, 1, link.INFO.pack(0, 1, index, 1, 0) + text(link.NAME, name))
            for name, index in self.links.items()
        ]

    def _new_link(self, body: bytes, _flags: int) -> list[Message]:
        values = attributes(body, link.INFO.size)
        kind = attributes(values[inventory.LINK_INFO])[inventory.INFO_KIND].rstrip(b"\0").decode()
        self._lack(kind, errno.EOPNOTSUPP)
        name = values[link.NAME].rstrip(b"\0").decode()
        self.links[name] = max(self.links.values()) + 1
        self.calls.append(f"new {kind} {name}")
        return []

    def _delete_link(self, body: bytes, _flags: int) -> list[Message]:
        index = link.INFO.unpack_from(body)[2]
        name = next(name for name, number in self.links.items() if number == index)
        del self.links[name]
        self.qdiscs = {key: value for key, value in self.qdiscs.items() if key[0] != index}
        self.calls.append(f"delete {name}")
        return []

    def _name(self, index: int) -> str:
        return next(name for name, number in self.links.items() if number == index)

    def _list_qdiscs(self, _body: bytes, _flags: int) -> list[Message]:
        found = []
        size, sent, dropped, requeues = self.counted
        for (interface, own), (parent, kind, options) in self.qdiscs.items():
            counts = nested(
                qdisc.STATISTICS,
                attribute(qdisc.BASIC, struct.pack("=QI", size, sent)),
                attribute(qdisc.QUEUE, struct.pack("=5I", self.queued, 0, dropped, requeues, 0)),
            )
            body = qdisc.qdisc(interface, own, parent, kind, options) + counts
            found.append(Message(qdisc.NEW_QDISC, 0, 1, body))
        return found

    def _new_qdisc(self, body: bytes, flags: int) -> list[Message]:
        _, interface, own, parent, _ = qdisc.HEAD.unpack_from(body)
        values = attributes(body, qdisc.HEAD.size)
        kind = values[qdisc.KIND].rstrip(b"\0").decode()
        self._lack(kind)
        change = (interface, own) in self.qdiscs
        assert change == (not flags & netlink.CREATE), f"{kind}: made or changed, but not as it is there"
        options = values.get(qdisc.OPTIONS, b"")
        if kind == "netem":
            taken = attributes(options, netem_message.STRUCTURE.size)
            left = {number: value for number, value in taken.items() if number not in self.forgets}
            left = {number: value for number, value in left.items() if number != slot.SLOT or any(value)}
            options = options[: netem_message.STRUCTURE.size] + b"".join(
                attribute(*item) for item in left.items()
            )
        self.qdiscs[interface, own] = (parent, kind, options)
        self.calls.append(f"{'change' if change else 'new'} {kind} {own >> 16:x} on {self._name(interface)}")
        return []

    def _delete_qdisc(self, body: bytes, _flags: int) -> list[Message]:
        _, interface, _, parent, _ = qdisc.HEAD.unpack_from(body)
        gone = [key for key, (its, _, _) in self.qdiscs.items() if key[0] == interface and its == parent]
        if not gone:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        for key in gone:
            _, kind, _ = self.qdiscs.pop(key)
            children = [one for one, (its, _, _) in self.qdiscs.items() if one[0] == interface
                        and its >> 16 == key[1] >> 16]  # fmt: skip
            for child in children:
                self._delete_qdisc(qdisc.head(interface, parent=self.qdiscs[child][0]), 0)
            self.filters = {one: count for one, count in self.filters.items() if one[0] != key[1]}
            self.calls.append(f"delete {kind} {key[1] >> 16:x} on {self._name(interface)}")
        return []

    def _list_filters(self, body: bytes, _flags: int) -> list[Message]:
        _, interface, _, parent, _ = qdisc.HEAD.unpack_from(body)
        return [
            Message(44, 0, 1, qdisc.head(interface, number, parent, info) + text(1, "flower"))
            for (at, info), count in self.filters.items()
            if at == parent
            for number in range(count + 1)
        ]

    def _new_filter(self, body: bytes, _flags: int) -> list[Message]:
        _, interface, _, parent, info = qdisc.HEAD.unpack_from(body)
        options = attributes(attributes(body, qdisc.HEAD.size)[qdisc.OPTIONS])
        self._lack("flower")
        if flower.ACTION in options:
            self._lack("mirred")
        self.filters[parent, info] = self.filters.get((parent, info), 0) + 1
        leads = (flower.ACTION in options) or (flower.CLASS in options)
        said = f"{'impair' if leads else 'except'} {info >> 16:x} on {self._name(interface)}"
        if said not in self.calls[-1:]:
            self.calls.append(said)
        return []

    def _delete_filters(self, body: bytes, _flags: int) -> list[Message]:
        _, interface, _, parent, info = qdisc.HEAD.unpack_from(body)
        del self.filters[parent, info]
        self.calls.append(f"delete filters {info >> 16:x} on {self._name(interface)}")
        return []


class FakeLink:
    """An interface that is there."""

    def __init__(self, interface: str) -> None:
        self.index, self.mtu = {"eth0": ETH0, "eth1": ETH1}[interface], 1500

    def close(self) -> None:
        """Stop listening."""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    """Put a fake in the place of the kernel."""
    made = FakeKernel()

    def connect(_protocol: int) -> Any:
        return made

    for module in (kernel_engine, kernel_probe, inventory):
        monkeypatch.setattr(module, "Netlink", connect)
    monkeypatch.setattr(kernel_engine, "Link", FakeLink)
    for module in (kernel_engine, impaired_direction):
        monkeypatch.setattr(module, "DRAIN_S", 0.0)
    return made


def asked(spec: str, directions: str = "egress", traffic: str = "udp:12000") -> Impairment:
    """Return an impairment."""
    return Impairment(parse(spec), Directions(directions), parse_traffic(traffic))


def test_filters_come_when_all_else_is_there(fake: FakeKernel) -> None:
    KernelEngine("eth0").apply(asked("delay 1ms"))
    assert fake.calls == [
        "new prio 4e00 on eth0",
        "new tbf 6e10 on eth0",
        "new netem 6e11 on eth0",
        "except 6e00 on eth0",
        "except 6e01 on eth0",
        "impair 6e02 on eth0",
        "impair 6e03 on eth0",
    ]


def test_a_change_is_one_change_of_netem(fake: FakeKernel) -> None:
    one = KernelEngine("eth0")
    one.apply(asked("delay 1ms"))
    fake.calls.clear()
    one.apply(asked("loss 5%"))
    assert fake.calls == ["change netem 6e11 on eth0"]


def test_other_filters_are_there_before_the_last_ones_go(fake: FakeKernel) -> None:
    one = KernelEngine("eth0")
    one.apply(asked("delay 1ms"))
    fake.calls.clear()
    one.apply(asked("delay 1ms", traffic="tcp"))
    assert fake.calls == [
        "change netem 6e11 on eth0",
        "except 6e10 on eth0",
        "except 6e11 on eth0",
        "except 6e10 on eth0",
        "except 6e11 on eth0",
        "impair 6e12 on eth0",
        "impair 6e13 on eth0",
        "delete filters 6e03 on eth0",
        "delete filters 6e02 on eth0",
        "delete filters 6e01 on eth0",
        "delete filters 6e00 on eth0",
    ]


def test_a_table_is_taken_back_by_the_other_lane(fake: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distributions.load", lambda _name: [1, 2, 3])
    one = KernelEngine("eth0")
    one.apply(asked("delay 1ms 1ms distribution normal"))
    one.apply(asked("delay 1ms"))  # no jitter: the table is not used
    assert (ETH0, qdisc.handle(OTHER_LANE + 1)) not in fake.qdiscs
    fake.queued = 1
    one.apply(asked("delay 1ms 1ms"))
    lanes = {own >> 16 for _, own in fake.qdiscs}
    assert {LANE + 1, OTHER_LANE + 1} <= lanes, "the first waits until it is empty"
    one.apply(asked("delay 1ms 1ms distribution normal"))
    with pytest.raises(Failure, match="still wait"):
        one.apply(asked("delay 1ms 1ms"))
    fake.queued = 0
    one.apply(asked("delay 2ms 1ms"))
    one.verify()


def test_what_arrives_goes_to_an_interface_of_ours(fake: FakeKernel) -> None:
    one = KernelEngine("eth0")
    one.apply(asked("delay 1ms", "ingress"))
    assert fake.calls[:3] == ["new ifb netem2a", "new ifb netem2b", "new ingress ffff on eth0"]
    assert fake.calls[3:5] == ["new tbf 6e10 on netem2a", "new netem 6e11 on netem2a"]
    one.verify()
    one.clear()
    assert (fake.links, fake.qdiscs) == ({"lo": 1, "eth0": ETH0}, {})


def test_seed_that_is_not_taken_is_refused_by_name(fake: FakeKernel) -> None:
    fake.forgets = {seed.SEED}
    one = KernelEngine("eth0")
    with pytest.raises(Failure, match="seed: this kernel's netem has none"):
        one.apply(asked("loss 5% seed 1", "both"))
    assert (fake.links, fake.qdiscs, fake.filters) == ({"lo": 1, "eth0": ETH0}, {}, {})
    one.apply(asked("loss 5%", "both"))


def test_refusal_of_a_change_leaves_the_last(fake: FakeKernel) -> None:
    one = KernelEngine("eth0")
    one.apply(asked("loss 5%"))
    fake.forgets = {seed.SEED}
    with pytest.raises(Failure, match="seed"):
        one.apply(asked("loss 6% seed 1"))
    one.verify()
    fake.lacks = {"ifb"}
    with pytest.raises(Failure, match="cannot impair eth0"):
        one.apply(asked("loss 7%", "both"))
    one.verify()
    assert list(one.counters()) == [Direction.EGRESS]


def test_counters_begin_with_the_impairment(fake: FakeKernel) -> None:
    fake.counted = (1000, 10, 2, 1)
    one = KernelEngine("eth0")
    one.apply(asked("loss 5%"))
    fake.counted, fake.queued = (1500, 15, 5, 4), 3
    counted = one.counters()[Direction.EGRESS]
    assert (counted.packets, counted.bytes, counted.dropped, counted.reordered, counted.queued) == (
        11,
        500,
        3,
        3,
        3,
    )
    assert (counted.over_limit, counted.overload) == (None, None)
    assert (counted.duplicated, counted.corrupted) == (None, None)


def test_what_somebody_else_has_made_is_not_touched(fake: FakeKernel) -> None:
    fake.qdiscs[ETH0, 0x10000] = (qdisc.ROOT, "htb", b"")
    with pytest.raises(Failure, match="a qdisc that is not ours, htb 1:"):
        KernelEngine("eth0")
    assert fake.calls == []


def test_what_a_predecessor_left_is_removed(fake: FakeKernel) -> None:
    KernelEngine("eth0").apply(asked("loss 5%", "both"))
    KernelEngine("eth0")
    assert (fake.links, fake.qdiscs, fake.filters) == ({"lo": 1, "eth0": ETH0}, {}, {})


@pytest.mark.parametrize("remove", [lambda: KernelEngine("eth1"), kernel.sweep], ids=["engine", "sweep"])
def test_what_a_predecessor_left_on_another_interface_is_removed(
    fake: FakeKernel, remove: Callable[[], object]
) -> None:
    fake.links["netem-probe"] = 3  # `netem probe` is at work beside
    KernelEngine("eth0").apply(asked("loss 5%", "both"))
    remove()
    assert (fake.links, fake.qdiscs) == ({"lo": 1, "eth0": ETH0, "netem-probe": 3}, {})


def test_what_a_predecessor_left_of_an_interface_that_is_gone_is_removed(fake: FakeKernel) -> None:
    KernelEngine("eth0").apply(asked("loss 5%", "both"))
    del fake.links["eth0"]
    fake.qdiscs = {key: value for key, value in fake.qdiscs.items() if key[0] != ETH0}
    kernel.sweep()
    assert (fake.links, fake.qdiscs) == ({"lo": 1}, {})


def test_kernel_without_traffic_control_has_nothing_to_remove(
    fake: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(_body: bytes, _flags: int) -> list[Message]:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(fake, "_list_qdiscs", lacking)
    kernel.sweep()


@pytest.mark.parametrize(
    ("lacks", "directions", "reason"),
    [
        pytest.param("netem", "egress", "this kernel has no sch_netem", id="netem"),
        pytest.param("prio", "egress", "this kernel has no sch_prio", id="prio"),
        pytest.param("tbf", "egress", "this kernel has no sch_tbf", id="tbf"),
        pytest.param("flower", "egress", "this kernel has no cls_flower", id="flower"),
        pytest.param("ifb", "both", "this kernel has no ifb, which packets that arrive need", id="ifb"),
        pytest.param("ifb", "egress", None, id="ifb not needed"),
        pytest.param("mirred", "ingress", "this kernel has no act_mirred", id="mirred"),
        pytest.param("mirred", "egress", None, id="mirred not needed"),
        pytest.param("", "both", None, id="all there"),
    ],
)
def test_probe_names_what_is_missing(
    fake: FakeKernel, lacks: str, directions: str, reason: str | None
) -> None:
    fake.lacks = {lacks}
    found = kernel.probe("eth0", Directions(directions))
    assert found == reason or (found and reason and found.startswith(reason))
    assert (fake.links, fake.qdiscs) == ({"lo": 1, "eth0": ETH0}, {})


def test_probe_names_the_capability_and_the_interface(fake: FakeKernel) -> None:
    assert "expected one of eth0, lo" in str(kernel.probe("eth7"))
    fake.forbids = True
    assert "NET_ADMIN" in str(kernel.probe("eth0"))
