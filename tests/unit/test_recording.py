"""A recording is no evidence of a loss where the machine, and not the impairment, has lost packets."""

import json
from dataclasses import asdict
from types import SimpleNamespace
from typing import cast

import pytest
from netem_impairment import Counters

from socketlab.errors import TraceError
from socketlab.observe.sockets import Row
from socketlab.run.recording import still_open, wait_until_quiet
from socketlab.run.stage import Stage


def quiet_stage(**counters: int) -> Stage:
    """Return a stage on which nothing is open, whose sidecar has counted so."""
    said = {"engine": "userspace", "reason": "", "epoch": 1, "started_ns": 1, "namespace": {}}
    said |= {"directions": {"egress": {"spec": "loss 5%", **asdict(Counters(**counters))}}}
    host = SimpleNamespace(sockets=lambda _protocol: [])
    return cast(
        "Stage",
        SimpleNamespace(client=host, server=host, sidecar_now=lambda *, verify: json.dumps(said)),  # noqa: ARG005
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
