"""Worlds in which claims about the application are wrong."""

from dataclasses import replace

from socketlab.hosts.lab import Lab
from tests.claims.mutation import Mutation


def one_host(lab: Lab) -> Lab:
    """Return a lab on which the clients run on the server's host."""
    return replace(lab, client=lab.server)


MUTATIONS = [
    Mutation(
        "a server that knows the letters from a to z alone",
        frozenset({"A1"}),
        programs={"udp_server.py": "udp_ascii.py"},
    ),
    Mutation(
        "a client that makes the upper case itself",
        frozenset({"A1", "A2", "S5", "U1", "U4"}),
        programs={"udp_client.py": "udp_client_alone.py"},
    ),
    Mutation(
        "a client that puts a header of its own in front",
        frozenset({"A2", "U1"}),
        programs={"udp_client.py": "udp_client_own_header.py"},
    ),
    Mutation(
        "a client on the server's host",
        frozenset({"A3"}),
        programs={"udp_client.py": "plain_udp_client.py", "tcp_client.py": "plain_tcp_client.py"},
        hosts=one_host,
    ),
]
