"""The interfaces of this network namespace: which one is impaired, and what each has carried."""

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path

from lab.failures import Failure

SIOCGIFFLAGS, SIOCGIFADDR = 0x8913, 0x8915
IFF_UP, IFF_LOOPBACK = 0x1, 0x8
IFREQ_SIZE = 40  # struct ifreq: the name in its first 16 bytes, then the answer
GLOBAL = "00"  # the scope of an address, as /proc/net/if_inet6 writes it
PROC_NET = Path("/proc/net")


def choose(wanted: str = "") -> str:
    """Return the interface to impair.

    Args:
        wanted: its name; empty: the only one, besides the loopback, that is up and has an address.

    Raises:
        Failure: there is no such interface, or more than one where none is named.
    """
    return chosen(list(addressed()), wanted)


def chosen(names: list[str], wanted: str) -> str:
    """Return the interface to impair, of these; see `choose`."""
    if wanted:
        if wanted in names:
            return wanted
        raise Failure(f"expected an interface of this host that is up ({_listed(names)}), got {wanted!r}")
    if not names:
        raise Failure("this host has no network interface but its loopback: attach it to a network first")
    if len(names) > 1:
        # One of them alone would leave the other's traffic as it is, and nobody would see which.
        raise Failure(f"this host has several interfaces ({_listed(names)}): choose one by NETEM_INTERFACE")
    return names[0]


def addressed() -> Iterator[str]:
    """Yield the interfaces that are up and have an address, without the loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _index, name in socket.if_nameindex():
            with suppress(OSError):  # it vanished meanwhile
                (flags,) = struct.unpack_from("H", _ask(sock, SIOCGIFFLAGS, name), 16)
                if flags & IFF_UP and not flags & IFF_LOOPBACK and _has_address(sock, name):
                    yield name


def _has_address(sock: socket.socket, name: str) -> bool:
    try:
        _ask(sock, SIOCGIFADDR, name)
    except OSError:  # no IPv4 address
        return GLOBAL in ipv6_scopes(name)
    return True


def ipv6_scopes(name: str) -> set[str]:
    """Return the scopes of an interface's IPv6 addresses, as the kernel writes them; empty: it has none."""
    try:
        rows = [line.split() for line in (PROC_NET / "if_inet6").read_text(encoding="ascii").splitlines()]
    except OSError:
        return set()  # the kernel has no IPv6
    return {row[3] for row in rows if row[5] == name}


def _ask(sock: socket.socket, request: int, name: str) -> bytes:
    return ioctl(sock.fileno(), request, name.encode().ljust(IFREQ_SIZE, b"\0"))


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none is"


def index(name: str) -> int:
    """Return the index of an interface, or 0 if it does not exist. A recreated interface has a new index."""
    return next((number for number, other in socket.if_nameindex() if other == name), 0)


def carried() -> dict[str, int]:
    """Return how many packets each interface has carried both ways, as the kernel counts them.

    Of those that could be impaired: they are up and have an address, and none is the loopback.
    """
    rows = (line.partition(":") for line in (PROC_NET / "dev").read_text(encoding="ascii").splitlines())
    counts = {name.strip(): numbers.split() for name, colon, numbers in rows if colon}
    return {name: int(counts[name][1]) + int(counts[name][9]) for name in addressed() if name in counts}
