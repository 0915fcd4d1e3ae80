"""A recording is no evidence of a loss where the machine, and not the impairment, has lost packets."""

import json
from dataclasses import asdict
from types import SimpleNamespace
from typing import cast

import pytest
from netem_impairment import Counters

from socketlab.errors import TraceError
from socketlab.run.recording import wait_until_quiet
from socketlab.run.stage import Stage


def quiet_stage(**counters: int) -> Stage:
    """Return a stage on which nothing is open, whose sidecar has counted so."""
    said = {"engine": "userspace", "reason": "", "epoch": 1, "started_ns": 1, "namespace": {}}
    said |= {"directions": {"egress": {"spec": "loss 5%", **asdict(Counters(**counters))}}}
    host = SimpleNamespace(sockets=lambda _protocol: [])
    return cast(
        "Stage",
        SimpleNamespace(
            client=host, server=host, netem=("netem",), in_network=lambda *_command: json.dumps(said)
        ),
    )


def test_network_that_has_lost_packets_to_overload_tells_nothing() -> None:
    wait_until_quiet(quiet_stage(packets=9, dropped=1), impaired=True)
    with pytest.raises(TraceError, match=r"^2 packets were lost to overload \(egress\)"):
        wait_until_quiet(quiet_stage(packets=9, overload=2), impaired=True)
