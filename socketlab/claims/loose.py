"""Where the lecture is a little loose: it is right about the idea, and here is when it really happens."""

from socketlab.claims import seen
from socketlab.claims.notebook import Notebook
from socketlab.claims.registry import shows
from socketlab.describe.scenario import PORT
from socketlab.hosts.lab import Lab
from socketlab.hosts.operated import expected, named
from socketlab.observe.packets import Packet

DESTINATION = slice(30, 34)  # of a frame: 14 bytes of Ethernet, and 16 of IPv4's header, come before it


@shows("N1")
def request_leaves_at_connect(lab: Lab, note: Notebook) -> None:
    """Creating a socket sends nothing. It is connect() that asks for a connection."""
    server, client, names = lab.server, lab.client, seen.names_of(lab)
    with server.tcp(PORT), lab.capture(client, few=True) as wire:
        note.do(
            "create a TCP socket, and do nothing with it yet: client_socket = socket(AF_INET, SOCK_STREAM)"
        )
        with client.tcp() as client_socket:
            # Of requests: connections of others that are over may still have last words.
            before = [packet for packet in wire.packets() if packet.flags & {"SYN", "ACK"} == {"SYN"}]
            number = client_socket.fileno()
            what = client.descriptors(client.pid)[number]
            listed = [row.peer for row in client.sockets("tcp") if what == f"socket:[{row.inode}]"]
            note.check(
                "no request has left: the socket is there, and has no peer, for no server was named to it",
                not before and not listed,
                {
                    f"descriptor {number}": what,
                    "its peer in /proc/net/tcp": listed,
                    "requests on the wire (SYN)": seen.all_told(before, names),
                },
            )
            note.do("now call connect()")
            with expected(ConnectionError, TimeoutError):
                client_socket.connect((server.address, PORT))
            own = named((client.address, client_socket.getsockname()[1]))
            packets = [packet for packet in wire.packets() if own in {packet.source, packet.destination}]
    flags = [packet.flags for packet in packets[:3]]
    note.check(
        "now the request leaves: SYN, and with the answer and its acknowledgement the connection is there",
        flags == [{"SYN"}, {"SYN", "ACK"}, {"ACK"}],
        {"on the wire": seen.all_told(packets[:3], names)},
    )


@shows("N2")
def name_is_translated_beforehand(lab: Lab, note: Notebook) -> None:
    """sendto() of the language asks DNS first, by another socket; the system call takes addresses only."""
    server, client, names = lab.server, lab.client, seen.names_of(lab)
    with server.udp(PORT), client.udp() as client_socket:
        note.do(f"sendto(b'by name', ({server.name!r}, {PORT}))")
        with lab.capture(client, few=True) as wire:
            client_socket.sendto(b"by name", (server.name, PORT))
            packets = wire.packets()
        own = client_socket.getsockname()[1]
        queries, answers = seen.lookups(packets, server.name)
        by_name = sent = datagrams(packets, b"by name")
        in_order = [packet.time_ns for packet in (*queries, *answers, *sent)]
        ports = [port_of(query) for query in queries]
        note.check(
            "a query and its answer come before the datagram",
            bool(queries and answers and sent) and in_order == sorted(in_order),
            {"on the wire": seen.all_told([*queries, *answers, *sent], names)},
        )
        note.check(
            "the query has left from another socket than ours",
            bool(ports) and own not in ports and [port_of(packet) for packet in sent] == [own],
            {"port of the query's socket": ", ".join(map(str, ports)), "port of our socket": str(own)},
        )
        note.do(f"sendto(b'by address', ({server.address!r}, {PORT})), the same with the address")
        with lab.capture(client, few=True) as wire:
            client_socket.sendto(b"by address", (server.address, PORT))
            packets = wire.packets()
        sent = datagrams(packets, b"by address")
        asked = [packet for packet in packets if packet.dns]
        note.check(
            "nobody is asked: with an address there is nothing to translate, and the datagram leaves at once",
            len(sent) == 1 and not asked,
            {"DNS on the wire": seen.all_told(asked, names), "then": seen.all_told(sent, names)},
        )
        destinations = [packet.raw[DESTINATION] for packet in by_name + sent]
        note.check(
            "the two datagrams carry the same: no name, but an address, of four bytes",
            [".".join(map(str, address)) for address in destinations] == [server.address] * 2,
            {"bytes 30 to 33 of each (IPv4's destination)": [address.hex(" ") for address in destinations],
             "the server's address": server.address},
        )  # fmt: skip


def datagrams(packets: list[Packet], data: bytes) -> list[Packet]:
    """Return the UDP packets that carry just this."""
    return [packet for packet in packets if packet.protocol == "udp" and packet.payload == data]


def port_of(packet: Packet) -> int:
    """Return the port that a packet came from."""
    return int((packet.source or "").rpartition(":")[2])
