"""The application: a line goes in, its upper case comes out, between two programs on two hosts."""

from collections.abc import Iterable
from contextlib import ExitStack
from ipaddress import IPv4Interface
from itertools import pairwise
from typing import Any

from socketlab.claims import seen
from socketlab.claims.notebook import Notebook
from socketlab.claims.registry import shows
from socketlab.describe.scenario import PORT, ServerProgram
from socketlab.hosts.lab import Lab
from socketlab.hosts.operated import Host, Program, named
from socketlab.observe.packets import Header, Packet

SERVERS = {"udp": ServerProgram.LECTURE_UDP, "tcp": ServerProgram.LECTURE_TCP}
PROMPT = "Sentence: "
# Its upper case is longer than itself, and most of its characters are several bytes in UTF-8.
LINE, UPPER = "Grüße, 世界!", "GRÜSSE, 世界!"
SOON_S = 3.0  # by then an answer is shown that is shown at all
NAMESPACES = {"net": "network", "pid": "processes", "mnt": "files"}


@shows("A1")
def line_in_upper_case_out(lab: Lab, note: Notebook) -> None:
    """What is typed at the client's keyboard comes back in upper case, by way of the server."""
    server, client, names = lab.server, lab.client, seen.names_of(lab)
    at_server = named((server.address, PORT))
    for protocol, program in SERVERS.items():
        note.do(f"type a line at a terminal on the client's host, at which {protocol}_client.py runs: {LINE}")
        with (
            lab.serve(program),
            lab.capture(client, few=True) as wire,
            lab.start(client, f"{protocol}_client.py", server.name, "--quiet", terminal=True) as running,
        ):
            running.written(PROMPT)
            keyboard = running.descriptors().get(0, "closed")
            running.type(f"{LINE}\n")
            screen, _ = running.written(UPPER, SOON_S)
            packets = wire.packets()
        lines = screen.replace("\r", "").split("\n")
        note.check(
            f"{protocol}_client.py shows it in upper case",
            keyboard.startswith("/dev/pts/") and lines[:2] == [PROMPT + LINE, UPPER],
            {"its standard input": keyboard, "on its screen": "\n".join(lines).strip()},
        )
        loaded = [one for one in packets if one.payload and one.protocol == protocol]
        asked = [packet for packet in loaded if packet.destination == at_server]
        answers = [packet for packet in loaded if packet.source == at_server]
        note.check(
            f"over {protocol.upper()} it went to the host named {server.name!r}, and came back in upper case",
            LINE in text(asked) and UPPER in text(answers),
            {
                "on the wire": seen.all_told([*asked, *answers], names),
                "in the packets to the server": text(asked),
                "in the packets from the server": text(answers),
            },
        )
        note.answer(
            f"{protocol.upper()}: on the server's: {text(asked)} left the client, {text(answers)} came back"
        )


def text(packets: Iterable[Packet]) -> str:
    """Return what packets carry, without the newline at its end."""
    return b"".join(packet.payload for packet in packets).decode(errors="replace").removesuffix("\n")


@shows("A2")
def header_and_payload(lab: Lab, note: Notebook) -> None:
    """A packet is headers, one in the other, and in the innermost the payload."""
    server, client = lab.server, lab.client
    for protocol, program in SERVERS.items():
        note.do(f"type a line to {protocol}_client.py, and take the packet apart that carries it")
        with (
            lab.serve(program),
            lab.capture(client, few=True) as wire,
            lab.start(client, f"{protocol}_client.py", server.name) as running,
        ):
            running.type("hello\n")
            running.written("HELLO")
            packets = [packet for packet in wire.packets() if packet.protocol == protocol and packet.payload
                       and packet.destination == named((server.address, PORT))]  # fmt: skip
        headers = packets[0].headers() if packets else []
        layers = {header.name: header for header in headers}
        note.check(
            f"the packet is headers, Ethernet's, IPv4's, {protocol.upper()}'s, and behind them the payload",
            [header.name for header in headers] == ["Ethernet", "IPv4", protocol.upper(), "payload"]
            and all(one.offset + one.length == other.offset for one, other in pairwise(headers)),
            {header.name: part_told(header) for header in headers} or {"packets to the server": "none"},
        )
        payload = layers["payload"].fields["bytes"] if "payload" in layers else b""
        note.check(
            f"{protocol.upper()}'s payload is what was typed, and nothing else",
            payload.removesuffix(b"\n") == b"hello",
            {"payload": repr(payload)},
        )
        transport, network = (
            layers[name].fields if name in layers else {} for name in (protocol.upper(), "IPv4")
        )
        note.check(
            f"IPv4's header says from which host to which, {protocol.upper()}'s from which port to which",
            (network.get("source"), network.get("destination")) == (client.address, server.address)
            and transport.get("destination port") == PORT,
            {
                "IPv4": f"from {network.get('source')} to {network.get('destination')}",
                protocol.upper(): (
                    f"from port {transport.get('source port')} to port {transport.get('destination port')}"
                ),
            },
        )


def part_told(header: Header) -> str:
    """Return where a header is in its packet, and what is in it."""
    place = f"bytes {header.offset} to {header.offset + header.length - 1}"
    return f"{place}: " + ", ".join(f"{name} {value}" for name, value in header.fields.items())


@shows("A3")
def separate_processes_on_separate_hosts(lab: Lab, note: Notebook) -> None:
    """Client and server are processes on hosts of their own, with addresses of their own."""
    server, client = lab.server, lab.client
    note.do("start the lecture's servers on one host, and each of its clients on a host of its own")
    with ExitStack() as running:
        udp_server, tcp_server = (running.enter_context(lab.serve(program)) for program in SERVERS.values())
        udp_client = running.enter_context(lab.start(lab.other, "udp_client.py", server.name))
        tcp_client = running.enter_context(lab.start(client, "tcp_client.py", server.name))
        udp_client.type("hello\n")
        udp_client.written("HELLO")
        tcp_client.written("connect")
        note.check(
            "the two hosts have addresses of their own, Ethernet's too",
            server.address != client.address and mac(server) != mac(client),
            {host.name: f"{host.address}, {mac(host)}" for host in (server, client)},
        )
        for name, what in NAMESPACES.items():
            of_client, of_server = (
                program.host.function("os", "readlink", f"/proc/{program.pid}/ns/{name}")
                for program in (tcp_client, tcp_server)
            )
            note.check(
                f"the two programs share no {what}",
                of_client != of_server,
                {"client": f"process {tcp_client.pid}, {of_client}",
                 "server": f"process {tcp_server.pid}, {of_server}"},
            )  # fmt: skip
        ends = [(row.local, row.peer) for row in tcp_client.sockets("tcp").values()]
        arrived = [(row.peer, row.local) for row in server.sockets("tcp") if row.state == "ESTABLISHED"]
        note.check(
            "each of the two hosts has one end of their connection",
            len(ends) == 1 and ends[0] in arrived and ends[0][1] == named((server.address, PORT)),
            {"/proc/net/tcp at the client: local, peer": ends, "and at the server: peer, local": arrived},
        )
        programs = {
            server: [udp_server, tcp_server],
            client: [tcp_client],
            lab.other: [udp_client],
        }
        subnet = IPv4Interface(f"{server.address}/{prefix(server)}").network
        note.figure(
            "topology",
            {
                "network": {"name": "lab", "subnet": str(subnet)},
                "hosts": [of_topology(host, on_it) for host, on_it in programs.items()],
            },
        )


def mac(host: Host) -> str:
    """Return a host's Ethernet address."""
    return host.read(f"/sys/class/net/{host.interface}/address").strip()


def prefix(host: Host) -> int:
    """Return how many bits of a host's address are its network's: by the route to its neighbours."""
    for line in host.read("/proc/net/route").splitlines()[1:]:
        interface, destination, gateway, *_, mask = line.split()[:8]
        if interface == host.interface and int(gateway, 16) == 0 and int(destination, 16):
            return int(mask, 16).bit_count()
    return 32


def of_topology(host: Host, programs: list[Program]) -> dict[str, Any]:
    """Return a host for the picture: address, what runs there, and the ports that its programs have."""
    rows = [row for program in programs for row in program.sockets().values()]
    return {
        "name": host.name,
        "address": host.address,
        "mac": mac(host),
        "programs": [program.name for program in programs],
        "ports": list(dict.fromkeys(f"{row.protocol}/{row.port}" for row in rows)),
    }
