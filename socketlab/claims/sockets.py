"""Sockets: what they are, how a process is found, and whose port it is."""

import errno
import os
from socket import AF_INET, SOCK_DGRAM, SOCK_STREAM

from socketlab.claims import seen
from socketlab.claims.connections import told_error
from socketlab.claims.notebook import Notebook
from socketlab.claims.registry import shows
from socketlab.describe.scenario import PORT, ServerProgram
from socketlab.hosts.lab import READY, Lab
from socketlab.hosts.operated import PATIENCE_S, Host, Program, RemoteSocket, expected, named
from socketlab.observe.socket_table import Row

WRONG_PORT = 12_001
SOON_S = 3.0  # by then an answer has come that comes at all: the hosts are a fraction of a millisecond apart

# Linux's numbers, of the hosts: this program may run on another system. <asm-generic/socket.h>
SOL_SOCKET, SO_TYPE, SO_PROTOCOL, SO_DOMAIN = 1, 3, 38, 39
IP_PROTOCOLS = {6: "TCP", 17: "UDP"}  # IANA's protocol numbers
PORT_UNREACHABLE = (3, 3)  # ICMP's type and code, RFC 792

DNS_PORT = 53
WELL_KNOWN = {"http": ("tcp", 80), "smtp": ("tcp", 25), "domain": ("udp", DNS_PORT)}
FIRST_UNRESERVED = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
CAP_NET_BIND_SERVICE = 1 << 10  # <linux/capability.h>


def row_told(row: Row) -> str:
    """Return a line of the kernel's list of sockets, for people."""
    return f"{row.protocol} {row.local}, peer {row.peer}, {row.state}, inode {row.inode}"


@shows("S1")
def socket_is_the_door(lab: Lab, note: Notebook) -> None:
    """The program holds a descriptor; what goes through the door, and when, its system decides."""
    server, client, names = lab.server, lab.client, seen.names_of(lab)
    note.do("start the lecture's TCP client, type nothing, and look at its descriptors")
    with lab.serve(ServerProgram.LECTURE_TCP), lab.capture(client, few=True) as wire:
        with lab.start(client, "tcp_client.py", server.name) as program:
            program.written("connect")
            descriptors, sockets = program.descriptors(), program.sockets("tcp")
            note.check(
                "a descriptor of the program is a socket, and its number is in the kernel's list",
                len(sockets) == 1 and next(iter(sockets.values())).peer == named((server.address, PORT)),
                {f"descriptor {fd}": what for fd, what in descriptors.items() if "socket" in what}
                | {f"/proc/net/tcp, of descriptor {fd}": row_told(row) for fd, row in sockets.items()},
            )
            note.do("end its input: it closes the socket, and has never called send()")
            program.end_input()
            program.wait()
        packets = seen.between(wire.packets(), client.address, server.address)
        sent = [packet for packet in packets if seen.host_of(packet.source) == client.address]
        flags = frozenset[str]().union(*(packet.flags for packet in sent))
        note.check(
            "SYN, ACK and FIN have left the host, with no data: its operating system sent them by itself",
            {"SYN", "ACK", "FIN"} <= flags and not any(packet.payload for packet in sent),
            {"sent by the client's host": seen.all_told(sent, names)},
        )
        note.answer(
            f"{len(packets)}: {len(sent)} from the client's operating system, {len(packets) - len(sent)} "
            f"from the server's; {sum(bool(packet.payload) for packet in packets) or 'none'} carries data"
        )


@shows("S3")
def family_and_type(lab: Lab, note: Notebook) -> None:
    """What the arguments of socket() mean, the open socket itself can say."""
    note.do("make a socket of each type, and ask the kernel what it is (getsockopt)")
    for kind, name, protocol in ((SOCK_DGRAM, "SOCK_DGRAM", "UDP"), (SOCK_STREAM, "SOCK_STREAM", "TCP")):
        with lab.client.udp() if kind == SOCK_DGRAM else lab.client.tcp() as made:
            domain, type_, number = (
                made.option(SOL_SOCKET, option) for option in (SO_DOMAIN, SO_TYPE, SO_PROTOCOL)
            )
        note.check(
            f"socket(AF_INET, {name}) is a socket of IPv4 and {protocol}",
            (domain, type_, IP_PROTOCOLS.get(number)) == (AF_INET, kind, protocol),
            {
                "SO_DOMAIN": f"{domain} (AF_INET is {int(AF_INET)})",
                "SO_TYPE": f"{type_} ({name} is {int(kind)})",
                "SO_PROTOCOL": f"{number} ({IP_PROTOCOLS.get(number, 'another')})",
            },
        )
    note.do("start the lecture's servers, and look where the kernel lists their sockets")
    for program, protocol in ((ServerProgram.LECTURE_UDP, "udp"), (ServerProgram.LECTURE_TCP, "tcp")):
        with lab.serve(program) as running:
            rows = running.sockets(protocol)
            note.check(
                f"the socket of {running.name} is in the list of IPv4 and {protocol.upper()}",
                [row.port for row in rows.values()] == [PORT],
                {f"/proc/net/{protocol}": [row_told(row) for row in rows.values()]},
            )


@shows("S4")
def name_and_port(lab: Lab, note: Notebook) -> None:
    """A process is reached by its host's name or address and its port, and by nothing less."""
    server, client, names = lab.server, lab.client, seen.names_of(lab)
    note.do(f"start the lecture's UDP server on port {PORT}, and ask for it by its name alone")
    with lab.serve(ServerProgram.LECTURE_UDP), lab.capture(client, few=True) as wire:
        found = client.function("socket", "getaddrinfo", server.name, None, int(AF_INET), int(SOCK_DGRAM))
        addresses = [named(address) for *_, address in found]
        note.check(
            "the name has an address, and no port: port 0 is none",
            addresses == [named((server.address, 0))],
            {f"getaddrinfo({server.name!r}, None)": addresses},
        )
        with client.udp() as client_socket:
            client_socket.settimeout(SOON_S)
            with expected(OSError) as refused:
                client_socket.sendto(b"anybody?", (server.address, 0))
            note.check(
                "a datagram to that cannot even be sent",
                bool(refused) and refused[0].errno == errno.EINVAL,
                {f"sendto(..., ({server.address!r}, 0))": told_error(refused[0]) if refused else "no error"},
            )
            answer, sender = b"", ("", 0)
            with expected(TimeoutError):
                client_socket.sendto(b"anybody?", (server.address, PORT))
                answer, sender = client_socket.recvfrom(64)
            note.check(
                "with the port it reaches the process, which answers",
                (answer, sender) == (b"ANYBODY?", (server.address, PORT)),
                {f"sendto(..., ({server.address!r}, {PORT}))": f"{answer.decode()} from {named(sender)}"},
            )
        note.do(f"ask at port {WRONG_PORT}, where nobody is, over UDP and over TCP")
        with client.udp() as client_socket:
            udp_refused, own = asked_at(client_socket, server, WRONG_PORT)
        with client.tcp() as client_socket:
            client_socket.settimeout(SOON_S)
            with expected(ConnectionRefusedError, TimeoutError) as tcp_refused:
                client_socket.connect((server.address, WRONG_PORT))
        packets = seen.between(wire.packets(), client.address, server.address)
    wrong = named((server.address, WRONG_PORT))
    complaints = [packet for packet in packets if packet.icmp]
    note.check(
        "UDP: the server's system complains by ICMP (port unreachable), and the next call says so",
        isinstance(next(iter(udp_refused), None), ConnectionRefusedError)
        and [(icmp.type, icmp.code, icmp.source, icmp.destination) for p in complaints if (icmp := p.icmp)]
        == [(*PORT_UNREACHABLE, own, wrong)],
        {
            "recv() on the connected socket": told_error(udp_refused[0]) if udp_refused else "no error",
            "on the wire": seen.all_told(complaints, names),
        },
    )
    resets = [packet for packet in packets if packet.source == wrong and "RST" in packet.flags]
    note.check(
        "TCP: the server's system answers with a reset, and connect() says so",
        isinstance(next(iter(tcp_refused), None), ConnectionRefusedError) and len(resets) == 1,
        {
            "connect()": told_error(tcp_refused[0]) if tcp_refused else "no error",
            "on the wire": seen.all_told(resets, names),
        },
    )
    note.answer(
        f"over TCP {len(resets)} segment with RST, over UDP {len(complaints)} ICMP message (port "
        "unreachable), both from the server's operating system, and not from a program. The name gives the "
        f"host's address, but no port: {told_error(refused[0]) if refused else 'no error'}"
    )


def asked_at(client_socket: RemoteSocket, server: Host, port: int) -> tuple[list[OSError], str]:
    """Send a datagram through a connected socket; return what the next call fails with, and who sent."""
    client_socket.settimeout(SOON_S)
    client_socket.connect((server.address, port))
    client_socket.send(b"anybody?")
    with expected(ConnectionRefusedError, TimeoutError) as caught:
        client_socket.recv(64)
    return caught, named(client_socket.getsockname())


@shows("S5")
def name_is_translated_first(lab: Lab, note: Notebook) -> None:
    """DNS is asked for the server's name before anything goes to the server."""
    server, client, names = lab.server, lab.client, seen.names_of(lab)
    note.do(f"type a line to each of the lecture's clients, which know the server as {server.name!r}")
    for program, protocol in (
        (ServerProgram.LECTURE_UDP, "udp"),
        (ServerProgram.LECTURE_TCP, "tcp"),
    ):
        with (
            lab.serve(program),
            lab.capture(client, few=True) as wire,
            lab.start(client, f"{protocol}_client.py", server.name) as running,
        ):
            running.type("hello\n")
            running.written("HELLO")
            packets = wire.packets()
        queries, answers = seen.lookups(packets, server.name)
        # What the client's host sends to the server; ARP, which finds the server's Ethernet address, is no
        # packet of theirs.
        first = next(
            (p for p in seen.between(packets, client.address, server.address) if p.protocol == protocol), None
        )
        shown = [*queries, *answers, *([first] if first else [])]
        note.check(
            f"{protocol.upper()}: query, answer with the server's address, then the first packet to there",
            bool(queries and answers and first)
            and [packet.time_ns for packet in shown] == sorted(packet.time_ns for packet in shown)
            and all(answer.dns and answer.dns.addresses == (server.address,) for answer in answers)
            and first is not None
            and first.destination == named((server.address, PORT)),
            {
                "on the wire, in this order": seen.all_told(shown, names),
                "port 53?": "Docker turns it into a port of its own before the query is on the wire",
            },
        )


@shows("S6")
def well_known_ports(lab: Lab, note: Notebook) -> None:
    """Well-known ports are in the services database, and reserved where the system reserves them."""
    client = lab.client
    note.do("look up the ports of the web, of mail and of DNS in a host's services database (getservbyname)")
    found = {name: client.function("socket", "getservbyname", name, protocol)
             for name, (protocol, _port) in WELL_KNOWN.items()}  # fmt: skip
    note.check(
        "they are the ports that the lecture names",
        found == {name: port for name, (_protocol, port) in WELL_KNOWN.items()},
        {f"{name}/{WELL_KNOWN[name][0]}": str(port) for name, port in found.items()},
    )
    note.do("bind a socket to each of them, on both hosts, by a program that has no privilege")
    for host in (lab.client, lab.server):
        reserved_below = int(host.read(FIRST_UNRESERVED))
        privileged = bool(capabilities(host) & CAP_NET_BIND_SERVICE)
        outcomes = {port: bound(host, protocol, port) for protocol, port in WELL_KNOWN.values()}
        must = {port: errno.EACCES if port < reserved_below and not privileged else 0 for port in outcomes}
        what = f"reserves the ports below {reserved_below}" if reserved_below else "reserves no port"
        note.check(
            f"the {host.name}'s system {what}, and bind() does accordingly",
            outcomes == must,
            {
                "ip_unprivileged_port_start (sysctl)": str(reserved_below),
                "privilege (CAP_NET_BIND_SERVICE)": privileged,
            }
            | {f"bind() to {port}": errno.errorcode.get(error, "done") for port, error in outcomes.items()},
        )
    if must[DNS_PORT]:  # at the server, which came last
        note.do(f"start the lecture's UDP server on port {DNS_PORT} of the server's host")
        with lab.start(lab.server, f"{ServerProgram.LECTURE_UDP}.py", "--port", str(DNS_PORT)) as program:
            check_refused(program, note, f"port {DNS_PORT}", os.strerror(errno.EACCES))


def check_refused(program: Program, note: Notebook, *words: str) -> None:
    """Check that a server ends because it may not have a port, and says so in one line with these words."""
    output, errors = program.written(READY[ServerProgram(program.name.removesuffix(".py"))])
    # One that has written nothing but errors has ended, or is about to; one that is ready goes on.
    code = program.wait(0 if output else PATIENCE_S)
    note.check(
        f"it ends with an error and says why: {', '.join(words)}",
        code == 1 and not output and errors.count("\n") == 1 and all(word in errors for word in words),
        {
            "exit code": "none, it still runs" if code is None else str(code),
            "standard error": errors.strip(),
            "standard output": output.strip() or "nothing",
        },
    )


def capabilities(host: Host) -> int:
    """Return the privileges of the process that makes our calls on a host, a bit each."""
    status = dict(line.split(":\t", 1) for line in host.read(f"/proc/{host.pid}/status").splitlines())
    return int(status["CapEff"], 16)


def bound(host: Host, protocol: str, port: int) -> int:
    """Bind a socket and close it again; return errno, 0 if it could be bound."""
    with host.udp() if protocol == "udp" else host.tcp() as made, expected(OSError) as caught:
        made.bind(("", port))
    return (caught[0].errno or 0) if caught else 0


@shows("S7")
def port_in_use(lab: Lab, note: Notebook) -> None:
    """A second server cannot have the port, ends saying so, and leaves the first one alone."""
    server = lab.server
    for program, protocol in ((ServerProgram.LECTURE_UDP, "udp"), (ServerProgram.LECTURE_TCP, "tcp")):
        note.do(f"start {program}.py twice, on the same host and port")
        with lab.serve(program, "--host", server.address) as first:
            with lab.start(server, f"{program}.py", "--host", server.address) as second:
                check_refused(second, note, f"{server.address}, port {PORT}", os.strerror(errno.EADDRINUSE))
            owners = [row for row in server.sockets(protocol) if row.port == PORT and row.inode]
            note.check(
                "the port is the first one's alone, as the kernel lists it",
                owners == list(first.sockets(protocol).values()) and len(owners) == 1,
                {f"/proc/net/{protocol}": [row_told(row) for row in owners]},
            )
            answer = answered(lab, protocol, b"still there?\n")
            note.check(
                "and the first one goes on: it answers",
                answer == b"STILL THERE?\n",
                {"answer": answer.decode().strip() or "none"},
            )


def answered(lab: Lab, protocol: str, line: bytes) -> bytes:
    """Return the server's answer to a line from the client's host; nothing: none came."""
    address, answer = (lab.server.address, PORT), b""
    with lab.client.udp() if protocol == "udp" else lab.client.tcp() as client_socket:
        client_socket.settimeout(SOON_S)
        with expected(ConnectionError, TimeoutError):
            client_socket.connect(address)
            client_socket.sendall(line)
            # Over TCP it may come in pieces.
            while not answer.endswith(b"\n") and (piece := client_socket.recv(64)):
                answer += piece
    return answer
