"""Run: conversations of the lecture's own clients with the server, and every packet of them."""

import time
from collections.abc import Sequence
from contextlib import ExitStack

from socketlab.describe.scenario import Protocol, ServerProgram
from socketlab.errors import TraceError
from socketlab.observe import evidence, trace
from socketlab.observe.recording import Recording
from socketlab.observe.sockets import Row
from socketlab.observe.trace import Event
from socketlab.run.stage import JSON, Stage

LINES = ("hello, server", "naïve straße")
# Of the lecture's client over UDP: longer than any answer that still comes here.
PATIENCE_S = 1.0
QUIET_WITHIN_S = 30.0  # a farewell that is lost several times is sent again later each time
POLL_S = 0.05


def record(stage: Stage, protocols: Sequence[Protocol], impairment: str | None) -> Recording:
    """Have the lecture's clients hold a conversation over each protocol, and record it.

    Args:
        stage: the hosts.
        protocols: in this order.
        impairment: of the network between them, in tc-netem(8)'s language: then both ends are recorded.
            None: the network is as it is, and the client's end tells all.

    Raises:
        EngineError: a host, a program or the capture does not do its part.
        TraceError: the capture, or a journal, is not complete.
    """
    with ExitStack() as todo:
        if impairment is not None:
            todo.enter_context(stage.impaired(impairment))
        at_client = todo.enter_context(stage.capture(stage.client))
        at_server = None
        if impairment is not None:
            at_server = todo.enter_context(stage.capture(stage.server, inside=True))
        server = todo.enter_context(stage.serve(ServerProgram.CONCURRENT, environment=JSON))
        said: list[Event] = []
        for protocol in protocols:
            arguments = [protocol] + [f"--timeout={PATIENCE_S:g}"] * (protocol is Protocol.UDP)
            typed = "".join(f"{line}\n" for line in LINES)
            said += trace.parse(stage.client_journal(arguments, typed, lambda *_: None))
            wait_until_quiet(stage, impaired=impairment is not None)
        answered = trace.parse(stage.journal(server))
        return Recording(
            client=at_client.packets(),
            server=at_server.packets() if at_server else [],
            client_near=at_client.near_packets(),
            server_near=at_server.near_packets() if at_server else [],
            addresses=(stage.client.address, stage.server.address),
            journals={stage.client.address: said, stage.server.address: answered},
        )


def still_open(client: Sequence[Row], server: Sequence[Row]) -> list[Row]:
    """Return the ends of connections at both hosts from which packets may come yet.

    A reset that is lost is not sent again: then the server's end stays open, and has nothing to say any more.
    """
    ends = {row.local for row in client}
    abandoned = [
        row for row in server if row.state == "ESTABLISHED" and row.peer not in ends and not row.unsent
    ]
    return [
        row for row in [*client, *server] if row.state not in {"LISTEN", "TIME-WAIT"} and row not in abandoned
    ]


def wait_until_quiet(stage: Stage, *, impaired: bool) -> None:
    """Wait until the systems have ended all connections, and nothing is on its way any more.

    Raises:
        TraceError: that takes too long, or packets were lost that the impairment has let pass.
    """
    give_up = time.monotonic() + QUIET_WITHIN_S
    while True:
        open_still = still_open(stage.client.sockets("tcp"), stage.server.sockets("tcp"))
        waiting = 0
        if impaired:
            said = evidence.sidecar(stage.sidecar_now(verify=False))
            if overload := evidence.overload(said):
                raise TraceError("; ".join(overload))
            waiting = sum(one.queued for one in said.counters.values())
        if not open_still and not waiting:
            return
        if time.monotonic() > give_up:
            ends = ", ".join(f"{row.local} -> {row.peer} {row.state}" for row in open_still) or "none"
            raise TraceError(
                f"expected the network to be quiet within {QUIET_WITHIN_S:g} s: {waiting} packets are on "
                f"their way; ends of connections still open: {ends}"
            )
        time.sleep(POLL_S)
