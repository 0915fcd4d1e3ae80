"""UDP: datagrams, each by itself."""

from collections.abc import Iterable, Sequence

from netem_impairment import Impairment, Traffic, parse

from socketlab.analyse import figures
from socketlab.analyse.fates import Fate
from socketlab.analyse.messages import Message
from socketlab.analyse.result import UdpResult
from socketlab.claims import seen
from socketlab.claims.notebook import Notebook
from socketlab.claims.registry import shows
from socketlab.describe.scenario import EXPERIMENT_PORT, PORT, Experiment, Protocol, ServerProgram, Stream
from socketlab.errors import TraceError
from socketlab.hosts.lab import Lab
from socketlab.hosts.operated import Address, RemoteSocket, expected, named
from socketlab.run import experiments

SOON_S = 3.0  # by then a datagram has come that comes at all: the hosts are a fraction of a millisecond apart
EPHEMERAL = "/proc/sys/net/ipv4/ip_local_port_range"
MSG_TRUNC = 0x20  # Linux, <bits/socket.h>: the datagram was longer than the buffer

# What is sent through a bad network. At 250 a second 100 datagrams take less than half a second.
STREAM = Stream(Protocol.UDP, count=100, size=64, rate=250)
# By chance none is lost, or sent ahead, on one of the ways: in fewer than 1 of 10 million runs (0.8 ** 79).
LOSS = "loss 20%"
# A datagram that is sent ahead overtakes those that wait: 10 ms are two of them.
REORDERING = "delay 10ms reorder 20%"


def received(receiver: RemoteSocket, size: int = 2048) -> tuple[bytes, Address]:
    """Return the next datagram and who sent it; nothing and nobody: none came."""
    receiver.settimeout(SOON_S)
    data, sender = b"", ("0.0.0.0", 0)  # noqa: S104 - nobody's address
    with expected(TimeoutError, ConnectionRefusedError):
        data, sender = receiver.recvfrom(size)
    return data, sender


@shows("U1")
def no_handshake(lab: Lab, note: Notebook) -> None:
    """Of all packets that the two hosts send each other, the first is the message."""
    server, client, names = lab.server, lab.client, seen.names_of(lab)
    note.do("type a line to the lecture's UDP client, and end it; all packets of its host are captured")
    with (
        lab.serve(ServerProgram.LECTURE_UDP),
        lab.capture(client, few=True) as wire,
        lab.start(client, "udp_client.py", server.name) as program,
    ):
        program.type("hello\n")
        program.end_input()
        program.wait()
        packets = seen.between(wire.packets(), client.address, server.address)
    note.check(
        "the first packet between the two hosts carries the data (ARP, of the Ethernet below, not counted)",
        bool(packets)
        and (packets[0].protocol, packets[0].payload) == ("udp", b"hello")
        and seen.host_of(packets[0].source) == client.address,
        {
            "first packet": seen.all_told(packets[:1], names),
            "its data": repr(packets[0].payload) if packets else "none",
        },
    )
    note.check(
        "with the answer they are two packets in all: nothing is set up, and nothing is taken down",
        [packet.payload for packet in packets] == [b"hello", b"HELLO"],
        {"all packets": seen.all_told(packets, names)},
    )


@shows("U2")
def address_with_every_message(lab: Lab, note: Notebook) -> None:
    """One socket sends wherever each message says."""
    servers = {
        "the server's port 12000": (lab.server, PORT),
        "the server's port 12001": (lab.server, PORT + 1),
        "the third host's port 12000": (lab.other, PORT),
    }
    note.do("one socket of the client sends to two ports of the server, and to a third host, in turn")
    with lab.client.udp() as client_socket:
        with expected(OSError) as nobody:
            client_socket.getpeername()
        note.check(
            "the socket itself knows no peer",
            bool(nobody),
            {"getpeername()": nobody[0].strerror if nobody else "an address"},
        )
        receivers = {name: host.udp(port) for name, (host, port) in servers.items()}
        for name, (host, port) in servers.items():
            client_socket.sendto(f"to {name}".encode(), (host.address, port))
        own = client_socket.getsockname()[1]
        for name, receiver in receivers.items():
            data, sender = received(receiver)
            note.check(
                f"{name} has received its message, and that alone",
                data == f"to {name}".encode() and sender[1] == own and not unread(receiver),
                {
                    "received": data.decode() or "nothing",
                    "from": named(sender),
                    "the client's port": str(own),
                },
            )


def unread(receiver: RemoteSocket) -> list[int]:
    """Return how many bytes wait to be read from a socket, in its host's list; nothing: none."""
    port = receiver.getsockname()[1]
    return [row.unread for row in receiver.host.sockets("udp") if row.port == port and row.unread]


@shows("U3")
def receiver_learns_who_sent(lab: Lab, note: Notebook) -> None:
    """The receiver learns the sender's address and port from each datagram, and answers there."""
    note.do(
        "a socket on each host; the client sends a datagram, and the server sends one to where it came from"
    )
    with lab.server.udp(PORT) as server_socket, lab.client.udp() as client_socket:
        client_socket.sendto(b"hello", (lab.server.name, PORT))
        data, sender = server_socket.recvfrom(2048)
        own = (lab.client.address, client_socket.getsockname()[1])
        note.check(
            "the address that recvfrom() gives is the client's own",
            sender == own,
            {"recvfrom() at the server": named(sender), "the client's address and getsockname()": named(own)},
        )
        server_socket.sendto(data.upper(), sender)
        answer, _server = client_socket.recvfrom(2048)
        note.check("what is sent there reaches the client", answer == b"HELLO", {"received": answer.decode()})


@shows("U4")
def system_picks_the_port(lab: Lab, note: Notebook) -> None:
    """A client that asks for no port gets one with its first datagram."""
    low, high = map(int, lab.client.read(EPHEMERAL).split())
    note.do("make a socket, and send its first datagram")
    with lab.client.udp() as client_socket:
        before = client_socket.getsockname()[1]
        client_socket.sendto(b"hello", (lab.server.address, PORT))
        after = client_socket.getsockname()[1]
    note.check(
        "the socket has no port before, and one of the system's range afterwards",
        before == 0 and low <= after <= high,
        {
            "getsockname() before and after": f"port {before}, port {after}",
            "ip_local_port_range (sysctl)": f"{low} to {high}",
        },
    )
    note.answer(
        f"to {after} here: the client's system has chosen it, when the first datagram was sent; before, the "
        f"socket had port {before}"
    )
    note.do("type a line to the lecture's UDP client, twice on one host at the same time")
    with (
        lab.serve(ServerProgram.LECTURE_UDP),
        lab.start(lab.client, "udp_client.py", lab.server.name) as one,
        lab.start(lab.client, "udp_client.py", lab.server.name) as other,
    ):
        ports = []
        for program in (one, other):
            program.type("hello\n")
            program.written("HELLO")
            ports.append([row.port for row in program.sockets("udp").values()])
    note.check(
        "each of the two has a port of that range, and not the same one",
        [len(found) for found in ports] == [1, 1]
        and all(low <= port <= high for [port] in ports)
        and ports[0] != ports[1],
        {"one client's, by the kernel's list": [str(port) for port in ports[0]],
         "the other client's": [str(port) for port in ports[1]]},
    )  # fmt: skip


@shows("U5")
def client_asks_for_a_port(lab: Lab, note: Notebook) -> None:
    """bind() gives a client the port that it asks for, and the server sees it."""
    with lab.client.udp(0) as another:
        # A new one each time, outside of the system's range: a firewall remembers for half a minute who has
        # spoken to whom from which port, and looks at its rules again only for others.
        wanted = 10_000 + another.getsockname()[1] % 10_000
    note.do(f"the client binds its socket to port {wanted}, and sends a datagram to the server")
    with lab.server.udp(PORT) as server_socket, lab.client.udp(wanted) as client_socket:
        client_socket.sendto(b"hello", (lab.server.address, PORT))
        _data, sender = received(server_socket)
        note.check(
            "the server sees exactly that port",
            sender == (lab.client.address, wanted),
            {"recvfrom() at the server": named(sender)},
        )
        server_socket.sendto(b"HELLO", (lab.client.address, wanted))
        answer, _server = received(client_socket)
        note.check(
            "and reaches the client there",
            answer == b"HELLO",
            {f"received at port {wanted}": answer.decode() or "nothing"},
        )


@shows("U6")
def one_socket_for_all_clients(lab: Lab, note: Notebook) -> None:
    """The server has one socket, before it has served anybody and afterwards."""
    note.do("four clients, on two hosts, each ask the lecture's UDP server twice, in turn")
    with lab.serve(ServerProgram.LECTURE_UDP) as server:
        before = server.sockets("udp")
        clients = [host.udp() for host in (lab.client, lab.other) for _ in range(2)]
        answers = []
        for turn in (b"once", b"again"):
            for client_socket in clients:
                client_socket.sendto(turn, (lab.server.address, PORT))
                answers.append(received(client_socket))
        after = server.sockets("udp")
        on_port = [row for row in lab.server.sockets("udp") if row.port == PORT]
    note.check(
        "the server's only socket is the one that it has had from the beginning",
        len(before) == len(on_port) == 1 and before == after and list(after.values()) == on_port,
        {
            "before": [f"descriptor {fd}, inode {row.inode}" for fd, row in before.items()],
            "afterwards": [f"descriptor {fd}, inode {row.inode}" for fd, row in after.items()],
            f"port {PORT} in /proc/net/udp": [f"{row.local}, inode {row.inode}" for row in on_port],
        },
    )
    from_there = (lab.server.address, PORT)
    note.check(
        "all answers have come from it",
        answers == [(b"ONCE", from_there)] * 4 + [(b"AGAIN", from_there)] * 4,
        {"from": sorted({named(sender) for _data, sender in answers}), "answers": len(answers)},
    )


@shows("U7")
def datagrams_are_lost(lab: Lab, note: Notebook) -> None:
    """What the network loses is lost; for each it is known on which way."""
    story = (result := through(lab, note, LOSS)).story
    lost = figures.lost(story)
    going, back = (numbers(story.messages, fate) for fate in (Fate.LOST_GOING, Fate.LOST_COMING_BACK))
    note.check(
        "fewer are answered than were sent",
        story.count(Fate.ANSWERED) < story.sent == STREAM.count,
        {"sent": story.sent, "answered": story.count(Fate.ANSWERED), "lost": sum(lost.values())},
    )
    note.check(
        "each loss is located: the server has it, or not",
        bool(going and back) and len(going) + len(back) + story.count(Fate.ANSWERED) == STREAM.count,
        {"lost on the way to the server": marked(going), "its answer lost on the way back": marked(back)},
    )
    check_counters(result, note)


@shows("U8")
def datagrams_are_reordered(lab: Lab, note: Notebook) -> None:
    """Nobody puts datagrams back into their order."""
    story = (result := through(lab, note, REORDERING)).story
    going, back = (
        [(message.number, extent) for message, extent in zip(story.messages, extents, strict=True) if extent]
        for extents in (
            [message.late_going for message in story.messages],
            [message.late_back for message in story.messages],
        )
    )
    note.check(
        "some come after datagrams that were sent later, on either way; these are they",
        bool(going and back),
        {
            "out of order at the server": marked(number for number, _extent in going),
            "their answers out of order at the client": marked(number for number, _extent in back),
            "the latest": f"{max((extent for _number, extent in going + back), default=0)} places behind",
        },
    )
    note.check(
        "none is lost: it is the order alone that is not kept",
        story.count(Fate.ANSWERED) == STREAM.count,
        {"sent": story.sent, "answered": story.count(Fate.ANSWERED)},
    )
    check_counters(result, note)


def through(lab: Lab, note: Notebook, spec: str) -> UdpResult:
    """Send the stream through an impairment and return the result, which is kept as a figure.

    Raises:
        TraceError: of some datagrams it is not known what became of them.
    """
    impairment = Impairment(parse(f"{spec} seed {lab.network_seed}"), traffic=Traffic("udp", EXPERIMENT_PORT))
    note.do(
        f"send {STREAM.count} numbered datagrams, {STREAM.rate} a second, through a network that does this, "
        f"both ways: {spec}"
    )
    result = experiments.measured(lab, Experiment(STREAM, impairment, seed=lab.seed))
    assert isinstance(result, UdpResult)  # noqa: S101 - for the type checker: the stream is of UDP
    if result.exit_code:
        raise TraceError("; ".join(result.story.faults))
    note.figure("udp", result)
    return result


def numbers(messages: Sequence[Message], fate: Fate) -> list[int]:
    """Return the numbers of the messages with a fate."""
    return [message.number for message in messages if message.fate is fate]


def marked(found: Iterable[int]) -> str:
    """Return numbers of messages for people."""
    return " ".join(f"#{number}" for number in found) or "none"


def check_counters(result: UdpResult, note: Notebook) -> None:
    """Check that the network's own counters tell what the two hosts do."""
    note.check(
        "the network's own counters tell the same, on each way",
        len(result.balances) == 2 and all(balance.agrees for balance in result.balances),
        {
            balance.way: f"{balance.came} came, {balance.dropped} dropped, {balance.arrived} arrived"
            for balance in result.balances
        },
    )


@shows("U9")
def boundaries_are_kept(lab: Lab, note: Notebook) -> None:
    """A datagram is received whole or cut, but never together with another, nor in two."""
    sent = [b"one", b"and another one", b""]
    address = (lab.server.address, PORT)
    note.do("send three datagrams at once to the lecture's UDP server, the last of no bytes at all")
    with lab.serve(ServerProgram.LECTURE_UDP), lab.client.udp() as client_socket:
        for data in sent:
            client_socket.sendto(data, address)
        answers = [received(client_socket)]
        while len(answers) < len(sent) and answers[-1][1] == address:  # else nothing more comes
            answers.append(received(client_socket))
        more = unread(client_socket)
    note.check(
        "three come back, each as long as the one that was sent",
        not more and answers == [(data.upper(), address) for data in sent],
        {"sent": lengths(sent), "received": lengths(data for data, sender in answers if sender == address)},
    )
    buffer, large = 1_000, b"x" * 2_000
    note.do(f"receive datagrams of 5, {len(large):,} and 4 bytes into a buffer of {buffer:,} bytes")
    with lab.server.udp(PORT) as server_socket, lab.client.udp() as client_socket:
        for data in (b"first", large, b"last"):
            client_socket.sendto(data, address)
        came = [server_socket.call("recvmsg", buffer) for _ in range(3)]
    pieces = [(data, bool(flags & MSG_TRUNC)) for data, _ancillary, flags, _sender in came]
    note.check(
        "the large one is cut, its rest is gone, and the next is whole",
        pieces == [(b"first", False), (large[:buffer], True), (b"last", False)],
        {"received": lengths(data for data, _cut in pieces),
         "cut, says the kernel (MSG_TRUNC)": ["yes" if cut else "no" for _data, cut in pieces]},
    )  # fmt: skip
    note.answer(
        f"they are lost: of {len(large):,} bytes recvfrom() returned {len(pieces[1][0]):,}, and its next "
        f"call returned the next datagram, of {len(pieces[2][0])}"
    )


def lengths(datagrams: Iterable[bytes]) -> str:
    """Return how long datagrams are."""
    return ", ".join(f"{len(data):,} bytes" for data in datagrams) or "nothing"
