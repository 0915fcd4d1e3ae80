"""Programs whose monotonic clocks are not one: the server's is in a time namespace of the kernel."""

import signal
import subprocess

import pytest
from netem_impairment import Impairment, Spec

from socketlab.analyse import result
from socketlab.describe.scenario import Experiment, Protocol, Stream
from socketlab.observe import trace
from socketlab.observe.evidence import Evidence
from tests.socket.conftest import Run, StartServer
from tests.socket.programs import LOCALHOST

COUNT = 5
# Ahead, delays look long and answers early; behind, messages arrive before they are sent.
OFFSETS_S = [0, 5, -5]


def elsewhere(offset_s: int) -> list[str]:
    """Return a prefix of commands: what it starts has a monotonic clock that is ahead by so much."""
    return ["unshare", "--time", f"--monotonic={offset_s}", "--fork", "--kill-child"]


def reason() -> str:
    """Return why there are no time namespaces here; nothing where there are."""
    try:
        done = subprocess.run([*elsewhere(1), "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "time namespaces are made by unshare (Linux, package util-linux)"
    return f"no time namespace can be made here: {done.stderr.strip()}" if done.returncode else ""


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize("offset_s", OFFSETS_S)
def test_a_clock_that_is_not_shared_is_noticed_of_real_programs(
    run: Run, start_server: StartServer, protocol: Protocol, offset_s: int
) -> None:
    if why := reason():
        pytest.skip(why)
    server = start_server("server", wrap=elsewhere(offset_s) if offset_s else ())
    ended = run("stream", protocol, LOCALHOST, server.port, "--count", COUNT, LOG_FORMAT="json")
    assert ended.code == 0, ended.stderr
    if protocol is Protocol.UDP:
        server.wait_for_number("sendto", COUNT)
    else:
        server.wait_for_event("close")
    said = server.said()
    server.send_signal(signal.SIGKILL)  # `unshare` ends with nothing less, and takes the server with it
    client, server_side = (trace.parse(text.decode().splitlines()) for text in (ended.stdout, said))
    evidence = Evidence(client, server_side)
    found = result.result(Experiment(Stream(protocol, COUNT), Impairment(Spec())), evidence)
    assert found.exit_code == 0
    clocks = found.story.clocks if isinstance(found, result.UdpResult) else found.connection.clocks
    if not offset_s:
        assert clocks == ""
        return
    assert "expected that both count from the same instant, to within 0.1 s, found 5.0" in clocks
    if isinstance(found, result.UdpResult):
        assert found.delays == ()
        assert found.round_trips is not None
        assert found.round_trips.count == COUNT
