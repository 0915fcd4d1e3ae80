"""Worlds in which it is as the lecture says, and so our claims about it are wrong."""

from dataclasses import replace

from socketlab.describe.scenario import PORT
from socketlab.hosts.lab import Lab
from socketlab.hosts.operated import Host, RemoteSocket
from tests.claims.mutation import Mutation


class Hasty(Host):
    """A host on which to create a TCP socket is to connect it to the server."""

    def __init__(self, host: Host, server: Host) -> None:
        self.__dict__.update(host.__dict__)  # the same host: what is asked of this one, that one does
        self._server = server

    def tcp(self, port: int | None = None, address: str = "") -> RemoteSocket:
        """Return a new TCP socket, connected already."""
        made = super().tcp(port, address)
        made.connect((self._server.address, PORT))
        return made


def hasty_client(lab: Lab) -> Lab:
    """Return a lab on which the client's sockets connect when they are created."""
    return replace(lab, client=Hasty(lab.client, lab.server))


MUTATIONS = [
    Mutation("a host that connects when a socket is created", frozenset({"N1"}), hosts=hasty_client),
]
