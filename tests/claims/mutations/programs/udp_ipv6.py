"""The lecture's server, but with a socket of IPv6, which serves IPv4 as well."""

from socket import AF_INET6
from typing import Any

import udp_server
from lab.failures import run
from lab.journaled import socket


class Ipv6(socket):
    """A socket of IPv6 that takes IPv4 addresses, and gives addresses of two parts, as IPv4 does."""

    def bind(self, address: Any) -> None:
        """Bind."""
        host, port = address
        super().bind((f"::ffff:{host}" if host else "::", port))

    def getsockname(self) -> Any:
        """Return the own address."""
        return super().getsockname()[:2]

    def recvfrom(self, *arguments: Any) -> Any:
        """Return a datagram and its sender."""
        data, sender = super().recvfrom(*arguments)
        return data, sender[:2]


vars(udp_server)["AF_INET"] = AF_INET6
vars(udp_server)["socket"] = Ipv6
run(udp_server.main)
