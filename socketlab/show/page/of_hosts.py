"""Figures of hosts and sockets."""

from socketlab.show.page import socket_drawing as socket_picture
from socketlab.show.page import topology as topology_picture
from socketlab.show.page.document import Document
from socketlab.show.page.document_types import Socket, Topology
from socketlab.show.page.figure import DRAWN, Figure, NotMeasured, Plan, drawn, shaped_figure
from socketlab.show.page.tables import table


def topology(plan: Plan, document: Document) -> Figure:
    """Hosts, their addresses and ports."""
    data: Topology = shaped_figure(Topology, document, plan.claims, "topology")
    rows = [
        [host.name, host.address, host.mac, ", ".join(host.programs), ", ".join(host.ports)]
        for host in data.hosts
    ]
    return plan.figure(
        **drawn(plan.name, {size: topology_picture.draw(data, width) for size, width in DRAWN.items()}),
        tables=[
            table(
                f"Hosts on the network {data.network.name}, {data.network.subnet}",
                ["host", "address", "MAC", "programs", "ports"],
                rows,
            )
        ],
    )


def sockets(plan: Plan, document: Document) -> Figure:
    """Welcoming and connection sockets with their four numbers."""
    data: list[Socket] = shaped_figure(list[Socket], document, plan.claims, "sockets")
    if not any(each.state == socket_picture.WELCOMING for each in data):
        raise NotMeasured(f"the socket lists of {plan.claims[0]} have no welcoming socket")
    rows = [
        [each.host, each.protocol, each.state, each.local, each.peer, each.program, each.fd] for each in data
    ]
    return plan.figure(
        **drawn(plan.name, {size: socket_picture.draw(data, width) for size, width in DRAWN.items()}),
        tables=[
            table(
                "The socket lists of the hosts",
                ["host", "protocol", "state", "local", "peer", "program", "descriptor"],
                rows,
            )
        ],
    )
