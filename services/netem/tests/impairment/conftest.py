"""Hosts that all tests here share, and an engine for each; without root or a queue they say why they skip."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator

import pytest
from netem_impairment import leases

from tests.engine_process import unusable
from tests.impairment.hosts import EngineProcess, Host
from tests.namespaces import joined


@pytest.fixture(scope="session")
def hosts() -> Iterator[tuple[Host, Host]]:
    if sys.platform != "linux":
        pytest.skip("network namespaces are Linux's alone")
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if shutil.which("ip") is None:
        pytest.skip("network namespaces need the command ip (package iproute2)")
    with joined(leases.take(), Host) as (near, far):
        if reason := unusable(near):
            pytest.skip(f"the engine cannot work here: {reason}")
        yield near, far


@pytest.fixture(scope="session")
def near(hosts: tuple[Host, Host]) -> Host:
    """The host where the engine is."""
    return hosts[0]


@pytest.fixture(scope="session")
def far(hosts: tuple[Host, Host]) -> Host:
    return hosts[1]


@pytest.fixture
def start(near: Host) -> Iterator[Callable[[], EngineProcess]]:
    """Start engines that end with the test; the rules must then be as they were."""
    before = near.firewall()
    engines: list[EngineProcess] = []

    def start_one() -> EngineProcess:
        engines.append(EngineProcess(near))
        return engines[-1]

    yield start_one
    for engine in engines:
        engine.close()
    if near.firewall() != before:  # a test failed, and its engine was killed just now
        assert EngineProcess(near).stop() == (143, "")
    assert near.firewall() == before


@pytest.fixture(scope="module")
def lasting_engine(near: Host) -> Iterator[EngineProcess]:
    one = EngineProcess(near)
    yield one
    assert one.stop() == (143, "")


@pytest.fixture
def engine(lasting_engine: EngineProcess, near: Host) -> Iterator[EngineProcess]:
    """An engine that many tests share; each of them finds it doing nothing."""
    before = near.firewall()
    yield lasting_engine
    lasting_engine.clear()
    assert near.firewall() == before
