"""Conversations of the lecture's own clients with the server, and every packet of them."""

import time
from collections.abc import Sequence
from contextlib import ExitStack

from socketlab.describe.scenario import Protocol, ServerProgram
from socketlab.errors import TraceError
from socketlab.hosts.lab import JSON, Lab, run_client
from socketlab.observe import evidence, trace
from socketlab.observe.recording import Recording
from socketlab.observe.socket_table import Row
from socketlab.observe.trace import Event
from socketlab.run.experiments import journal_of

LINES = ("hello, server", "naïve straße")
# Of the lecture's client over UDP: longer than any answer that still comes here.
PATIENCE_S = 1.0
QUIET_WITHIN_S = 30.0
# Linux has sent a FIN six times by then: after 0, 0.2, 0.6, 1.4, 3 and 6.2 s. Each wait is twice the last.
CLOSING_S = 10.0
CLOSING = {"FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "LAST-ACK"}
FIN_ALONE = 1  # of the numbers that wait to be acknowledged, a FIN takes one
POLL_S = 0.05


def record(lab: Lab, protocols: Sequence[Protocol], impairment: str | None) -> Recording:
    """Have the lecture's clients hold a conversation over each protocol, and record it.

    Args:
        lab: the hosts.
        protocols: in this order.
        impairment: of the network between them, in tc-netem(8)'s language: then both ends are recorded.
            None: the network is as it is, and the client's end tells all.

    Raises:
        EngineError: a host, a program or the capture does not do its part.
        TraceError: the capture, or a journal, is not complete.
    """
    with ExitStack() as todo:
        if impairment is not None:
            todo.enter_context(lab.impaired(impairment))
        at_client = todo.enter_context(lab.capture(lab.client))
        at_server = None
        if impairment is not None:
            at_server = todo.enter_context(lab.capture(lab.server, inside=True))
        server = todo.enter_context(lab.serve(ServerProgram.CONCURRENT, environment=JSON))
        said: list[Event] = []
        closing: list[Row] = []
        for protocol in protocols:
            arguments = [protocol] + [f"--timeout={PATIENCE_S:g}"] * (protocol is Protocol.UDP)
            typed = "".join(f"{line}\n" for line in LINES)
            _code, journal = run_client(lab.client, arguments, typed, JSON)
            said += trace.parse(journal)
            closing = wait_until_quiet(lab, impaired=impairment is not None)
        # Before the server ends, and says so to connections that are still closing.
        at_both = at_client.packets(), at_server.packets() if at_server else []
        answered = trace.parse(journal_of(server))
        return Recording(
            client=at_both[0],
            server=at_both[1],
            client_near=at_client.near(at_both[0]),
            server_near=at_server.near(at_both[1]) if at_server else [],
            addresses=(lab.client.address, lab.server.address),
            journals={lab.client.address: said, lab.server.address: answered},
            closing=closing,
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


def only_closing(ends: Sequence[Row]) -> bool:
    """Return whether all that is left to say at these ends is a FIN, or to wait for one."""
    return all(row.state in CLOSING and row.unsent <= FIN_ALONE for row in ends)


def wait_until_quiet(lab: Lab, *, impaired: bool) -> list[Row]:
    """Wait until the systems have ended all connections, and nothing is on its way any more.

    Returns:
        the ends that are still closing, where a FIN or its acknowledgement was lost again and again: the
        next try may come after a minute, and would show nothing new.

    Raises:
        TraceError: that takes too long, or packets were lost that the impairment has let pass.
    """
    begun = time.monotonic()
    while True:
        open_still = still_open(lab.client.sockets("tcp"), lab.server.sockets("tcp"))
        waiting = 0
        if impaired:
            said = evidence.sidecar(lab.sidecar_now(verify=False))
            if overload := evidence.overload(said):
                raise TraceError("; ".join(overload))
            waiting = sum(one.queued for one in said.counters.values())
        waited_s = time.monotonic() - begun
        if not waiting and (not open_still or (waited_s > CLOSING_S and only_closing(open_still))):
            return open_still
        if waited_s > QUIET_WITHIN_S:
            ends = ", ".join(f"{row.local} -> {row.peer} {row.state}" for row in open_still) or "none"
            raise TraceError(
                f"expected the network to be quiet within {QUIET_WITHIN_S:g} s: {waiting} packets are on "
                f"their way; ends of connections still open: {ends}"
            )
        time.sleep(POLL_S)
