"""The hosts of a run and the network that joins them, with addresses, programs and ports (A3)."""

from markupsafe import Markup

from socketlab.show.page.document_types import Host, Topology
from socketlab.show.page.svg import Drawing, fitting

NARROW = 500  # below, hosts stand below each other
MARGIN, GAP, LINE = 12.0, 24.0, 20.0
BAR = 40.0  # height of the network
PER_ROW = 3
CABLE = 26.0


def draw(topology: Topology, width: int) -> Markup:
    """Return the picture: hosts above the network that joins them; where there is little room, beside it."""
    label = (
        f"The hosts {', '.join(host.name for host in topology.hosts)} on the network {topology.network.name}"
    )
    drawing = Drawing(width)
    if width < NARROW:
        _below_each_other(drawing, topology)
    else:
        _in_rows(drawing, topology)
    return drawing.svg(label)


def _facts(host: Host) -> list[tuple[str, str]]:
    return [
        ("address", host.address),
        ("MAC", host.mac),
        *(("runs", program) for program in host.programs or ["nothing"]),
        # A connection has its welcoming socket's port: it is drawn once.
        *(("port", port) for port in dict.fromkeys(host.ports) or ["none open"]),
    ]


def _height(host: Host) -> float:
    return 44 + LINE * len(_facts(host)) + 6


def _in_rows(drawing: Drawing, topology: Topology) -> None:
    columns = min(PER_ROW, len(topology.hosts))
    width = (drawing.width - 2 * MARGIN - GAP * (columns - 1)) / columns
    top = 2.0
    rows = [topology.hosts[first : first + columns] for first in range(0, len(topology.hosts), columns)]
    for hosts in rows:
        height = max(_height(host) for host in hosts)
        for column, host in enumerate(hosts):
            left = MARGIN + column * (width + GAP)
            middle = left + width / 2
            _host(drawing, host, left, top, width, height)
            drawing.line(middle, top + height, middle, top + height + CABLE, "s-ink", 2.5)
        top += height + CABLE
        _network(drawing, topology, MARGIN, top, drawing.width - 2 * MARGIN)
        top += BAR + CABLE
    drawing.height = top - CABLE + 2


def _below_each_other(drawing: Drawing, topology: Topology) -> None:
    left, width = MARGIN + 22, drawing.width - MARGIN - 24
    _network(drawing, topology, 2, 2, drawing.width - 4)
    top, last = BAR + 2 + 18, 0.0
    for host in topology.hosts:
        height = _height(host)
        last = top + height / 2
        drawing.line(MARGIN + 2, last, left, last, "s-ink", 2.5)
        _host(drawing, host, left, top, width, height)
        top += height + 14
    drawing.line(MARGIN + 2, BAR + 2, MARGIN + 2, last, "s-ink", 2.5)
    drawing.height = top - 12


def _network(drawing: Drawing, topology: Topology, left: float, top: float, width: float) -> None:
    drawing.box(left, top, width, BAR, "f-panel s-rule", radius=BAR / 2)
    name = fitting(f"network {topology.network.name}", width * 0.5 - 24, 14)
    drawing.text(left + 20, top + 25, name, "f-ink strong", 14)
    subnet = fitting(topology.network.subnet, width * 0.5 - 24, 14, mono=True)
    drawing.text(left + width - 20, top + 25, subnet, "f-ink mono", 14, "end")


def _host(drawing: Drawing, host: Host, left: float, top: float, width: float, height: float) -> None:
    drawing.box(left, top, width, height, "f-paper s-ink", radius=8)
    drawing.text(left + 14, top + 26, fitting(host.name, width - 80, 16), "f-ink strong", 16)
    drawing.text(left + width - 14, top + 26, "host", "f-faint", 12, "end")
    drawing.line(left, top + 38, left + width, top + 38, "s-rule", 1)
    y = top + 44.0
    for name, value in _facts(host):
        drawing.text(left + 14, y + 14, name, "f-faint", 12)
        opened = name == "port" and host.ports
        shown = fitting(value, width - 88, 13, mono=True)
        drawing.text(left + 76, y + 14, shown, "f-ink mono strong" if opened else "f-ink mono", 13)
        y += LINE
