"""The end of the host whose network namespace the sidecar shares.

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
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import host_interfaces

HOSTS = Path("/etc/hosts")
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


def names_host(hosts: Path = HOSTS) -> bool:
    """Tell whether the file names this host, at an address that is not the loopback's."""
    try:
        lines = hosts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    own = socket.gethostname()
    words = (line.partition("#")[0].split() for line in lines)
    return any(own in row[1:] and not row[0].startswith(("127.", "::1")) for row in words if row)


def wait_for_return(
    named: bool,
    started: float,
    wanted: str,
    *,
    sleep: Callable[[float], None],
    hosts: Path = HOSTS,
    monotonic: Callable[[], float] = time.monotonic,
) -> Ended | str:
    """Wait until the host has its interface again, or is back in another namespace, or removed.

    Args:
        named: what `names_host` returned while the host ran; where it was false, the file is no evidence.
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
    since = None  # since when the file has named the host
    while True:
        now = monotonic()
        names = list(host_interfaces.addressed())
        if names and (not wanted or wanted in names):
            return host_interfaces.chosen(names, wanted)
        if names:  # the host is here, only with other interfaces: this is no other namespace's
            begun, since = now, None
        elif not named:
            if now - begun >= UNKNOWN_S:
                return Ended.UNKNOWN
        elif hosts.stat().st_nlink == 0:
            return Ended.REMOVED
        elif not names_host(hosts):
            since = None
        elif since is None:
            since = now
        elif now - since >= SETTLED_S and now - started >= AT_ONCE_S:
            return Ended.BACK
        sleep(POLL_S)
