"""One network interface, watched: its index and MTU, and the end of it.

When the container whose network a sidecar shares is restarted, or disconnected from its network, the sidecar
stays behind without that interface. The kernel sends a message to all who listen for news of links.
"""

import errno
import socket
import struct

import netlink
from lab.failures import Failure, explain
from netem_impairment.attributes import attributes, unpacked

NEW, DELETED, LIST = 16, 17, 18  # RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK
NEWS_OF_LINKS = 1  # RTNLGRP_LINK
INFO = struct.Struct("=BxHiII")  # struct ifinfomsg: family, kind, index, flags, change
U32 = struct.Struct("=I")
NAME, MTU = 3, 4  # attributes


class Link:
    """An interface of this network namespace.

    Attributes:
        index: its number.
        mtu: bytes of the largest packet.
        gone: the reason, when the interface is gone; it is not told twice.

    Raises:
        Failure: there is no such interface; the message names those that are there.
    """

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self._netlink = netlink.Netlink(netlink.ROUTE, NEWS_OF_LINKS)  # before we look: nothing is missed
        self.index = self.mtu = 0
        self.gone: Failure | None = None
        try:
            self._look()
        except BaseException:
            self._netlink.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor: it can be read when there is news."""
        return self._netlink.fileno()

    def close(self) -> None:
        """Stop listening."""
        self._netlink.close()

    def hear(self) -> None:
        """Take note of the news that has come.

        Raises:
            Failure: the interface is gone.
        """
        try:
            for message in self._netlink.receive():
                self._note(message)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise Failure(explain(error, "hear news of the network interfaces")) from error
            self._look()  # there was more news than room for it

    def _look(self) -> None:
        links = self._netlink.request(LIST, INFO.pack(0, 0, 0, 0, 0), netlink.DUMP)
        found = {_name(link): link for link in links if link.kind == NEW}
        if self.interface not in found:
            if self.index:
                raise self._end()
            raise Failure(
                f"no network interface {self.interface!r}: expected one of {', '.join(sorted(found))}"
            )
        self.index = unpacked(INFO, found[self.interface].body)[2]
        self._note(found[self.interface])

    def _note(self, message: netlink.Message) -> None:
        if message.kind not in {NEW, DELETED} or unpacked(INFO, message.body)[2] != self.index:
            return
        # As a port of a bridge, or of another family than "all", a link can end while the interface stays.
        if message.kind == DELETED and message.body[0] != socket.AF_UNSPEC:
            return
        if message.kind == DELETED or _name(message) != self.interface:
            raise self._end()
        mtu = attributes(message.body, INFO.size).get(MTU)
        if mtu:
            self.mtu = unpacked(U32, mtu)[0]

    def _end(self) -> Failure:
        self.gone = Failure(vanished(self.interface))
        return self.gone


def vanished(interface: str) -> str:
    """Return what the end of an interface means."""
    return f"the network interface {interface} is gone: its host was disconnected, restarted or stopped"


def _name(message: netlink.Message) -> str:
    return attributes(message.body, INFO.size).get(NAME, b"").rstrip(b"\0").decode(errors="replace")
