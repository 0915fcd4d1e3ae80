"""What is looked at of connections, and how a client comes by one: for the claims about TCP."""

from collections.abc import Iterable, Mapping
from errno import errorcode
from typing import Any

from socketlab.claims.notebook import Notebook
from socketlab.describe.scenario import PORT
from socketlab.hosts.lab import Lab
from socketlab.hosts.operated import Address, Host, Program, RemoteSocket, expected
from socketlab.hosts.watching import WITHIN_S, until
from socketlab.observe import processes
from socketlab.observe.socket_table import Row

LISTEN, ESTABLISHED = "LISTEN", "ESTABLISHED"
NOBODY = 0  # the inode of a socket that no process has
PIECE = 4096

# What a client meets where the server, or the network, is broken. For a check, not for a traceback.
TROUBLE = (TimeoutError, ConnectionError)

Sockets = Mapping[int, Row]  # of a program: by descriptor


# --- what a program has


def welcoming(sockets: Sockets) -> list[Row]:
    """Return the welcoming sockets among them."""
    return [row for row in sockets.values() if row.state == LISTEN]


def connections(sockets: Sockets) -> list[Row]:
    """Return the connection sockets among them."""
    return [row for row in sockets.values() if row.state == ESTABLISHED]


def with_connections(program: Program, number: int) -> dict[int, Row]:
    """Return a program's sockets, as soon as so many of them are connections."""
    return until(lambda: program.sockets("tcp"), lambda seen: len(connections(seen)) == number)


def numbers(sockets: Sockets) -> dict[int, int]:
    """Return which sockets they are, whatever their state: the kernel's number of each (inode)."""
    return {descriptor: row.inode for descriptor, row in sockets.items()}


def told(sockets: Sockets) -> str:
    """Return a program's sockets for people."""
    return "\n".join(f"descriptor {number}: {told_row(row)}" for number, row in sockets.items()) or "none"


def told_row(row: Row | None) -> str:
    """Return a socket for people."""
    if row is None:
        return "none"
    return f"{row.state} {row.local}" + (f" with {row.peer}" if row.state != LISTEN else "")


def listed(words: Iterable[object]) -> str:
    """Return a list for people."""
    return ", ".join(map(str, words)) or "none"


def all_listening(lab: Lab) -> list[Row]:
    """Return the sockets that listen at the lecture's port, whosever they are."""
    return [row for row in lab.server.sockets("tcp") if row.port == PORT and row.state == LISTEN]


def row_at(host: Host, local: str) -> Row | None:
    """Return the TCP socket of a host with this address, if there is one."""
    return next((row for row in host.sockets("tcp") if row.local == local), None)


def status(program: Program) -> str:
    """Return /proc/PID/status of a program."""
    return program.proc("status")


def asleep_in(program: Program) -> str:
    """Return what a program sleeps in: a system call with its descriptor; "" while it runs.

    Where the kernel does not let us see that, or we do not know its numbers, the kernel's own function.
    """
    machine = program.host.function("os", "uname")[4]
    if machine in processes.SYSTEM_CALLS:
        with expected(PermissionError):
            return str(processes.system_call(program.proc("syscall"), machine) or "")
    return program.proc("wchan").strip("0\n")


def sleeps_in_recv(asleep: str, descriptor: int) -> bool:
    """Tell whether that is recv() on a connection; `wait_woken` is where tcp_recvmsg() sleeps."""
    return asleep.startswith((f"recvfrom(descriptor {descriptor},", "wait_woken"))


def sleeps_in_accept(asleep: str) -> bool:
    """Tell whether that is accept()."""
    return asleep.startswith(("accept(", "accept4(", "inet_csk_accept"))


# --- what a client does


def require(note: Notebook, statement: str, holds: bool, evidence: Mapping[str, Any]) -> None:
    """Check something without which there is nothing more to see: where it does not hold, the claim ends.

    Raises:
        CannotShowError: it does not hold.
    """
    note.check(statement, holds, evidence)
    if not holds:
        note.cannot("what comes after that was not tried")


def connect(note: Notebook, client_socket: RemoteSocket, lab: Lab) -> None:
    """Connect to the server; where that fails, there is nothing to see of what is claimed."""
    client_socket.settimeout(WITHIN_S)
    with expected(*TROUBLE) as failed:
        client_socket.connect((lab.server.name, PORT))
    if failed:
        require(note, "a client can connect", False, {"connect()": told_error(failed[0])})


def answer_to(client_socket: RemoteSocket, line: bytes) -> bytes:
    """Send a line, and return its answer, as far as one comes."""
    answer = b""
    with expected(*TROUBLE):
        client_socket.sendall(line)
        while not answer.endswith(b"\n") and (piece := client_socket.recv(PIECE)):
            answer += piece
    return answer


def address_of(client_socket: RemoteSocket) -> Address:
    """Return a client's address and port: its own, though the socket says 0.0.0.0 until it is connected."""
    return client_socket.host.address, client_socket.getsockname()[1]


def told_error(error: OSError) -> str:
    """Return an error for people: "ECONNREFUSED (Connection refused)"."""
    return f"{errorcode.get(error.errno or 0, type(error).__name__)} ({error.strerror or error})"


def text(*data: bytes) -> str:
    """Return what was sent or received, for people."""
    return listed(repr(piece)[1:] for piece in data)
