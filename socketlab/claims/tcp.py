"""TCP: a welcoming socket, connections, and a byte stream each way."""

import time
from contextlib import ExitStack
from errno import ENOTCONN, EPIPE
from itertools import takewhile
from typing import Any

from socketlab.claims import seen
from socketlab.claims.connections import (
    ESTABLISHED,
    NOBODY,
    PIECE,
    TROUBLE,
    address_of,
    all_listening,
    answer_to,
    asleep_in,
    connect,
    connections,
    listed,
    numbers,
    require,
    row_at,
    sleeps_in_accept,
    sleeps_in_recv,
    status,
    text,
    told,
    told_error,
    told_row,
    welcoming,
    with_connections,
)
from socketlab.claims.notebook import Notebook
from socketlab.claims.registry import shows
from socketlab.describe.scenario import PORT, ServerProgram
from socketlab.hosts.lab import Lab
from socketlab.hosts.operated import SO_REUSEADDR, SOL_SOCKET, Program, expected, named
from socketlab.hosts.watching import WITHIN_S, until
from socketlab.observe import processes

# Linux's numbers, of the hosts: this program may run on another system. <asm-generic/signal.h>
SIGCONT, SIGSTOP = 18, 19


@shows("T1")
def server_must_listen_first(lab: Lab, note: Notebook) -> None:
    """The server must be up and listening first."""

    def try_to_connect() -> tuple[OSError | None, dict[str, str]]:
        """Return what connect() raises, and the evidence."""
        with lab.client.tcp() as client_socket, expected(*TROUBLE) as caught:
            client_socket.settimeout(WITHIN_S)
            client_socket.connect((lab.server.name, PORT))
        error = caught[0] if caught else None
        return error, {
            "connect() at the client": told_error(error) if error else "a connection",
            "listening at the server": listed(row.local for row in all_listening(lab)),
        }

    note.do(f"a client calls connect() while no program on the server host has port {PORT}")
    error, evidence = try_to_connect()
    refused = isinstance(error, ConnectionRefusedError)
    require(note, "the server's host refuses the connection", refused, evidence)

    note.do("the lecture's client is started, too early")
    with lab.start(lab.client, "tcp_client.py", lab.server.name, "--timeout", "1") as client:
        code = client.wait()
        _output, complaint = client.written()
    require(
        note,
        "the client cannot do without the server: it ends with an error, and says why",
        code == 1 and "Connection refused" in complaint,
        {"its exit code": code, "it says": complaint.strip()},
    )
    note.answer(f"{told_error(error) if error else 'nothing'}: the client ends, with exit code {code}")

    note.do(f"a socket on the server host is bound to port {PORT}, and does not listen yet")
    with lab.server.tcp() as welcoming_socket:
        # Where connections of this port were just closed, it could not have it otherwise.
        welcoming_socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        welcoming_socket.bind(("", PORT))
        error, evidence = try_to_connect()
        refused = isinstance(error, ConnectionRefusedError)
        note.check("to be bound is not enough: it is refused again", refused, evidence)
        note.do("now that socket listens")
        welcoming_socket.listen()
        error, evidence = try_to_connect()
        note.check("from then on the same call makes a connection", error is None, evidence)

    note.do("the lecture's server is started, and then a client connects")
    with lab.serve(ServerProgram.LECTURE_TCP), lab.client.tcp() as client_socket:
        connect(note, client_socket, lab)
        answer = answer_to(client_socket, b"now?\n")
        note.check("now that the server is up, it is served", answer == b"NOW?\n", {"answer": text(answer)})


@shows("T2")
def server_has_a_welcoming_socket(lab: Lab, note: Notebook) -> None:
    """The server has a welcoming (listening) socket."""
    note.do("the sockets of the server's host are listed: before the lecture's server is started, and after")
    before = all_listening(lab)
    with lab.serve(ServerProgram.LECTURE_TCP) as server:
        rows, sockets = all_listening(lab), server.sockets("tcp")
    note.check(
        f"with the server there is one socket in state LISTEN on port {PORT}, and before it there was none",
        not before and len(rows) == 1,
        {
            "listening before": listed(row.local for row in before),
            "listening after": listed(row.local for row in rows),
        },
    )
    note.check(
        "it is the server's: the program has a descriptor that is this very socket, and no other socket",
        bool(rows) and list(numbers(sockets).values()) == [row.inode for row in rows],
        {
            "number of the listening socket (inode)": listed(row.inode for row in rows),
            "sockets of the process": listed(
                f"descriptor {number}: socket {inode}" for number, inode in numbers(sockets).items()
            ),
        },
    )
    note.check(
        "it has no other end: it is for clients in general",
        bool(rows) and all(row.peer == "0.0.0.0:0" for row in rows),
        {"its other end": listed(row.peer for row in rows)},
    )
    after = all_listening(lab)
    note.check("it goes with the program", not after, {"listening": listed(row.local for row in after)})


@shows("T3")
def accept_blocks(lab: Lab, note: Notebook) -> None:
    """accept() blocks until a client comes."""
    note.do("the lecture's server is started; no client comes")
    with lab.serve(ServerProgram.LECTURE_TCP) as server:
        asleep = until(lambda: asleep_in(server), sleeps_in_accept)
        now = status(server)
        require(
            note,
            "the process sleeps in the system call accept()",
            sleeps_in_accept(asleep),
            {"/proc/PID/syscall": asleep, "state": processes.state(now)},
        )
        note.do("packets reach that host: ten clients connect to another program there, at another port")
        with lab.server.tcp(0) as elsewhere:
            for _ in range(10):
                with lab.client.tcp() as client_socket:
                    client_socket.connect((lab.server.name, elsewhere.getsockname()[1]))
        later, asleep, before = status(server), asleep_in(server), server.sockets("tcp")
        times = [processes.waits(now), processes.waits(later)]
        note.check(
            "meanwhile it has not woken a single time",
            times[0] == times[1] and sleeps_in_accept(asleep),
            {
                "times that it went to sleep": "{} before, {} after".format(*times),
                "/proc/PID/syscall": asleep,
            },
        )
        note.do("a client connects")
        with lab.client.tcp() as client_socket:
            connect(note, client_socket, lab)
            after = with_connections(server, 1)
            note.check(
                "that wakes it: accept() has returned a connection, a descriptor that was not there before",
                len(connections(after)) == len(after.keys() - before.keys()) == 1,
                {"sockets before": told(before), "sockets after": told(after)},
            )


@shows("T4")
def systems_shake_hands(lab: Lab, note: Notebook) -> None:
    """connect() starts the handshake, and the operating systems make it."""
    with (
        lab.serve(ServerProgram.LECTURE_TCP) as server,
        lab.capture(lab.server, few=True) as wire,
        lab.client.tcp() as client_socket,
        lab.other.tcp() as other_socket,
    ):
        asleep = until(lambda: asleep_in(server), sleeps_in_accept)
        require(note, "the server waits for clients", sleeps_in_accept(asleep), {"/proc/PID/syscall": asleep})
        note.do("the server program is stopped (SIGSTOP): it cannot do anything")
        server.signal(SIGSTOP)
        stopped = until(lambda: status(server), is_stopped)
        before = server.sockets("tcp")

        note.do("a client calls connect(), and sends some words")
        connect(note, client_socket, lab)
        with expected(OSError):  # without a connection; that is said already
            client_socket.sendall(b"no end yet")  # so the server will not close this connection
        mine = named(address_of(client_socket))
        row = until(lambda: row_at(lab.client, mine), lambda row: row and not row.unsent)
        require(
            note,
            "the first client is connected, and the server's operating system has acknowledged the words",
            row is not None and row.state == ESTABLISHED and not row.unsent,
            {"the client's socket": told_row(row), "bytes not acknowledged": row.unsent if row else "?"},
        )

        note.do("another client begins a connect() that does not wait, and makes no call after it")
        other_socket.settimeout(0)
        with expected(BlockingIOError, *TROUBLE) as begun:
            other_socket.connect((lab.server.name, PORT))
        others = named(address_of(other_socket))
        row = until(lambda: row_at(lab.other, others), lambda row: row and row.state == ESTABLISHED)
        require(
            note,
            "the other client's operating system brings the handshake to its end",
            row is not None and row.state == ESTABLISHED,
            {
                "connect()": told_error(begun[0]) if begun else "done",
                "the socket a moment later": told_row(row),
            },
        )

        meanwhile, sockets = status(server), server.sockets("tcp")
        note.check(
            "the server program had no part in it: it stands still, and has no connection yet",
            is_stopped(meanwhile)
            and processes.waits(meanwhile) == processes.waits(stopped)
            and numbers(sockets) == numbers(before),
            {"state": processes.state(meanwhile), "its sockets": told(sockets)},
        )
        packets = [packet for packet in wire.packets() if packet.protocol == "tcp"]
        for who, address in (("first", mine), ("other", others)):
            its = [packet for packet in packets if address in {packet.source, packet.destination}]
            before_data = list(takewhile(lambda packet: not packet.payload, its))
            note.check(
                f"on the wire the {who} client's connection begins with SYN, SYN-ACK, ACK, and nothing else",
                [(set(packet.flags), packet.source == address) for packet in before_data]
                == [({"SYN"}, True), ({"SYN", "ACK"}, False), ({"ACK"}, True)],
                {"before any data": seen.all_told(before_data, seen.names_of(lab))},
            )

        note.do("the server program goes on (SIGCONT)")
        server.signal(SIGCONT)
        after = until(lambda: server.sockets("tcp"), connections)
        note.check("only now accept() returns", bool(connections(after)), {"its sockets": told(after)})
        note.answer(
            "yes: the server's operating system makes the connection, and even acknowledges data; the "
            f"program meanwhile: {processes.state(meanwhile)}"
        )


def is_stopped(status_: str) -> bool:
    """Tell from /proc/PID/status whether a process is stopped by a signal."""
    return processes.state(status_).startswith("T")


@shows("T5")
def accept_returns_a_new_socket(lab: Lab, note: Notebook) -> None:
    """accept() returns a new socket for that one client."""
    for program, clients in (
        (ServerProgram.LECTURE_TCP, [lab.client]),
        (ServerProgram.CONCURRENT, [lab.client, lab.client, lab.other]),
    ):
        with lab.serve(program) as server, ExitStack() as sockets:
            before = server.sockets("tcp")
            note.check(
                f"{program}.py has its welcoming socket and no connection socket",
                len(welcoming(before)) == len(before) == 1,
                {"its sockets": told(before)},
            )
            note.do(f"{program}.py is started, and connections are made to it: {len(clients)}")
            for client in clients:
                connect(note, sockets.enter_context(client.tcp()), lab)
            after = with_connections(server, len(clients))
            new = after.keys() - before.keys()
            peers = {after[number].peer for number in new}
            require(
                note,
                f"{program}.py: each client brings it a descriptor more, a connection socket of its own",
                len(connections(after)) == len(new) == len(peers) == len(clients),
                {"its sockets": told(after)},
            )
            note.check(
                f"{program}.py: the welcoming socket is the same as before",
                numbers(before).items() <= numbers(after).items(),
                {
                    "its number (inode) before": listed(row.inode for row in welcoming(before)),
                    "after": listed(row.inode for row in welcoming(after)),
                },
            )


@shows("T6")
def connection_sockets_share_the_port(lab: Lab, note: Notebook) -> None:
    """The new socket has the same local port as the welcoming socket."""
    for program, hosts in (
        (ServerProgram.LECTURE_TCP, [lab.client]),
        (ServerProgram.CONCURRENT, [lab.client, lab.client, lab.other]),
    ):
        with lab.serve(program) as server, ExitStack() as programs:
            note.do(
                f"{program}.py is started, and clients (tcp_client.py) at which nobody types: {len(hosts)}"
            )
            clients = [
                programs.enter_context(lab.start(host, "tcp_client.py", lab.server.name, terminal=True))
                for host in hosts
            ]
            for client in clients:
                client.written("Sentence: ")
            sockets = with_connections(server, len(hosts))
            ports = sorted(row.port for row in sockets.values())
            require(
                note,
                f"{program}.py: the welcoming socket and all connection sockets have the local port {PORT}",
                ports == [PORT] * (1 + len(hosts)),
                {"sockets of the server": told(sockets)},
            )
            theirs = [client.sockets("tcp") for client in clients]
            peers = sorted(row.peer for row in connections(sockets))
            locals_ = sorted(row.local for found in theirs for row in connections(found))
            require(
                note,
                f"{program}.py: their other ends tell them apart: the client's address and port",
                peers == locals_ and len(set(peers)) == len(hosts),
                {"other ends, at the server": listed(peers), "the clients' own addresses": listed(locals_)},
            )
    note.answer(
        f"for {len(hosts)} clients {len(sockets)}: {len(welcoming(sockets))} welcoming socket and "
        f"{len(connections(sockets))} connection sockets, all with port {listed(dict.fromkeys(ports))}"
    )
    note.figure(
        "sockets",
        [
            {
                "host": program.host.name, "protocol": row.protocol, "state": row.state, "local": row.local,
                "peer": row.peer, "program": program.name, "fd": number,
            }
            for program, found in ((server, sockets), *zip(clients, theirs, strict=True))
            for number, row in sorted(found.items())
        ],
    )  # fmt: skip


@shows("T7")
def messages_go_through_the_connection_socket(lab: Lab, note: Notebook) -> None:
    """Messages go through the connection socket, never the welcoming one."""
    with lab.server.tcp(PORT) as welcoming_socket, lab.client.tcp() as client_socket:
        note.do("a client connects to a welcoming socket, and accept() gives the connection socket")
        connect(note, client_socket, lab)
        connection_socket, _client_address = welcoming_socket.accept()
        connection_socket.settimeout(WITHIN_S)
        # A call that cannot be made must say so at once: none of these is to wait for anything.
        welcoming_socket.settimeout(0)
        calls: dict[str, tuple[Any, ...]] = {"send": (b"hello",), "recv": (PIECE,), "getpeername": ()}
        for call, arguments in calls.items():
            with expected(OSError) as caught:
                welcoming_socket.call(call, *arguments)
            note.check(
                f"{call}() on the welcoming socket is an error: it is connected to nobody",
                bool(caught) and caught[0].errno in {EPIPE, ENOTCONN},
                {f"{call}()": told_error(caught[0]) if caught else "done"},
            )
        note.do("both sides send through the connection")
        heard = []
        for sender, receiver, words in (
            (client_socket, connection_socket, b"from the client"),
            (connection_socket, client_socket, b"from the server"),
        ):
            with expected(*TROUBLE):
                sender.sendall(words)
                heard.append(receiver.recv(PIECE))
        note.check(
            "what is sent there arrives at the other end",
            heard == [b"from the client", b"from the server"],
            {"received": text(*heard)},
        )
    note.do("the lecture's server answers a client")
    with lab.serve(ServerProgram.LECTURE_TCP), lab.client.tcp() as client_socket:
        connect(note, client_socket, lab)
        peer = client_socket.getpeername()
        answer = answer_to(client_socket, b"hello\n")
        note.check(
            "the answer comes on the client's one connection",
            answer == b"HELLO\n",
            {"answer": text(answer), "the connection's other end": named(peer)},
        )


@shows("T8")
def connection_knows_its_peer(lab: Lab, note: Notebook) -> None:
    """send() needs no address: the connection knows its peer."""
    with lab.server.tcp(PORT) as welcoming_socket, lab.client.tcp() as client_socket:
        note.do("a client makes a socket")
        with expected(OSError) as caught:
            client_socket.getpeername()
        note.check(
            "before connect() it has no other end",
            bool(caught) and caught[0].errno == ENOTCONN,
            {"getpeername()": told_error(caught[0]) if caught else "an address"},
        )
        note.do("it connects to the server, whose accept() gives the connection socket")
        connect(note, client_socket, lab)
        connection_socket, accepted = welcoming_socket.accept()
        connection_socket.settimeout(WITHIN_S)
        client, server = client_socket.getsockname(), connection_socket.getsockname()
        for at, peer, own in (
            ("client", client_socket.getpeername(), server),
            ("server", connection_socket.getpeername(), client),
        ):
            note.check(
                f"the {at}'s socket knows its other end",
                peer == own,
                {f"getpeername() at the {at}": named(peer), "getsockname() at the other end": named(own)},
            )
        note.check(
            "accept() had said the same",
            accepted == client,
            {"accept()": named(accepted), "getsockname() at the client": named(client)},
        )
        note.do("each side calls send(), which takes the data and nothing else")
        heard = []
        for sender, receiver, words in (
            (client_socket, connection_socket, b"to whom?"),
            (connection_socket, client_socket, b"to you"),
        ):
            with expected(*TROUBLE):
                sender.send(words)
                heard.append(receiver.recv(PIECE))
        note.check(
            "it arrives at the other end of the connection",
            heard == [b"to whom?", b"to you"],
            {"received": text(*heard)},
        )


@shows("T9")
def client_has_one_socket(lab: Lab, note: Notebook) -> None:
    """The client has one socket."""
    note.do("the lecture's client is started, and two lines are typed")
    with (
        lab.serve(ServerProgram.CONCURRENT),
        lab.start(lab.client, "tcp_client.py", lab.server.name, terminal=True) as client,
    ):
        client.written("Sentence: ")
        found = [client.sockets("tcp")]
        for line in ("hello", "once more"):
            client.type(f"{line}\n")
            output, _errors = client.written(line.upper(), WITHIN_S)
            note.check(f"{line!r} is answered", line.upper() in output, {"shown": output.splitlines()[-2:]})
            found.append(client.sockets("tcp"))
        note.check(
            "all the time it has one socket: the connection to the server",
            all(len(connections(sockets)) == len(sockets) == 1 for sockets in found),
            {
                when: told(sockets)
                for when, sockets in zip(("at first", "after a line", "after two lines"), found, strict=True)
            },
        )
        inodes = {row.inode for sockets in found for row in sockets.values()}
        note.check("it is the same socket", len(inodes) == 1, {"its number (inode)": listed(sorted(inodes))})


@shows("T10")
def stream_has_no_boundaries(lab: Lab, note: Notebook) -> None:
    """TCP is a byte stream: it has no message boundaries."""
    with lab.server.tcp(PORT) as welcoming_socket, lab.client.tcp() as client_socket:
        connect(note, client_socket, lab)
        connection_socket, _client_address = welcoming_socket.accept()
        connection_socket.settimeout(WITHIN_S)
        descriptor = lab.server.descriptors(lab.server.pid)[connection_socket.fileno()]

        def unread(wanted: int) -> int:
            """Return how many bytes wait in the server's kernel, as soon as all that are wanted do."""
            return until(
                lambda: sum(
                    row.unread for row in lab.server.sockets("tcp") if f"socket:[{row.inode}]" == descriptor
                ),
                lambda seen: seen == wanted,
            )

        note.do("the client calls send() twice; the server reads nothing until both have arrived")
        messages = [b"first message, ", b"second message"]
        for message in messages:
            client_socket.send(message)
        waiting = unread(sum(map(len, messages)))
        with expected(*TROUBLE):
            received = connection_socket.recv(PIECE)
        require(
            note,
            "one recv() returns both, joined: nothing says where one ended",
            received == b"".join(messages),
            {
                "sent": text(*messages),
                "unread in the server's kernel": f"{waiting} bytes",
                "received": text(received),
            },
        )
        note.do("the client calls send() once; the server reads 5 bytes at a time")
        message = b"one message only"
        client_socket.send(message)
        waiting = unread(len(message))
        pieces: list[bytes] = []
        with expected(*TROUBLE):
            while len(b"".join(pieces)) < len(message) and (piece := connection_socket.recv(5)):
                pieces.append(piece)
        note.check(
            "several recv() return it in pieces, and nothing is cut off",
            len(pieces) == 4 and b"".join(pieces) == message,
            {
                "sent": text(message),
                "unread in the server's kernel": f"{waiting} bytes",
                "received": text(*pieces),
            },
        )
        note.answer(
            f"that depends: here two send() took 1 recv(), and one send() took {len(pieces)}, for nothing in "
            "the stream says where a message ends"
        )


@shows("T14")
def server_loops_to_the_next_client(lab: Lab, note: Notebook) -> None:
    """The server closes the connection socket and loops to the next client; the welcoming socket stays."""
    with lab.serve(ServerProgram.LECTURE_TCP) as server:
        before = server.sockets("tcp")
        for client, line in ((lab.client, b"first client\n"), (lab.other, b"next client\n")):
            with client.tcp() as client_socket:
                note.do(f"the host {client.name} connects and sends a line")
                connect(note, client_socket, lab)
                during = with_connections(server, 1)
                answer = answer_to(client_socket, line)
                require(
                    note,
                    f"the host {client.name} is answered, on a connection socket of its own",
                    answer == line.upper() and len(connections(during)) == 1,
                    {"answer": text(answer), "sockets of the server meanwhile": told(during)},
                )
                with expected(*TROUBLE) as open_still:
                    end = client_socket.recv(PIECE)
                require(
                    note,
                    f"then the server closes it: recv() returns nothing at the host {client.name}",
                    not open_still and end == b"",
                    {"recv() at the client": told_error(open_still[0]) if open_still else text(end)},
                )
            after = until(lambda: server.sockets("tcp"), lambda seen: numbers(seen) == numbers(before))
            asleep = until(lambda: asleep_in(server), sleeps_in_accept)
            require(
                note,
                "the server is left with its welcoming socket, the same as before, and no other",
                bool(before) and numbers(after) == numbers(before),
                {
                    "its sockets": told(after),
                    "their numbers (inodes), before": listed(numbers(before).values()),
                    "after": listed(numbers(after).values()),
                },
            )
            require(
                note,
                "the server is back in accept()",
                sleeps_in_accept(asleep),
                {"/proc/PID/syscall": asleep},
            )


@shows("T15")
def silent_client_makes_others_wait(lab: Lab, note: Notebook) -> None:
    """The lecture's loop serves one client at a time: a silent one makes the others wait."""
    line = b"hello\n"
    with lab.serve(ServerProgram.LECTURE_TCP) as server, lab.other.tcp() as second:
        with lab.client.tcp() as silent:
            note.do("the lecture's loop: a first client connects and is silent; a second one sends a line")
            connect(note, silent, lab)
            alone = with_connections(server, 1)
            connect(note, second, lab)
            with expected(*TROUBLE):
                second.sendall(line)
            waiting = until(lambda: waiting_at(server), lambda waiting: waiting == (1, [len(line)]))
            require(
                note,
                "the second client waits: it is connected, and nobody has accepted it or read its line",
                waiting == (1, [len(line)]),
                {
                    "connections that wait for accept()": waiting[0],
                    "bytes unread, of each": listed(waiting[1]),
                },
            )
            # The welcoming socket, and the one connection: the last that was made.
            busy_with = max(alone, default=0)
            asleep = until(lambda: asleep_in(server), lambda asleep: sleeps_in_recv(asleep, busy_with))
            second.settimeout(0)
            with expected(BlockingIOError, *TROUBLE) as nothing:
                second.recv(PIECE)
            sockets = server.sockets("tcp")
            require(
                note,
                "for the server sleeps in recv() on the first one's connection, and has no other",
                sleeps_in_recv(asleep, busy_with)
                and numbers(sockets) == numbers(alone)
                and len(connections(alone)) == 1,
                {"its sockets": told(sockets), "it sleeps in": asleep},
            )
            require(
                note,
                "so there is no answer to the second",
                bool(nothing) and isinstance(nothing[0], BlockingIOError),
                {"recv() at the second client": told_error(nothing[0]) if nothing else "an answer"},
            )
            note.do("the silent client goes")
        silent_went = time.monotonic()
        second.settimeout(WITHIN_S)
        answer = answer_to(second, b"")
        waited_s = time.monotonic() - silent_went
        require(note, "now the second client is answered", answer == line.upper(), {"answer": text(answer)})
        note.answer(
            f"from the lecture's server {waited_s * 1e3:.0f} ms after the silent one has gone, and not "
            "before; from the concurrent server at once"
        )
    with (
        lab.serve(ServerProgram.CONCURRENT) as server,
        lab.client.tcp() as silent,
        lab.other.tcp() as second,
    ):
        note.do("the concurrent server: a first client connects and is silent; a second one sends a line")
        connect(note, silent, lab)
        with_connections(server, 1)
        connect(note, second, lab)
        answer = answer_to(second, line)
        sockets = server.sockets("tcp")
        note.check(
            "the second client is answered while the first is still connected and silent",
            answer == line.upper() and len(connections(sockets)) == 2,
            {"answer": text(answer), "sockets of the server": told(sockets)},
        )


def waiting_at(server: Program) -> tuple[int, list[int]]:
    """Return how many connections wait for a server's accept(), and the unread bytes of those with any."""
    found = welcoming(server.sockets("tcp"))
    ports = {row.port for row in found}
    rows = [row for row in server.host.sockets("tcp") if row.port in ports and row.inode == NOBODY]
    return sum(row.unread for row in found), [row.unread for row in rows if row.unread]
