"""Welcoming and connection sockets with their four numbers: whose line joins whom (T6).

Left the clients' sockets, right the server's. A connection is one line: the same four numbers seen from both
ends. The welcoming socket has no peer, so nothing is joined to it.
"""

from collections.abc import Sequence

from markupsafe import Markup

from socketlab.show.page.document_types import Socket
from socketlab.show.page.svg import Drawing, fitting

NARROW = 500
BOX, GAP, SIZE = 64.0, 16.0, 14
WELCOMING = "LISTEN"
MOST = 40


def port(address: str) -> str:
    """Return the port of `address:port`."""
    return address.rpartition(":")[2]


def pairs(sockets: Sequence[Socket]) -> list[tuple[Socket | None, Socket]]:
    """Return (client's end, server's end) of each connection, in the order of the server's list.

    The server's end is the one that has a welcoming socket's port; a client's end may be missing.
    """
    welcoming = {port(each.local) for each in sockets if each.state == WELCOMING}
    connected = [each for each in sockets if each.state != WELCOMING]
    servers = [each for each in connected if port(each.local) in welcoming]
    clients = {(each.local, each.peer): each for each in connected if port(each.local) not in welcoming}
    return [(clients.get((server.peer, server.local)), server) for server in servers]


def draw(sockets: Sequence[Socket], width: int) -> Markup:
    """Return the picture."""
    doors = [each for each in sockets if each.state == WELCOMING][:MOST]
    joined = pairs(sockets)[:MOST]
    drawing = Drawing(width)
    if width < NARROW:
        _stacked(drawing, doors, joined)
    else:
        _side_by_side(drawing, doors, joined)
    return drawing.svg(
        f"{len(doors)} welcoming and {len(joined)} connection sockets of the server, and the clients' ends"
    )


def _side_by_side(
    drawing: Drawing, doors: Sequence[Socket], joined: Sequence[tuple[Socket | None, Socket]]
) -> None:
    side = (drawing.width - 150) / 2
    right = drawing.width - side - 2
    drawing.text(side / 2, 18, "sockets of the clients", "f-ink strong", 15, "middle")
    drawing.text(right + side / 2, 18, "sockets of the server", "f-ink strong", 15, "middle")
    y = 32.0
    for door in doors:
        _socket(drawing, door, right, y, side)
        _closed_way(drawing, side + 30, y + BOX / 2, right)
        y += BOX + GAP
    for client, server in joined:
        middle = y + BOX / 2
        if client is not None:
            _socket(drawing, client, 2, y, side)
            drawing.line(side + 10, middle, right - 8, middle, "s-tcp", 2.5)
            drawing.arrow(side + 30, middle, side + 3, middle, "f-tcp", 9)
            drawing.arrow(right - 30, middle, right - 1, middle, "f-tcp", 9)
            drawing.text((side + right) / 2, middle - 8, "connection", "f-tcp", 13, "middle")
        _socket(drawing, server, right, y, side)
        y += BOX + GAP
    drawing.height = y - GAP + 4


def _closed_way(drawing: Drawing, left: float, y: float, right: float) -> None:
    drawing.line(left, y, right - 4, y, "s-faint", 1.5, "3 4")
    drawing.text((left + right) / 2, y - 8, "new clients", "f-faint", 13, "middle")
    drawing.arrow(left, y, right - 2, y, "f-faint")


def _stacked(
    drawing: Drawing, doors: Sequence[Socket], joined: Sequence[tuple[Socket | None, Socket]]
) -> None:
    width, y = drawing.width - 4, 2.0
    for door in doors:
        drawing.text(2, y + 14, "server: welcoming socket", "f-ink strong", 13)
        _socket(drawing, door, 2, y + 22, width)
        y += BOX + 22 + GAP
    for number, (client, server) in enumerate(joined, 1):
        drawing.text(2, y + 14, f"connection {number}: client, then server", "f-ink strong", 13)
        y += 22
        if client is not None:
            _socket(drawing, client, 2, y, width)
            drawing.line(24, y + BOX + 3, 24, y + BOX + 19, "s-tcp", 2.5)
            drawing.arrow(24, y + BOX + 12, 24, y + BOX + 1, "f-tcp", 8)
            drawing.arrow(24, y + BOX + 8, 24, y + BOX + 21, "f-tcp", 8)
            drawing.text(36, y + BOX + 16, "the same four numbers", "f-tcp", 13)
            y += BOX + 22
        _socket(drawing, server, 2, y, width)
        y += BOX + GAP
    drawing.height = y - GAP + 4


def _socket(drawing: Drawing, socket: Socket, left: float, top: float, width: float) -> None:
    welcoming = socket.state == WELCOMING
    drawing.box(
        left,
        top,
        width,
        BOX,
        "f-paper s-ink" if welcoming else "f-paper s-tcp",
        dash="6 4" if welcoming else "",
    )
    descriptor = f", fd {socket.fd}" if socket.fd is not None else ""
    state = fitting(socket.state, width * 0.33, 12)
    drawing.text(left + width - 10, top + 18, state, "f-faint", 12, "end")
    owner = fitting(f"{socket.host}: {socket.program}{descriptor}", width * 0.66 - 14, 12)
    drawing.text(left + 10, top + 18, owner, "f-faint", 12)
    for y, name, address in ((top + 37, "local", socket.local), (top + 55, "peer", socket.peer)):
        drawing.text(left + 10, y, name, "f-faint", 12)
        shown = fitting(
            "none: anybody" if welcoming and name == "peer" else address, width - 62, SIZE, mono=True
        )
        strong = " strong" if name == "local" else ""
        drawing.text(left + 52, y, shown, f"f-ink mono{strong}", SIZE)
