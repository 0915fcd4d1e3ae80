"""The host that the sidecar shares the network namespace of: its interface, its counters, its end.

When the interface vanishes, the host was disconnected from a network, or it has ended. Disconnected, it gets
an interface in this namespace again when it is connected. Restarted, it has a new namespace, and this one
stays empty. The namespace is the kernel's; nothing in it tells which container it belongs to. But a container
that shares another's network shares its /etc/hosts too, the same file. The engine takes the host's own line
out of it when the host stops or is disconnected, writes it again when the host is connected or starts again,
in whatever namespace, and removes the file with the host. So the file

    names the host      it runs and is connected: here, or in another namespace if no interface is here
    does not name it    it is stopped or disconnected
    has no name itself  it is removed: no directory has this file any more
"""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import StrEnum
from fcntl import ioctl
from pathlib import Path

from lab.failures import Failure

SIOCGIFFLAGS, SIOCGIFADDR = 0x8913, 0x8915
IFF_UP, IFF_LOOPBACK = 0x1, 0x8
IFREQ_SIZE = 40  # struct ifreq: the name in its first 16 bytes, then what is asked for
GLOBAL = "00"  # the scope of an address, as /proc/net/if_inet6 writes it

HOSTS = Path("/etc/hosts")
PROC_NET = Path("/proc/net")
TABLES = {"snmp": ("Ip", "Udp", "Tcp"), "netstat": ("TcpExt",)}

POLL_S = 0.1
# That the host is back elsewhere must hold for so long: when the interface vanishes, the file does not say
# so yet; and when the file names the host again, the engine may still be putting an interface here, or be
# starting the host's program. A sidecar that is started in that moment cannot join, and engines do not try a
# second time (20.10 does not).
SETTLED_S = 1.0
# An engine starts a container again at once if it has run for so long; else it waits, longer each time (up to
# a minute), and by then the host may be gone again.
AT_ONCE_S = 10.0
# Where the file does not name the host, nobody can tell when it is back.
UNKNOWN_S = 5.0


class Ended(StrEnum):
    """What became of the host after its interface vanished, and what to do."""

    BACK = (
        "the host is back with a new network, and nothing is impaired there: this sidecar ends so that the"
        " engine starts it again in that network (restart: on-failure); without that, start it again"
    )
    REMOVED = (
        "the host is removed, and what runs in its place is not impaired: start a new sidecar there"
        " (docker compose up --detach)"
    )
    UNKNOWN = (
        "whether the host comes back cannot be seen from here, and nothing is impaired: start the sidecar"
        " again when the host is there"
    )


# --- its interface


def interface(wanted: str = "") -> str:
    """Return the interface to impair.

    Args:
        wanted: its name; empty: the only one, besides the loopback, that is up and has an address.

    Raises:
        Failure: there is no such interface, or more than one where none is named.
    """
    return _chosen(list(addressed()), wanted)


def _chosen(names: list[str], wanted: str) -> str:
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
        with suppress(FileNotFoundError):  # no IPv6 at all
            rows = [line.split() for line in (PROC_NET / "if_inet6").read_text().splitlines()]
            return any(row[3] == GLOBAL and row[5] == name for row in rows)
        return False
    return True


def _ask(sock: socket.socket, request: int, name: str) -> bytes:
    return ioctl(sock.fileno(), request, name.encode().ljust(IFREQ_SIZE, b"\0"))


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none is"


def index(name: str) -> int:
    """Return the index of an interface, 0 where there is none; one that is made anew has another index."""
    return next((number for number, other in socket.if_nameindex() if other == name), 0)


# --- its counters


def counters() -> dict[str, dict[str, int]]:
    """Return the namespace's counters of IP, UDP and TCP, as the kernel names them."""
    found: dict[str, dict[str, int]] = {}
    for file, tables in TABLES.items():
        parsed = parse_counters((PROC_NET / file).read_text(encoding="ascii"))
        found |= {table: parsed[table] for table in tables if table in parsed}
    return found


def carried() -> dict[str, int]:
    """Return how many packets each interface has carried both ways, as the kernel counts them.

    Of those that could be impaired: they are up and have an address, and none is the loopback.
    """
    rows = (line.partition(":") for line in (PROC_NET / "dev").read_text(encoding="ascii").splitlines())
    counts = {name.strip(): numbers.split() for name, colon, numbers in rows if colon}
    return {name: int(counts[name][1]) + int(counts[name][9]) for name in addressed() if name in counts}


def parse_counters(text: str) -> dict[str, dict[str, int]]:
    """Return the tables of /proc/net/snmp or /proc/net/netstat: pairs of lines, the names and the numbers."""
    lines = [line.split() for line in text.splitlines()]
    return {
        names[0].removesuffix(":"): dict(zip(names[1:], map(int, numbers[1:]), strict=True))
        for names, numbers in zip(lines[::2], lines[1::2], strict=True)
    }


# --- its end


def is_told(hosts: Path = HOSTS) -> bool:
    """Tell whether the file names this host, at an address that is not the loopback's."""
    try:
        lines = hosts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    own = socket.gethostname()
    words = (line.partition("#")[0].split() for line in lines)
    return any(own in row[1:] and not row[0].startswith(("127.", "::1")) for row in words if row)


def wait_for_return(
    told: bool,
    started: float,
    wanted: str,
    *,
    sleep: Callable[[float], None],
    hosts: Path = HOSTS,
    monotonic: Callable[[], float] = time.monotonic,
) -> Ended | str:
    """Wait until the host has its interface again, or is back in another namespace, or removed.

    Args:
        told: what `is_told` said while the host ran; where it was false, the file is no evidence.
        started: when this program was, by the same clock.
        wanted: the name of the interface; empty: the only one.
        sleep: how to let time go by.
        hosts: the file that is shared with the host.
        monotonic: the clock.

    Returns:
        The interface that is to be impaired now, or what became of the host.

    Raises:
        Failure: it has come back with several interfaces, and none is named.
    """
    begun = monotonic()
    since = None  # when the file was first seen to name the host
    while True:
        now = monotonic()
        names = list(addressed())
        if names and (not wanted or wanted in names):
            return _chosen(names, wanted)
        if names:  # the host is here, only with other interfaces: this is no other namespace's
            begun, since = now, None
        elif not told:
            if now - begun >= UNKNOWN_S:
                return Ended.UNKNOWN
        elif hosts.stat().st_nlink == 0:
            return Ended.REMOVED
        elif not is_told(hosts):
            since = None
        elif since is None:
            since = now
        elif now - since >= SETTLED_S and now - started >= AT_ONCE_S:
            return Ended.BACK
        sleep(POLL_S)
