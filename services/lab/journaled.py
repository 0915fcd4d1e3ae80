"""The standard socket, which also writes down each of the lecture's calls in the program's journal.

    from lab.journaled import socket     in the place of     from socket import socket

What a call does, returns and raises is the standard socket's: a program that uses this one runs with the
standard one just the same, without a journal. `lab.journal` says what a line looks like.

A server goes on after an error of one client, so its sockets write that down, too. A client says itself what
went wrong.
"""

import socket as standard
import sys
from socket import MSG_PEEK, SOCK_DGRAM
from typing import Any, ClassVar, Self, cast

from lab.failures import Failure, explain
from lab.journal import Address, Journal, now
from lab.options import why_no_servers

# Linux: tell a socket that is not connected what ICMP says of its datagrams (<linux/in.h>).
IP_RECVERR = 11 if sys.platform == "linux" else None


def gethostbyname(name: str) -> str:
    """Return the IPv4 address of a host, as the standard function does, and write down what DNS says.

    Raises:
        gaierror: the name has no address.
        Failure: it has one, but no single host's.
    """
    address = standard.gethostbyname(name)
    if why := why_no_servers(address):
        raise Failure(f"cannot ask {name}: it is {address}, {why}")
    JournaledSocket.journal.event("resolve", note=f"DNS: {name} is {address}")
    return address


class ToStandardError:
    """The journal of a program that has chosen none: made when it is wanted first, and kept."""

    def __get__(self, _socket: object, _owner: type) -> Journal:
        """Return it."""
        JournaledSocket.journal = Journal(as_json=False, quiet=False, fd=2)
        return JournaledSocket.journal


class JournaledSocket(standard.socket):
    """A socket whose calls are written down; calls that are not in the lecture are made without a word.

    Attributes:
        journal: of the program; the options of a server or a client say which.
    """

    journal: ClassVar[Journal] = cast("Journal", ToStandardError())

    _peer: Address | None = None  # the other end of a connection
    _is_bound = False
    _is_accepted = False
    _is_unanswered = False  # the last that happened on this connection was our question

    def bind(self, address: Any) -> None:
        """Take an address; written down for UDP alone, for a TCP socket has to listen first."""
        super().bind(address)
        self._is_bound = True
        if self.type == SOCK_DGRAM:
            self.journal.event("bind", self, note="ready to receive", always=True)

    def listen(self, *backlog: int) -> None:
        """Become the welcoming socket."""
        super().listen(*backlog)
        self.journal.event("listen", self, note="the welcoming socket", always=True)

    def accept(self) -> tuple[Self, Any]:
        """Return a connection socket that is journaled, too, and the client's address."""
        plain, client_address = super().accept()  # a standard socket, whatever this one is
        connection_socket = type(self)(self.family, self.type, self.proto, fileno=plain.detach())
        connection_socket._peer = client_address
        connection_socket._is_accepted = True
        note = "a new connection socket"
        self.journal.event("accept", connection_socket, peer=client_address, note=note)
        return connection_socket, client_address

    def connect(self, address: Any) -> None:
        """Connect; a name in the address is resolved on the way."""
        super().connect(address)
        # Fails where the connection has been reset already.
        self._peer = self.getpeername()
        note = "" if self._is_bound else "our port is the system's choice"
        self.journal.event("connect", self, peer=self._peer, note=note)

    def sendto(self, data: Any, *flags_and_address: Any) -> int:
        """Send a datagram."""
        address = flags_and_address[-1]
        begun = now()
        try:
            sent = super().sendto(data, *flags_and_address)
        except OSError as error:
            if self._is_bound:
                note = explain(error, "send the answer")
                self.journal.event("error", self, peer=address, note=note)
            raise
        self.journal.event("sendto", self, peer=address, data=data, at=begun)
        return sent

    def recvfrom(self, *size_and_flags: int) -> tuple[bytes, Any]:
        """Receive a datagram."""
        data, address = super().recvfrom(*size_and_flags)
        self.journal.event("recvfrom", self, peer=address, data=data)
        return data, address

    def send(self, data: Any, *flags: int) -> int:
        """Send a part of the bytes, as many as the system takes."""
        begun = now()
        self._is_unanswered = True
        try:
            sent = super().send(data, *flags)
        except OSError as error:
            self._tell_error(error)
            raise
        self.journal.event("send", self, peer=self._peer, data=data[:sent], at=begun)
        return sent

    def sendall(self, data: Any, *flags: int) -> None:
        """Send all bytes."""
        begun = now()
        self._is_unanswered = True
        try:
            super().sendall(data, *flags)
        except OSError as error:
            self._tell_error(error)
            raise
        self.journal.event("send", self, peer=self._peer, data=data, at=begun)

    def recv(self, size: int, *flags: int) -> bytes:
        """Receive as many bytes as there are."""
        try:
            data = super().recv(size, *flags)
        except OSError as error:
            self._tell_error(error)
            raise
        if flags and flags[0] & MSG_PEEK:
            self._is_unanswered = not data  # where the end has come, no answer will
            return data
        self.journal.event("recv", self, peer=self._peer, data=data)
        if data:
            self._is_unanswered = False
        return data

    def close(self) -> None:
        """Close; written down for a connection of a server, and for one that the server has closed first."""
        if self.fileno() >= 0:
            if self._is_accepted:
                self.journal.event("close", self, peer=self._peer, note="the welcoming socket stays")
            elif self._is_unanswered:
                self.journal.event("close", self, note="the server has closed this connection")
        super().close()

    def _tell_error(self, error: OSError) -> None:
        if self._is_accepted and not isinstance(error, BlockingIOError):  # which says: not yet
            self.journal.event("error", self, peer=self._peer, note=explain(error, "answer"))


socket = JournaledSocket  # the standard name, so that a program reads as the lecture's
