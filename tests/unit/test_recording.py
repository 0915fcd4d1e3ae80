"""A recording is no evidence of a loss where the machine, and not the impairment, has lost packets."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any, cast

import pytest
from netem_impairment import Counters

from socketlab.errors import TraceError
from socketlab.hosts.lab import Lab
from socketlab.observe.socket_table import Row
from socketlab.run import conversations as recording
from socketlab.run.conversations import still_open, wait_until_quiet


def quiet_stage(ends: Sequence[Row] = (), **counters: int) -> Lab:
    """Return a lab on which only these ends of the server are open, whose sidecar has counted so."""
    said = {"engine": "userspace", "reason": "", "epoch": 1, "started_ns": 1, "namespace": {}}
    said |= {"directions": {"egress": {"spec": "loss 5%", **asdict(Counters(**counters))}}}
    host = SimpleNamespace(sockets=lambda _protocol: [])
    server = SimpleNamespace(sockets=lambda _protocol: ends)
    return cast(
        "Lab",
        SimpleNamespace(client=host, server=server, sidecar_now=lambda *, verify: json.dumps(said)),  # noqa: ARG005
    )


def test_network_that_has_lost_packets_to_overload_tells_nothing() -> None:
    wait_until_quiet(quiet_stage(packets=9, dropped=1), impaired=True)
    with pytest.raises(TraceError, match=r"^2 packets were lost to overload \(egress\)"):
        wait_until_quiet(quiet_stage(packets=9, overload=2), impaired=True)


CLIENT, SERVER = "172.18.0.3:41273", "172.18.0.2:12000"


@pytest.mark.parametrize(
    ("client", "server", "unsent", "open_"),
    [
        pytest.param(None, "ESTABLISHED", 0, 0, id="the client's reset was lost"),
        pytest.param(None, "ESTABLISHED", 5, 1, id="an answer is on its way to nobody"),
        pytest.param(None, "LAST-ACK", 0, 1, id="a farewell is sent again"),
        pytest.param("ESTABLISHED", "ESTABLISHED", 0, 2, id="nobody has left"),
        pytest.param("TIME-WAIT", None, 0, 0, id="over"),
    ],
)
def test_only_an_end_that_may_send_something_is_waited_for(
    client: str | None, server: str | None, unsent: int, open_: int
) -> None:
    ours = [Row("tcp", CLIENT, SERVER, client, 0, 0, 1)] if client else []
    theirs = [Row("tcp", "0.0.0.0:12000", "0.0.0.0:0", "LISTEN", 0, 0, 2)]
    theirs += [Row("tcp", SERVER, CLIENT, server, unsent, 0, 3)] if server else []
    assert len(still_open(ours, theirs)) == open_


class Clock:
    """A clock that sleeping sets forward."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let it go by."""
        self.now += seconds


@pytest.mark.parametrize(
    ("state", "unsent", "given_up_s"),
    [
        pytest.param("LAST-ACK", 1, 10, id="its FIN is lost again and again"),
        pytest.param("FIN-WAIT-2", 0, 10, id="the other's FIN is"),
        pytest.param("LAST-ACK", 15, 30, id="data are on their way, too"),
        pytest.param("CLOSE-WAIT", 0, 30, id="its program has not closed it"),
        pytest.param("ESTABLISHED", 15, 30, id="an answer is on its way"),
    ],
)
def test_an_end_that_only_closes_is_left_at_it(
    monkeypatch: pytest.MonkeyPatch, state: str, unsent: int, given_up_s: float
) -> None:
    clock = Clock()
    monkeypatch.setattr(recording, "time", cast("Any", clock))
    end = Row("tcp", SERVER, CLIENT, state, unsent, 0, 0)
    if given_up_s == recording.CLOSING_S:
        assert wait_until_quiet(quiet_stage([end], packets=9, dropped=5), impaired=True) == [end]
    else:
        with pytest.raises(TraceError, match=f"{SERVER} -> {CLIENT} {state}"):
            wait_until_quiet(quiet_stage([end], packets=9, dropped=5), impaired=True)
    assert clock.now == pytest.approx(given_up_s, abs=2 * recording.POLL_S)


def test_a_packet_that_is_on_its_way_is_waited_for_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "time", cast("Any", Clock()))
    end = Row("tcp", SERVER, CLIENT, "LAST-ACK", 1, 0, 0)
    with pytest.raises(TraceError, match="1 packets are on their way"):
        wait_until_quiet(quiet_stage([end], packets=9, queued=1), impaired=True)
